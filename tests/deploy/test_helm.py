"""deploy/helm: its templates hold nothing but values, so that they can be read without helm; they are read here.

What helm itself makes of them is not tested.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiplatform.stopping import KILLED_AFTER_S
from gateway.doors import health
from tests import environment

CHART = environment.ROOT / "deploy" / "helm"
RELEASE = "ours"
_FIELD = re.compile(r"\{\{ \.(Values|Release)\.([A-Za-z.]+) \}\}")
_PARTS = {"setup", "web", "grpc", "worker", "beat"}


def _rendered(path: Path) -> str:
    values: dict[str, Any] = {
        "Values": yaml.safe_load((CHART / "values.yaml").read_text()),
        "Release": {"Name": RELEASE},
    }

    def value(found: re.Match[str]) -> str:
        inner = values[found[1]]
        for name in found[2].split("."):
            inner = inner[name]
        return str(inner)

    return _FIELD.sub(value, path.read_text())


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    texts = [_rendered(path) for path in sorted((CHART / "templates").glob("*.yaml"))]
    assert not [text for text in texts if "{{" in text]
    return [each for text in texts for each in yaml.safe_load_all(text)]


def _pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Part -> its pod."""
    return {
        each["spec"]["template"]["metadata"]["labels"]["part"]: each["spec"]["template"]["spec"]
        for each in objects
        if "template" in each["spec"]
    }


def _one(objects: list[dict[str, Any]], kind: str, part: str) -> dict[str, Any]:
    [found] = [each for each in objects if (each["kind"], each["metadata"]["labels"]["part"]) == (kind, part)]
    return found


def test_its_parts_run_what_those_of_the_compose_file_run(objects: list[dict[str, Any]]) -> None:
    services = yaml.safe_load((environment.ROOT / "docker-compose.yml").read_text())["services"]

    commands = {part: pod["containers"][0]["command"] for part, pod in _pods(objects).items()}

    assert commands == {part: services[part]["command"] for part in _PARTS}


def test_every_setting_is_one_and_every_secret_comes_from_the_secret(objects: list[dict[str, Any]]) -> None:
    explained = set(re.findall(r"^#?([A-Z_]+)=", (environment.ROOT / ".env.example").read_text(), re.MULTILINE))
    for pod in _pods(objects).values():
        container = pod["containers"][0]
        names = {each["name"] for each in container["env"]}
        assert names <= explained
        assert not names & {"SECRET_KEY", "ENCRYPTION_KEYS", "DATABASE_URL", "REDIS_URL"}
        assert all(isinstance(each["value"], str) for each in container["env"])
        assert container["envFrom"] == [{"secretRef": {"name": "aiplatform"}}]


def test_nothing_runs_as_root_and_the_user_is_the_images(objects: list[dict[str, Any]]) -> None:
    [uid] = re.findall(r"^USER (\d+)$", (environment.ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for pod in _pods(objects).values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == int(uid)


def test_a_service_that_is_called_as_a_setting_begins_sets_nothing(objects: list[dict[str, Any]]) -> None:
    """Kubernetes would set QDRANT_PORT=tcp://... for one called qdrant."""
    pods = _pods(objects)

    assert set(pods) == _PARTS
    assert all(pod["enableServiceLinks"] is False for pod in pods.values())


def test_the_web_stays_in_service_while_the_database_is_away(objects: list[dict[str, Any]]) -> None:
    container = _pods(objects)["web"]["containers"][0]

    asked = [container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]

    assert asked == ["/livez"] * 3  # /readyz asks the database, without which the journal keeps the books
    assert set(asked) <= set(health.PATHS)


def test_a_pod_takes_calls_until_it_is_out_of_service_and_is_killed_only_when_it_has_settled_them(
    objects: list[dict[str, Any]],
) -> None:
    for part in ("web", "grpc"):
        pod = _pods(objects)[part]
        command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]

        assert command == ["sleep", "5"]
        assert pod["terminationGracePeriodSeconds"] >= 5 + KILLED_AFTER_S + 5


def test_who_empties_a_node_leaves_pods_that_answer(objects: list[dict[str, Any]]) -> None:
    for part in ("web", "grpc"):
        budget = _one(objects, "PodDisruptionBudget", part)["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"] == _one(objects, "StatefulSet", part)["spec"]["selector"]


def test_the_autoscaler_and_the_services_find_their_pods(objects: list[dict[str, Any]]) -> None:
    scaler = _one(objects, "HorizontalPodAutoscaler", "web")["spec"]
    web = _one(objects, "StatefulSet", "web")

    assert scaler["scaleTargetRef"]["name"] == web["metadata"]["name"]
    assert "replicas" not in web["spec"]  # else each upgrade would undo what the autoscaler has done
    assert 1 < scaler["minReplicas"] <= scaler["maxReplicas"]
    for part in ("web", "grpc"):
        service = _one(objects, "Service", part)
        ports = {each["name"] for each in _pods(objects)[part]["containers"][0]["ports"]}
        assert service["spec"]["selector"] == {"app": RELEASE, "part": part}
        assert {each["targetPort"] for each in service["spec"]["ports"]} <= ports


def test_prometheus_finds_the_metrics_of_all_who_answer_calls(objects: list[dict[str, Any]]) -> None:
    for part in ("web", "grpc"):
        container = _pods(objects)[part]["containers"][0]
        [opened] = [each["containerPort"] for each in container["ports"] if each["name"] == "metrics"]
        [served] = [each for each in _one(objects, "Service", part)["spec"]["ports"] if each["name"] == "metrics"]

        assert {"name": "METRICS_PORT", "value": str(opened)} in container["env"]
        assert (served["port"], served["targetPort"]) == (opened, "metrics")


def test_what_must_not_be_lost_is_on_a_disk_that_outlives_its_pod(objects: list[dict[str, Any]]) -> None:
    for part in ("web", "grpc"):
        [claim] = _one(objects, "StatefulSet", part)["spec"]["volumeClaimTemplates"]
        [mount] = _pods(objects)[part]["containers"][0]["volumeMounts"]
        assert claim["metadata"]["name"] == mount["name"]
        assert mount["mountPath"] == "/var/lib/aiplatform"


def test_there_is_one_schedule_also_during_an_upgrade(objects: list[dict[str, Any]]) -> None:
    beat = _one(objects, "Deployment", "beat")["spec"]

    assert (beat["replicas"], beat["strategy"]["type"]) == (1, "Recreate")


def test_the_database_is_set_up_before_anything_runs(objects: list[dict[str, Any]]) -> None:
    assert _one(objects, "Job", "setup")["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
