"""Tiers: those with which an installation begins (specification E's), and how one is saved with its endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from accounts.models import EndpointLimit, Tier

_CALLS_AN_HOUR = {"premium": 1_000, "standard": 100, "basic": 10}
_CALLS_A_MINUTE = {"/v1/llm/generate": 10, "/v1/llm/generate-embeddings": 20, "/v1/vector/search": 100}


def make_first_tiers() -> None:
    """Where there is no tier yet. No key is in one unless somebody puts it there."""
    if Tier.objects.exists():
        return
    for name, calls in _CALLS_AN_HOUR.items():
        tier = Tier.objects.create(name=name, requests_per_hour=calls)
        EndpointLimit.objects.bulk_create(
            EndpointLimit(tier=tier, endpoint=endpoint, requests_per_minute=calls_a_minute)
            for endpoint, calls_a_minute in _CALLS_A_MINUTE.items()
        )


@transaction.atomic
def save_tier(tier: Tier, *, endpoints: Sequence[EndpointLimit] | None = None, **fields: Any) -> Tier:
    """A new tier, or one whose `fields` alone change, whatever `tier` says of the others.

    `endpoints`, where given, replace those it has. Raises `ValidationError`.
    """
    if not tier._state.adding:
        tier = Tier.objects.select_for_update().get(pk=tier.pk)
    for name, value in fields.items():
        setattr(tier, name, value)
    tier.full_clean()
    tier.save()
    if endpoints is not None:
        tier.endpoints.all().delete()
        for each in endpoints:
            each.tier = tier
            each.full_clean()
            each.save()
    return tier
