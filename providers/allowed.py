"""What is left of the models for a caller who may use some alone. Pure; done once a snapshot, never a call."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from providers.specs import DeploymentSpec, TargetSpec, Topology


def narrowed(topology: Topology, lists: Iterable[Collection[str]]) -> Topology:
    """What every one of `lists` allows; each names routes, models or `provider/model`.

    A listed route brings all its targets; one that is not listed keeps those of its targets that are. Names that are
    left with nothing stay, so that they are not taken for unknown ones, which a catch-all route would answer.
    """
    for allowed in lists:
        topology = _narrowed(topology, frozenset(allowed))
    return topology


def _narrowed(topology: Topology, allowed: frozenset[str]) -> Topology:
    def is_allowed(deployment: DeploymentSpec) -> bool:
        return deployment.name in allowed or deployment.full_name in allowed

    def left(name: str, targets: tuple[TargetSpec, ...]) -> tuple[TargetSpec, ...]:
        return targets if name in allowed else tuple(each for each in targets if is_allowed(each.deployment))

    names = {name: left(name, targets) for name, targets in topology.names.items()}
    return msgspec.structs.replace(
        topology,
        names=names,
        deployments=tuple(filter(is_allowed, topology.deployments)),
        routes=tuple(name for name in topology.routes if names[name]),
    )
