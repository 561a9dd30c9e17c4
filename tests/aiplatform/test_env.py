"""The environment: what production refuses, and what the embedded start makes by itself."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests import environment

_STRONG = {"SECRET_KEY": "s" * 50, "ENCRYPTION_KEYS": Fernet.generate_key().decode()}


def _settings(state_dir: Path, show: str = "'fine'", **env: str) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process of its own, and print an expression."""
    return subprocess.run(
        [sys.executable, "-c", f"from aiplatform import settings; print({show})"],
        env={**environment.bare(), "STATE_DIR": str(state_dir), **env},
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEYS"])
@pytest.mark.parametrize("value", ["", "short"])
def test_production_refuses_a_weak_secret_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    done = _settings(tmp_path, DJANGO_ENV="production", **(_STRONG | {name: value}))

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert name in done.stderr


def test_production_refuses_a_weak_key_of_specification_d(tmp_path: Path) -> None:
    done = _settings(tmp_path, DJANGO_ENV="production", AI_ENCRYPTION_KEY="short", **_STRONG)

    assert done.returncode == 1
    assert done.stderr.startswith("AI_ENCRYPTION_KEY is missing or shorter than 32 characters")


def test_production_starts_with_strong_secrets(tmp_path: Path) -> None:
    done = _settings(tmp_path, "settings.PRODUCTION", DJANGO_ENV="production", **_STRONG)

    assert done.stdout == "True\n", done.stderr


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mounted"
    file.write_text("f" * 40)

    done = _settings(tmp_path, "settings.SECRET_KEY", SECRET_KEY_FILE=str(file))

    assert done.stdout.strip() == "f" * 40


def test_embedded_secrets_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    first = _settings(tmp_path, "settings.SECRET_KEY")
    second = _settings(tmp_path, "settings.SECRET_KEY")

    kept = tmp_path / "secrets" / "secret_key"
    assert first.stdout == second.stdout == kept.read_text() + "\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.stat().st_uid == os.getuid()


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "http"), ("DJANGO_ENV", "prod"), ("LOG_FORMAT", "xml"), ("WEB_WORKERS", "two")]
)
def test_a_value_that_makes_no_sense_stops_the_start_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    done = _settings(tmp_path, **{name: value})

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert name in done.stderr
    assert value in done.stderr


@pytest.mark.parametrize(
    ("given", "shown", "expected"),
    [
        ({"AI_SERVICE_PORT": "8001"}, "settings.PORT", "8001"),
        ({"AI_PROVIDER_PORT": "8002", "PORT": "8003"}, "settings.PORT", "8003"),
        ({"REDIS_ADDR": "cache:6379"}, "settings.REDIS_URL", "redis://cache:6379"),
        ({"AI_ENCRYPTION_KEY": "any text"}, "len(settings.ENCRYPTION_KEYS[0])", "44"),
        ({"QDRANT_HOST": "vectors", "QDRANT_PORT": "6399"}, "settings.QDRANT_URL", "http://vectors:6399"),
        ({"CIRCUIT_BREAKER_MAX_REQUESTS": "7"}, "settings.CIRCUIT_BREAKER_MAX_REQUESTS", "7"),
        ({"CIRCUIT_BREAKER_TIMEOUT": "30"}, "settings.CIRCUIT_BREAKER_TIMEOUT_S", "30"),
        ({"RATE_LIMIT_REQUESTS": "100", "RATE_LIMIT_WINDOW": "60"}, "settings.RATE_LIMIT_REQUESTS", "100"),
    ],
)
def test_the_specifications_names_are_understood(
    tmp_path: Path, given: dict[str, str], shown: str, expected: str
) -> None:
    assert _settings(tmp_path, shown, **given).stdout.strip() == expected


def test_what_was_encrypted_before_the_key_of_specification_d_was_set_stays_readable(tmp_path: Path) -> None:
    (made,) = ast.literal_eval(_settings(tmp_path, "settings.ENCRYPTION_KEYS").stdout)
    ring = ast.literal_eval(_settings(tmp_path, "settings.ENCRYPTION_KEYS", AI_ENCRYPTION_KEY="any text").stdout)

    assert len(ring) == 2
    assert ring[1] == made != ring[0]


def test_a_setting_that_means_nothing_here_is_named_once(tmp_path: Path) -> None:
    env = {"AI_ENCRYPTION_IV": "canary-iv", "AI_MODEL_SERVICE_ADDR": "model:50051"}

    done = subprocess.run(
        [sys.executable, "manage.py", "serve", "--only", "setup"],
        env={**environment.bare(), "STATE_DIR": str(tmp_path), **env},
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert [done.stderr.count(name) for name in env] == [1, 1]
    assert "canary-iv" not in done.stderr


_OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"
_LANGFUSE = {"LANGFUSE_HOST": "http://fuse:3000/", "LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk"}


def test_traces_are_off_unless_there_is_somebody_to_take_them(tmp_path: Path) -> None:
    done = _settings(tmp_path, "settings.TRACING", OTEL_SERVICE_NAME="house", OTEL_TRACES_SAMPLER="always_on")

    assert done.stdout == "None\n", done.stderr


def test_traces_go_where_the_standard_variables_say(tmp_path: Path) -> None:
    env = {_OTLP: "http://collector:4318/", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=se%20cret, x-b=2", **_LANGFUSE}
    show = "[(c.url, {k: v.reveal() for k, v in c.headers.items()}) for c in settings.TRACING.collectors]"

    done = _settings(tmp_path, show, **env)

    assert ast.literal_eval(done.stdout) == [
        ("http://collector:4318/v1/traces", {"x-key": "se cret", "x-b": "2"}),
        ("http://fuse:3000/api/public/otel/v1/traces", {"Authorization": "Basic cGs6c2s="}),
    ]


def test_a_collectors_secrets_are_not_printed(tmp_path: Path) -> None:
    env = {_OTLP: "http://collector:4318", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=canary-key", **_LANGFUSE}

    done = _settings(tmp_path, "settings.TRACING", **env)

    assert "collector:4318" in done.stdout
    assert "canary-key" not in done.stdout
    assert "cGs6c2s" not in done.stdout


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({_OTLP: "collector:4318"}, _OTLP),
        ({_OTLP: "http://collector", "OTEL_EXPORTER_OTLP_HEADERS": "canary"}, "OTEL_EXPORTER_OTLP_HEADERS"),
        ({_OTLP: "http://collector", "OTEL_TRACES_SAMPLER": "sometimes"}, "OTEL_TRACES_SAMPLER"),
        ({_OTLP: "http://collector", "OTEL_TRACES_SAMPLER_ARG": "half"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"LANGFUSE_HOST": "http://fuse"}, "LANGFUSE_SECRET_KEY"),
        ({**_LANGFUSE, "LANGFUSE_HOST": "fuse"}, "LANGFUSE_HOST"),
    ],
)
def test_settings_of_traces_that_make_no_sense_stop_the_start(tmp_path: Path, env: dict[str, str], named: str) -> None:
    done = _settings(tmp_path, **env)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr
    assert "canary" not in done.stderr
