"""Providers, deployments and routes as the hot path knows them: frozen, complete, and without a database."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from core.vault import Secret
from providers.resilience.breaker import Policy
from usage.pricing import Rates

Strategy = Literal["priority", "weighted", "round_robin", "least_latency", "least_cost", "score"]


class CredentialSpec(msgspec.Struct, frozen=True):
    id: UUID
    label: str
    secret: Secret
    weight: int = 1


class ProviderSpec(msgspec.Struct, frozen=True):
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


class DeploymentSpec(msgspec.Struct, frozen=True):
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


class TargetSpec(msgspec.Struct, frozen=True):
    deployment: DeploymentSpec
    priority: int
    weight: int


class RouteSpec(msgspec.Struct, frozen=True):
    """How a name's targets share its calls. `sticky`: an end user stays with one of them."""

    name: str
    strategy: Strategy = "priority"
    sticky: bool = False


class Topology(msgspec.Struct, frozen=True):
    """`names` maps every name that a call may use (route, deployment, provider/model) to its targets.

    `sharing` says of routes how their targets share.
    """

    names: dict[str, tuple[TargetSpec, ...]]
    deployments: tuple[DeploymentSpec, ...]
    routes: tuple[str, ...]
    catch_all: str | None
    sharing: dict[str, RouteSpec] = {}
