"""Providers, deployments and routes as the hot path knows them: frozen, complete, and without a database.

There may be tens of thousands, and none can be part of a circle: the garbage collector is spared them (`gc=False`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

import msgspec

from core.vault import Secret
from providers.resilience.breaker import Policy
from usage.pricing import Rates

Strategy = Literal["priority", "weighted", "round_robin", "least_latency", "least_cost", "score"]


class CredentialSpec(msgspec.Struct, frozen=True, gc=False):
    id: UUID
    label: str
    secret: Secret
    weight: int = 1


class ProviderSpec(msgspec.Struct, frozen=True, gc=False):
    """`address` is the base URL without a slash at its end. `forgiven_at`: when somebody last reset its circuits."""

    id: UUID
    slug: str
    kind: str
    address: str
    organization: str
    priority: int
    weight: int
    connect_timeout_s: float
    first_token_timeout_s: float
    between_chunks_timeout_s: float
    timeout_s: float
    drains: bool
    credentials: tuple[CredentialSpec, ...]
    retry_attempts: int = 3
    retry_delay_s: float = 1.0
    circuit: Policy = Policy()
    forgiven_at: datetime | None = None


class DeploymentSpec(msgspec.Struct, frozen=True, gc=False):
    """`name` is what callers ask for, `model` what the provider calls it. `prices` are sorted newest first.

    `defaults` are sampling settings, named as in `wire.neutral.ChatRequest`, for calls that say nothing of them.
    """

    id: UUID
    name: str
    model: str
    type: str
    provider: ProviderSpec
    max_output_tokens: int | None
    defaults: dict[str, Any]
    prices: tuple[Rates, ...]
    context_window: int | None = None
    capabilities: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        return f"{self.provider.slug}/{self.name}"


class TargetSpec(msgspec.Struct, frozen=True, gc=False):
    deployment: DeploymentSpec
    priority: int
    weight: int


class RouteSpec(msgspec.Struct, frozen=True, gc=False):
    """How a name's targets share its calls. `sticky`: an end user stays with one of them."""

    name: str
    strategy: Strategy = "priority"
    sticky: bool = False


Targets = tuple[TargetSpec, ...]
_Named = dict[str, tuple[DeploymentSpec, ...]]


class Topology(msgspec.Struct, frozen=True, dict=True):
    """`names` maps every name that a call may use (route, deployment, provider/model) to its targets.

    `hidden` are names that there are, but not for whom this topology is for: a call for one of them is refused, and
    not taken for one of an unknown name. `providers` are the slugs, ids and kinds of all providers that there are, also
    of those that take no calls. `sharing` says of routes how their targets share. What is worked out of these is worked
    out once.
    """

    names: dict[str, Targets]
    deployments: tuple[DeploymentSpec, ...]
    routes: tuple[str, ...]
    catch_all: str | None
    sharing: dict[str, RouteSpec] = {}
    hidden: Mapping[str, Targets] = {}
    providers: frozenset[str] = frozenset()

    def targets(self, name: str) -> Targets | None:
        """Who answers to `name`; None: nobody knows it."""
        found = self.names.get(name)
        return () if found is None and name in self.hidden else found

    @cached_property
    def listed(self) -> tuple[str, ...]:
        """What callers are shown: routes and models, sorted."""
        return tuple(sorted({*self.routes, *(deployment.name for deployment in self.deployments)}))

    @cached_property
    def listed_by_type(self) -> dict[str, tuple[str, ...]]:
        """The same of each type of model; a route is of the types of its targets."""
        by_type: dict[str, set[str]] = defaultdict(set)
        for deployment in self.deployments:
            by_type[deployment.type].add(deployment.name)
        for route in self.routes:
            for target in self.names.get(route, ()):
                by_type[target.deployment.type].add(route)
        return {each: tuple(sorted(names)) for each, names in by_type.items()}

    @cached_property
    def route_names(self) -> frozenset[str]:
        return frozenset(self.routes)

    @cached_property
    def by_id(self) -> dict[UUID, DeploymentSpec]:
        return {deployment.id: deployment for deployment in self.deployments}

    @cached_property
    def by_own_name(self) -> _Named:
        """By their own names and full names, which routes may have taken: all that a call may come to."""
        targets = {target.deployment.id: target.deployment for targets in self.names.values() for target in targets}
        return _grouped(
            (name, each) for each in (self.by_id | targets).values() for name in (each.name, each.full_name)
        )

    @cached_property
    def by_provider(self) -> _Named:
        """By their provider's slug and id."""
        return _grouped(
            (name, each) for each in self.deployments for name in (each.provider.slug, str(each.provider.id))
        )

    @cached_property
    def by_kind(self) -> _Named:
        """By their provider's kind."""
        return _grouped((each.provider.kind, each) for each in self.deployments)

    @cached_property
    def leading_to(self) -> dict[UUID, tuple[str, ...]]:
        """The names among whose targets a deployment is."""
        found: dict[UUID, list[str]] = {}
        for name, targets in self.names.items():
            for target in targets:
                found.setdefault(target.deployment.id, []).append(name)
        return {deployment_id: tuple(names) for deployment_id, names in found.items()}


def _grouped(pairs: Iterable[tuple[str, DeploymentSpec]]) -> _Named:
    found: dict[str, list[DeploymentSpec]] = {}
    for name, deployment in pairs:
        found.setdefault(name, []).append(deployment)
    return {name: tuple(deployments) for name, deployments in found.items()}
