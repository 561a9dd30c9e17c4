"""What is left of a topology for callers who may use some models alone."""

from __future__ import annotations

from providers.allowed import narrowed
from providers.specs import DeploymentSpec, TargetSpec, Topology
from tests.providers.topologies import deployment

EUROPE, AMERICA, CLAUDE = deployment("europe"), deployment("america"), deployment("anthropic", "claude")


def _targets(*deployments: DeploymentSpec) -> tuple[TargetSpec, ...]:
    return tuple(TargetSpec(each, 10, 1) for each in deployments)


EVERYTHING = Topology(
    names={
        "gpt": _targets(EUROPE, AMERICA),
        "claude": _targets(CLAUDE),
        "europe/gpt": _targets(EUROPE),
        "america/gpt": _targets(AMERICA),
        "anthropic/claude": _targets(CLAUDE),
        "default": _targets(EUROPE, CLAUDE),
    },
    deployments=(EUROPE, AMERICA, CLAUDE),
    routes=("default",),
    catch_all="default",
)


def _left(*lists: list[str]) -> dict[str, list[str]]:
    """Name -> who answers to it."""
    found = narrowed(EVERYTHING, lists).names
    return {name: [each.deployment.full_name for each in targets] for name, targets in found.items() if targets}


def test_no_list_leaves_everything() -> None:
    assert narrowed(EVERYTHING, ()) == EVERYTHING


def test_a_model_may_be_used_by_its_name_by_its_full_name_and_through_routes() -> None:
    assert _left(["gpt"]) == {
        "gpt": ["europe/gpt", "america/gpt"],
        "europe/gpt": ["europe/gpt"],
        "america/gpt": ["america/gpt"],
        "default": ["europe/gpt"],
    }


def test_a_full_name_is_that_providers_alone() -> None:
    assert _left(["america/gpt"]) == {"gpt": ["america/gpt"], "america/gpt": ["america/gpt"]}


def test_a_route_brings_all_its_targets_and_not_their_names() -> None:
    assert _left(["default"]) == {"default": ["europe/gpt", "anthropic/claude"]}
    assert narrowed(EVERYTHING, [["default"]]).deployments == ()


def test_every_list_must_allow_it() -> None:
    assert _left(["default"], ["claude"]) == {"default": ["anthropic/claude"]}
    assert _left(["gpt"], ["claude"]) == {}


def test_what_may_not_be_used_is_in_no_list_and_is_not_unknown() -> None:
    seen = narrowed(EVERYTHING, [["america/gpt"]])

    assert (seen.deployments, seen.routes) == ((AMERICA,), ())
    assert seen.targets("claude") == ()
    assert seen.targets("nobody's") is None
