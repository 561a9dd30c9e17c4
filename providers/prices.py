"""Price rows as `usage.pricing` wants them, with the exchange rates of their currencies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

from providers.models import Deployment, ExchangeRate, PerMillion, Price
from usage import pricing
from usage.pricing import DOLLARS, RATE_NAMES, Exchange, ListPrice, Rates, TierPrice
from usage.repricing import Terms


def histories(*, since: datetime) -> dict[UUID, tuple[Rates, ...]]:
    """Every deployment's rates that were in force at `since` or come after it, newest first."""
    rows: dict[UUID, list[ListPrice]] = defaultdict(list)
    for row in Price.objects.prefetch_related("tiers"):
        rows[row.deployment_id].append(list_price(row))
    known = exchanges({price.currency for prices in rows.values() for price in prices})
    return {deployment_id: pricing.timeline(prices, known, since=since) for deployment_id, prices in rows.items()}


def list_price(row: Price) -> ListPrice:
    """`row` and its tiers."""
    return ListPrice(
        price_id=row.pk,
        valid_from=row.valid_from,
        currency=row.currency,
        per_request=row.per_request,
        tiers=tuple(TierPrice(above_tokens=tier.above_tokens, **_rates(tier)) for tier in row.tiers.all()),
        **_rates(row),
    )


def _rates(row: PerMillion) -> dict[str, Any]:
    return {name: getattr(row, name) for name in RATE_NAMES}


def exchanges(currencies: Iterable[str]) -> list[Exchange]:
    """All their rates."""
    others = set(currencies) - {DOLLARS}
    if not others:
        return []
    return [
        Exchange(row.currency, datetime.combine(row.day, time.min, UTC), row.usd_per_unit)
        for row in ExchangeRate.objects.filter(currency__in=others)
    ]


def has_exchange_rate(currency: str, now: datetime) -> bool:
    """Whether a price in `currency` can be told in dollars."""
    day = now.astimezone(UTC).date()
    return currency == DOLLARS or ExchangeRate.objects.filter(currency=currency, day__lte=day).exists()


def unpriced(deployments: Iterable[Deployment], *, now: datetime) -> list[Deployment]:
    """Those whose calls' cost would be unknown now: without a price, or without its currency's exchange rate."""
    known = histories(since=now)
    return [each for each in deployments if pricing.in_force(known.get(each.pk, ()), now) is None]


def terms(row: Price) -> Terms:
    """`row` for calls of any time, as re-pricing keeps it."""
    return Terms(price=list_price(row), exchanges=tuple(exchanges([row.currency])))
