"""Deployments made up for tests of deciding code."""

from __future__ import annotations

import math
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

from core.http1 import Session
from core.vault import Secret
from providers import dispatch
from providers.adapters import Answer
from providers.dispatch import Sendable
from providers.resilience.breaker import Policy
from providers.specs import CredentialSpec, DeploymentSpec, ProviderSpec
from usage.pricing import Rates


async def sent_to(
    session: Session,
    target: DeploymentSpec,
    credential: CredentialSpec | None,
    call: Sendable,
    forwarded: dict[str, str] | None = None,
) -> Answer:
    """What `target` answers; the call has all the time that there is."""
    return await dispatch.send(
        session, target, credential, call, call.body(), forwarded=forwarded or {}, ends_at=math.inf, sent=lambda: None
    )


def key(label: str, *, weight: int = 1, secret: str = "") -> CredentialSpec:
    return CredentialSpec(_id(label), label, Secret(secret or f"sk-{label}"), weight)


def deployment(
    provider: str,
    name: str = "gpt",
    *,
    kind: str = "openai",
    type_: str = "chat",
    keys: tuple[CredentialSpec, ...] = (),
    prices: tuple[Rates, ...] = (),
    **settings: Any,
) -> DeploymentSpec:
    settings.setdefault("circuit", Policy())
    spec = ProviderSpec(
        id=_id(provider),
        slug=provider,
        kind=kind,
        address="",
        organization="",
        priority=10,
        weight=1,
        connect_timeout_s=60,
        first_token_timeout_s=60,
        between_chunks_timeout_s=60,
        timeout_s=60,
        drains=True,
        credentials=keys,
        **settings,
    )
    return DeploymentSpec(
        id=_id(f"{provider}/{name}"),
        name=name,
        model=name,
        type=type_,
        provider=spec,
        max_output_tokens=None,
        defaults={},
        prices=prices,
    )


def _id(name: str) -> UUID:
    return uuid5(NAMESPACE_DNS, name)
