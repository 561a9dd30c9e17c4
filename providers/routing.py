"""Which deployments a call may go to, in the order of trying. Pure: chance comes in as `rng`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from random import Random

from providers.specs import DeploymentSpec, ProviderSpec, TargetSpec, Topology

DEFAULT_ROUTE = "default"
_NAMES_SHOWN = 20


class ModelNotFoundError(Exception):
    """No active deployment answers to the name; the message names what there is."""


def candidates(
    topology: Topology, *, model: str, kind: str, rng: Random, provider: str | None = None
) -> list[DeploymentSpec]:
    """Deployments for `model` (a route, a deployment, `provider/model`, or "" for the route `default`), best first.

    `kind` is what they are for: chat or embedding.
    `provider` narrows them to one provider: its slug or id, else its kind. Raises `ModelNotFoundError`.
    """
    targets = [target for target in _named(topology, model, provider) if target.deployment.type == kind]
    if provider:
        targets = [target for target in targets if _is(target.deployment.provider, provider)] or [
            target for target in targets if target.deployment.provider.kind == provider
        ]
    if not targets:
        raise ModelNotFoundError(_not_found(topology, model, kind, provider))
    if len(targets) == 1:
        return [targets[0].deployment]
    return [target.deployment for target in _in_order(targets, rng)]


def _is(provider: ProviderSpec, name: str) -> bool:
    return provider.slug == name or str(provider.id) == name


def _named(topology: Topology, model: str, provider: str | None) -> Iterable[TargetSpec]:
    found = topology.names.get(model or DEFAULT_ROUTE)
    if found is None and topology.catch_all:
        found = topology.names[topology.catch_all]
    if provider and not model:
        return [TargetSpec(deployment, 0, 1) for deployment in topology.deployments]
    return found or ()


def _in_order(targets: list[TargetSpec], rng: Random) -> list[TargetSpec]:
    """Higher priority first; equals in a weighted random order (u ** (1 / weight): Efraimidis and Spirakis, 2006)."""
    ordered: list[TargetSpec] = []
    for _, equals in groupby(sorted(targets, key=_negative_priority), key=_negative_priority):
        ordered += sorted(equals, key=lambda target: -(rng.random() ** (1 / target.weight)))
    return ordered


def _negative_priority(target: TargetSpec) -> int:
    return -target.priority


def _not_found(topology: Topology, model: str, kind: str, provider: str | None) -> str:
    wanted = f"No model '{model}'" if model else "No default model"
    if provider:
        wanted += f" at provider '{provider}'"
    known = sorted({d.name for d in topology.deployments if d.type == kind} | set(topology.routes))
    if not known:
        return f"{wanted}: no model is set up yet. An administrator can add one under Providers."
    more = f" and {len(known) - _NAMES_SHOWN} more" if len(known) > _NAMES_SHOWN else ""
    return f"{wanted}. There is: {', '.join(known[:_NAMES_SHOWN])}{more}."
