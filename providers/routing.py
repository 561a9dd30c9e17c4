"""Which deployments a call may go to, in the order of trying, and why in that order. Pure: chance comes in as `rng`.

Higher priority goes first, whatever the strategy; equals share by it:

- `priority`, `weighted`: by weight, at random, or by the end user's name where the route is sticky (an A/B split);
- `round_robin`: in turn;
- `least_latency`: who has answered fastest of late;
- `least_cost`: who would charge least for this call;
- `score`: specification B's, of success share, speed and health.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Protocol

import msgspec

from providers.specs import DeploymentSpec, ProviderSpec, RouteSpec, TargetSpec, Topology

DEFAULT_ROUTE = "default"
_NAMES_SHOWN = 20
_PLAIN = RouteSpec("")
_SLOW_MS = 5_000.0
_HEALTH_BONUS = 0.3  # specification B leaves it open; with it a perfect score is 1


class ModelNotFoundError(Exception):
    """No active deployment answers to the name; the message names what there is."""


class Outlook(Protocol):
    """What is known, at the moment of a call, of those who could take it. `resilience.outlook` has the real one."""

    def chance(self) -> float:
        """From 0 to 1, at random."""

    def turn(self, name: str) -> int:
        """How many calls the name has had."""

    def latency_ms(self, deployment: DeploymentSpec) -> float:
        """What an answer may take; 0 where nobody knows."""

    def success_share(self, deployment: DeploymentSpec) -> float | None:
        """None where nobody knows."""

    def is_healthy(self, deployment: DeploymentSpec) -> bool: ...

    def cost_pico(self, deployment: DeploymentSpec) -> int | None:
        """What the call may cost there; None where it has no price."""


class Choice(msgspec.Struct, frozen=True):
    """A candidate, and why it stands where it stands, in words."""

    deployment: DeploymentSpec
    why: str


def candidates(
    topology: Topology,
    *,
    model: str,
    kind: str,
    outlook: Outlook,
    provider: str | None = None,
    end_user: str = "",
) -> list[Choice]:
    """Deployments for `model` (a route, a deployment, `provider/model`, or "" for the route `default`), best first.

    `kind` is what they are for: chat or embedding.
    `provider` narrows them to one provider: its slug or id, else its kind; where unknown names are answered, those of
    providers are too, but no call for one that there is goes to another. Raises `ModelNotFoundError`.
    """
    if provider and topology.catch_all and provider not in topology.providers:
        provider = None
    targets = [target for target in _named(topology, model, provider) if target.deployment.type == kind]
    if provider:
        targets = [target for target in targets if _is(target.deployment.provider, provider)] or [
            target for target in targets if target.deployment.provider.kind == provider
        ]
    if not targets:
        raise ModelNotFoundError(_not_found(topology, model, kind, provider))
    if len(targets) == 1:
        return [Choice(targets[0].deployment, "the only one")]
    return _in_order(targets, sharing(topology, model), outlook, end_user)


def _is(provider: ProviderSpec, name: str) -> bool:
    return provider.slug == name or str(provider.id) == name


def _named(topology: Topology, model: str, provider: str | None) -> Iterable[TargetSpec]:
    if provider and not model:
        deployments = (*topology.by_provider.get(provider, ()), *topology.by_kind.get(provider, ()))
        return [TargetSpec(each, 0, 1) for each in {each.id: each for each in deployments}.values()]
    found = topology.targets(model or DEFAULT_ROUTE)
    if found is None and topology.catch_all:
        found = topology.targets(topology.catch_all)
    return found or ()


def sharing(topology: Topology, model: str) -> RouteSpec:
    """How the targets of what callers call `model` share its calls."""
    name = model or DEFAULT_ROUTE
    if topology.catch_all and topology.targets(name) is None:
        name = topology.catch_all
    return topology.sharing.get(name, _PLAIN)


def _in_order(targets: list[TargetSpec], route: RouteSpec, outlook: Outlook, end_user: str) -> list[Choice]:
    by_priority = sorted(targets, key=_negative_priority)
    share = _STRATEGIES[route.strategy]
    ordered: list[Choice] = []
    for negative, group in groupby(by_priority, key=_negative_priority):
        equals = list(group)
        shared = share(equals, route, outlook, end_user) if len(equals) > 1 else [(equals[0], "")]
        ordered += [Choice(target.deployment, _why(-negative, reason)) for target, reason in shared]
    return ordered


def _why(priority: int, reason: str) -> str:
    return f"priority {priority}, {reason}" if reason else f"priority {priority}"


def _negative_priority(target: TargetSpec) -> int:
    return -target.priority


Shared = list[tuple[TargetSpec, str]]
_Strategy = Callable[[list[TargetSpec], RouteSpec, Outlook, str], Shared]


def _by_weight(equals: list[TargetSpec], route: RouteSpec, outlook: Outlook, end_user: str) -> Shared:
    """A weighted random order: u ** (1 / weight), largest first (Efraimidis and Spirakis, 2006).

    A sticky route draws its u from the end user's name: the same user gets the same order, and when a target comes or
    goes only those move who must (weighted rendezvous hashing).
    """
    total = sum(target.weight for target in equals)
    sticky = route.sticky and bool(end_user)

    def luck(target: TargetSpec) -> float:
        drawn = _drawn(route.name, end_user, target.deployment.full_name) if sticky else outlook.chance()
        return math.log(drawn or math.ulp(0.0)) / target.weight

    kept = ", kept for this end user" if sticky else ""
    return [(target, f"weight {target.weight} of {total}{kept}") for target in sorted(equals, key=luck, reverse=True)]


def _drawn(*words: str) -> float:
    digest = hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _in_turn(equals: list[TargetSpec], route: RouteSpec, outlook: Outlook, end_user: str) -> Shared:
    del end_user
    first = outlook.turn(f"{route.name} {equals[0].priority}") % len(equals)
    return [(target, "in turn") for target in (*equals[first:], *equals[:first])]


def _by_latency(equals: list[TargetSpec], route: RouteSpec, outlook: Outlook, end_user: str) -> Shared:
    """Who only fails goes last: an unknown speed, or one of before, is no high one."""
    del route, end_user
    found = [
        (outlook.success_share(target.deployment) == 0, outlook.latency_ms(target.deployment), outlook.chance(), target)
        for target in equals
    ]
    found.sort(key=lambda each: each[:3])
    return [(target, _speed(ms, fails=fails)) for fails, ms, _, target in found]


def _speed(ms: float, *, fails: bool) -> str:
    if fails:
        return "has only failed of late"
    return f"answers in about {ms:.0f} ms" if ms else "speed not known yet"


def _by_cost(equals: list[TargetSpec], route: RouteSpec, outlook: Outlook, end_user: str) -> Shared:
    """Who has no price goes last: an unknown cost is not a low one."""
    del route, end_user
    found = [(outlook.cost_pico(target.deployment), outlook.chance(), target) for target in equals]
    found.sort(key=lambda each: (math.inf if each[0] is None else each[0], each[1]))
    return [(target, "cost unknown" if cost is None else f"about ${cost / 1e12:.6f}") for cost, _, target in found]


def _by_score(equals: list[TargetSpec], route: RouteSpec, outlook: Outlook, end_user: str) -> Shared:
    del route, end_user
    found = [(score(outlook, target.deployment), outlook.chance(), target) for target in equals]
    found.sort(key=lambda each: each[:2], reverse=True)
    return [(target, f"score {points:.2f}") for points, _, target in found]


def score(outlook: Outlook, deployment: DeploymentSpec) -> float:
    """0.4 * success share + 0.3 * max(0, 1 - average ms / 5000) + health bonus (specification B)."""
    share = outlook.success_share(deployment)
    speed = max(0.0, 1 - outlook.latency_ms(deployment) / _SLOW_MS)
    return 0.4 * (1.0 if share is None else share) + 0.3 * speed + _HEALTH_BONUS * outlook.is_healthy(deployment)


_STRATEGIES: dict[str, _Strategy] = {
    "priority": _by_weight,
    "weighted": _by_weight,
    "round_robin": _in_turn,
    "least_latency": _by_latency,
    "least_cost": _by_cost,
    "score": _by_score,
}


def _not_found(topology: Topology, model: str, kind: str, provider: str | None) -> str:
    """What is wrong with what was asked for, and what there is instead."""
    if model and not provider and topology.targets(model):
        wanted = f"'{model}' makes no embeddings" if kind == "embedding" else f"'{model}' is for embeddings alone"
    else:
        wanted = _unknown(model, provider)
    known = topology.listed_by_type.get(kind)
    if not known:
        return f"{wanted}: no {kind} model is set up yet. An administrator can add one under Providers."
    return f"{wanted}. There is: {some_of(known)}."


def _unknown(model: str, provider: str | None) -> str:
    wanted = f"No model '{model}'" if model else "No default model"
    if provider:
        wanted += f" at provider '{provider}'"
    return wanted


def some_of(names: Sequence[str]) -> str:
    """The first of `names`, for a message: there may be thousands."""
    more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
