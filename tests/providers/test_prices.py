"""What the catalogue knows of prices: tiers, currencies, exchange rates, and what happens when they change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import revision
from gateway import catalogue
from gateway.loading.deployments import Deployments
from gateway.loading.pace import Pace
from providers import prices
from providers.models import Deployment, ExchangeRate, Price, PriceTier, Provider
from providers.operations import Rates, save_price, set_price
from usage import pricing
from usage.pricing import TierPrice
from wire.neutral import Usage

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def model() -> Deployment:
    provider = Provider.objects.create(name="Own", slug="own", kind="demo")
    return Deployment.objects.create(provider=provider, name="gpt")


def _price(model: Deployment, **given: Any) -> Price:
    usual = {"valid_from": NOW - timedelta(days=30), "input_per_million": 2, "output_per_million": 6}
    price = Price(deployment=model, **usual | given)
    return save_price(price, tiers=[])


def _euros(day: date, usd: str) -> ExchangeRate:
    return ExchangeRate.objects.create(currency="EUR", day=day, usd_per_unit=Decimal(usd))


def _cost(model: Deployment, at: datetime, prompt: int = 1_000) -> int | None:
    rows = [prices.list_price(row) for row in Price.objects.filter(deployment=model)]
    rates = pricing.in_force(pricing.timeline(rows, prices.exchanges({row.currency for row in rows})), at)
    return pricing.cost(rates, Usage(input_tokens=prompt)).total_pico if rates else None


def test_every_rate_and_tier_reaches_the_catalogue(model: Deployment) -> None:
    tier = TierPrice(above_tokens=200_000, input_per_million=Decimal(4), output_per_million=Decimal(9))
    wanted = Rates(
        input_per_million=Decimal("2.5"),
        output_per_million=Decimal(6),
        cached_input_per_million=Decimal("0.25"),
        cache_write_5m_per_million=Decimal(3),
        cache_write_1h_per_million=Decimal(5),
        audio_input_per_million=Decimal(7),
        image_input_per_million=Decimal(8),
        reasoning_per_million=Decimal(11),
        audio_output_per_million=Decimal(12),
        image_output_per_million=Decimal("0.0000000001"),
        per_request=Decimal("0.01"),
        tiers=(tier,),
    )
    set_price(model, wanted, now=NOW)
    row = Price.objects.get()
    assert Rates.of(row) == wanted
    known = Deployments()
    known.refresh(Pace(is_hurried=True))
    assert known.topology.by_id[model.pk].prices == (pricing.rates(prices.list_price(row)),)


def test_the_same_rates_make_no_new_row(model: Deployment) -> None:
    tiers = (TierPrice(above_tokens=10, input_per_million=Decimal(1), output_per_million=Decimal(1)),)
    rates = Rates(input_per_million=Decimal(1), output_per_million=Decimal(2), tiers=tiers)
    set_price(model, rates, now=NOW)
    set_price(model, rates, now=NOW + timedelta(days=1))
    assert (Price.objects.count(), PriceTier.objects.count()) == (1, 1)


def test_a_call_is_priced_at_its_days_exchange_rate(model: Deployment) -> None:
    _price(model, currency="EUR")
    _euros(date(2026, 11, 1), "1.10")
    _euros(date(2026, 11, 20), "1.20")
    midnight = datetime(2026, 11, 20, tzinfo=UTC)
    assert _cost(model, midnight - timedelta(microseconds=1)) == 2_200_000_000
    assert _cost(model, midnight) == 2_400_000_000
    assert _cost(model, datetime(2026, 10, 31, tzinfo=UTC)) is None


def test_without_an_exchange_rate_the_model_is_unpriced(model: Deployment) -> None:
    _price(model, currency="EUR")
    assert list(prices.unpriced(Deployment.objects.all(), now=NOW)) == [model]
    assert not prices.has_exchange_rate("EUR", NOW)
    _euros(date(2026, 11, 21), "1.10")
    assert not prices.has_exchange_rate("EUR", NOW)
    _euros(date(2026, 11, 20), "1.10")
    assert prices.has_exchange_rate("EUR", NOW)
    assert not prices.unpriced(Deployment.objects.all(), now=NOW)


def test_the_snapshot_holds_what_can_still_be_of_use(model: Deployment) -> None:
    now = timezone.now()
    for days in (90, 60, 30):
        _price(model, valid_from=now - timedelta(days=days), input_per_million=days)
    _price(model, valid_from=now + timedelta(days=1), input_per_million=1)
    (spec,) = catalogue.load().topology.deployments
    assert [rates.scale.input for rates in spec.prices] == [1 * 10**10, 30 * 10**10]


@pytest.mark.parametrize("change", ["tier", "exchange rate"])
def test_a_changed_tier_or_exchange_rate_is_seen_by_the_catalogue(model: Deployment, change: str) -> None:
    price = _price(model)
    before = revision.current()
    if change == "tier":
        PriceTier.objects.create(price=price, above_tokens=5, input_per_million=1, output_per_million=1)
    else:
        _euros(date(2026, 11, 1), "1.10")
    assert revision.current() > before


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"currency": "euro"}, "currency"),
        ({"input_per_million": Decimal(-1)}, "input_per_million"),
        ({"input_per_million": Decimal("12345678.1234567891")}, "input_per_million"),
    ],
)
def test_a_price_that_no_database_keeps_is_refused(model: Deployment, given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _price(model, **given)
    assert field in refused.value.error_dict


def test_two_tiers_from_the_same_bound_are_refused(model: Deployment) -> None:
    tiers = [PriceTier(above_tokens=5, input_per_million=1, output_per_million=1) for _ in range(2)]
    price = Price(deployment=model, valid_from=NOW, input_per_million=1, output_per_million=1)
    with pytest.raises(ValidationError) as refused:
        save_price(price, tiers=tiers)
    assert "tiers" in refused.value.error_dict
    assert not Price.objects.exists()


def test_a_currency_has_one_rate_a_day_and_dollars_have_none() -> None:
    _euros(date(2026, 11, 1), "1.10")
    with pytest.raises(IntegrityError), transaction.atomic():
        _euros(date(2026, 11, 1), "1.20")
    with pytest.raises(ValidationError):
        ExchangeRate(currency="USD", day=date(2026, 11, 1), usd_per_unit=1).full_clean()
