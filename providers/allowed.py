"""What is left of the models for a caller who may use some alone. Pure; done once a snapshot, never a call."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from providers.specs import DeploymentSpec, Targets, Topology


def narrowed(topology: Topology, lists: Iterable[Collection[str]]) -> Topology:
    """What every one of `lists` allows; each names routes, models or `provider/model`.

    A listed route brings all its targets; one that is not listed keeps those of its targets that are. Names that are
    left with nothing stay, so that they are not taken for unknown ones, which a catch-all route would answer.
    """
    for allowed in lists:
        topology = _narrowed(topology, frozenset(allowed))
    return topology


def _narrowed(topology: Topology, allowed: frozenset[str]) -> Topology:
    """At the cost of what `allowed` names, however much else there is."""
    mine = {each.id: each for name in allowed for each in topology.by_own_name.get(name, ())}
    names: dict[str, Targets] = {}
    for name in {name for deployment_id in mine for name in topology.leading_to.get(deployment_id, ())}:
        names[name] = tuple(each for each in topology.names[name] if each.deployment.id in mine)
    names |= {name: topology.names[name] for name in allowed if name in topology.names}
    return msgspec.structs.replace(
        topology,
        names=names,
        deployments=tuple(sorted((mine[each] for each in mine.keys() & topology.by_id.keys()), key=_by_name)),
        routes=tuple(sorted(name for name, targets in names.items() if targets and name in topology.route_names)),
        hidden=topology.hidden or topology.names,
    )


def _by_name(deployment: DeploymentSpec) -> tuple[str, str]:
    return deployment.name, deployment.provider.slug
