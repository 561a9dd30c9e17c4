"""Price rows as `usage.pricing` wants them, with the exchange rates of their currencies."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from providers.models import Deployment, ExchangeRate, PerMillion, Price
from usage.pricing import DOLLARS, RATE_NAMES, Exchange, ListPrice, TierPrice
from usage.repricing import Terms


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


def unpriced(deployments: QuerySet[Deployment], *, now: datetime) -> QuerySet[Deployment]:
    """Those whose calls' cost would be unknown now: without a price, or without its currency's exchange rate.

    `priced_in` is that currency; None where there is no price.
    """
    in_force = Price.objects.filter(deployment=OuterRef("pk"), valid_from__lte=now).order_by("-valid_from")
    rates = ExchangeRate.objects.filter(currency=OuterRef("priced_in"), day__lte=now.astimezone(UTC).date())
    priced = deployments.annotate(priced_in=Subquery(in_force.values("currency")[:1]))
    return priced.filter(Q(priced_in=None) | (~Q(priced_in=DOLLARS) & ~Exists(rates)))


def terms(row: Price) -> Terms:
    """`row` for calls of any time, as re-pricing keeps it."""
    return Terms(price=list_price(row), exchanges=tuple(exchanges([row.currency])))
