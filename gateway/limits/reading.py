"""The limits of a snapshot, read from the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings

from accounts.models import EndpointLimit, Tier
from gateway.limits.definitions import (
    CallerLimits,
    Limit,
    LimitSet,
    TierLimits,
    caller_limits,
    default_limit,
    limits,
    numbers,
)


class Capacity(msgspec.Struct, frozen=True):
    """What deployments can take, by their id: only of those that have bounds. `slots` are calls at once."""

    limits: dict[UUID, LimitSet] = {}
    slots: dict[UUID, int] = {}


def tiers() -> dict[UUID, TierLimits]:
    endpoints: dict[UUID, dict[str, dict[str, int | None]]] = defaultdict(dict)
    for row in EndpointLimit.objects.all():
        endpoints[row.tier_id][row.endpoint] = numbers(row)
    return {row.id: TierLimits(row.name, numbers(row), endpoints[row.id]) for row in Tier.objects.all()}


def of_key(key: Any, tiers: dict[UUID, TierLimits]) -> CallerLimits:
    """An `ApiKey` row's: its client's, its own, and its tier's; without a tier the operator's default."""
    subject = f"key:{key.id}"
    found = limits(f"client:{key.client_id}", f"the client {key.client.name}", numbers(key.client))
    found += limits(subject, f"the key {key.prefix}", numbers(key))
    tier = tiers.get(key.tier_id) if key.tier_id else None
    by_endpoint: dict[str, list[Limit]] = {}
    if tier is not None:
        of_tier, by_endpoint = tier.of(subject)
        found += of_tier
    elif settings.RATE_LIMIT_REQUESTS:
        found.append(
            default_limit(subject, requests=settings.RATE_LIMIT_REQUESTS, window_s=settings.RATE_LIMIT_WINDOW_S)
        )
    return caller_limits(found, by_endpoint)


class Keyless(msgspec.Struct, frozen=True):
    """What callers without a key of ours are known by: their client, found by its name, and the tiers by theirs."""

    clients: dict[str, tuple[UUID, Sequence[Limit]]] = {}
    allowed: dict[str, tuple[str, ...]] = {}  # the models of those clients that may not use all
    tiers: dict[str, TierLimits] = {}
