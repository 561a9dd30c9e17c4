"""Providers, deployments and routes as the hot path knows them: frozen, complete, and without a database."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from core.vault import Secret
from usage.pricing import Rates


class CredentialSpec(msgspec.Struct, frozen=True):
    id: UUID
    label: str
    secret: Secret


class ProviderSpec(msgspec.Struct, frozen=True):
    """`address` is the base URL without a slash at its end."""

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

    @property
    def full_name(self) -> str:
        return f"{self.provider.slug}/{self.name}"


class TargetSpec(msgspec.Struct, frozen=True):
    deployment: DeploymentSpec
    priority: int
    weight: int


class Topology(msgspec.Struct, frozen=True):
    """`names` maps every name that a call may use (route, deployment, provider/model) to its targets."""

    names: dict[str, tuple[TargetSpec, ...]]
    deployments: tuple[DeploymentSpec, ...]
    routes: tuple[str, ...]
    catch_all: str | None
