"""Prices, exchange rates, published prices and re-pricing, as an administrator meets them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from core.ids import uuid7_of
from providers.models import Deployment, ExchangeRate, Price, PriceTier, Provider
from tests.usage.rows import hold, record
from usage import corrections, ledger
from usage.ledger import Note
from usage.models import Repricing, UsageRecord

PRICES = "/admin/providers/price/"
NO_TIERS = {"tiers-TOTAL_FORMS": 0, "tiers-INITIAL_FORMS": 0}


@pytest.fixture
def model(db: None) -> Deployment:
    provider = Provider.objects.create(name="OpenAI", slug="openai", kind="openai")
    return Deployment.objects.create(provider=provider, name="gpt-5.4-mini")


def _price(model: Deployment, **given: Any) -> Price:
    since = timezone.now() - timedelta(days=9)
    usual = {"valid_from": since, "input_per_million": Decimal(1), "output_per_million": Decimal(2)}
    return Price.objects.create(deployment=model, **usual | given)


def _page(browser: Browser, url: str) -> str:
    answer = browser.get(url, follow=True)
    assert answer.status_code == 200
    text: str = answer.content.decode()
    return text


# --- prices -------------------------------------------------------------------------------------------------------


def test_a_price_with_a_tier_is_entered_and_shown(staff: Browser, model: Deployment) -> None:
    body = {
        "deployment": model.pk,
        "input_per_million": "1.25",
        "output_per_million": "10",
        "currency": "USD",
        "tiers-TOTAL_FORMS": 1,
        "tiers-INITIAL_FORMS": 0,
        "tiers-0-above_tokens": 200_000,
        "tiers-0-input_per_million": "2.50",
        "tiers-0-output_per_million": "15",
    }
    assert staff.post(f"{PRICES}add/", body).status_code == 302
    tier = PriceTier.objects.get()
    assert (tier.above_tokens, tier.input_per_million) == (200_000, Decimal("2.50"))
    shown = _page(staff, reverse("admin:providers_price_change", args=[tier.price_id]))
    assert "200,000 tokens" in shown
    assert "$2.50" in shown
    assert "over 200,000" in _page(staff, PRICES)


def test_a_planned_price_may_have_a_day_alone(staff: Browser, model: Deployment) -> None:
    body = {"deployment": model.pk, "input_per_million": "1", "output_per_million": "2", "currency": "USD", **NO_TIERS}
    staff.post(f"{PRICES}add/", body | {"valid_from_0": "2099-03-01", "valid_from_1": ""})
    assert Price.objects.get().valid_from == datetime(2099, 3, 1, tzinfo=UTC)


def test_an_embedding_model_needs_no_output_price_and_another_does(staff: Browser, model: Deployment) -> None:
    body = {"deployment": model.pk, "input_per_million": "1", "output_per_million": "", "currency": "USD", **NO_TIERS}
    refused = staff.post(f"{PRICES}add/", body)
    assert "Enter both prices" in refused.content.decode()
    Deployment.objects.update(type=Deployment.Type.EMBEDDING)
    staff.post(f"{PRICES}add/", body)
    assert Price.objects.get().output_per_million == 0


def test_a_price_without_an_exchange_rate_warns_everywhere(staff: Browser, model: Deployment) -> None:
    body = {"deployment": model.pk, "input_per_million": "1", "output_per_million": "2", "currency": "EUR", **NO_TIERS}
    answer = staff.post(f"{PRICES}add/", body, follow=True)
    assert "no exchange rate for EUR yet" in answer.content.decode()
    price = Price.objects.get()
    assert "no exchange rate for EUR yet" in _page(staff, reverse("admin:providers_price_change", args=[price.pk]))
    for url in (PRICES, "/admin/providers/deployment/", "/admin/providers/deployment/?price=unknown"):
        assert "no exchange rate: cost unknown" in _page(staff, url)
    home = _page(staff, "/admin/")
    assert "No exchange rate for the prices of gpt-5.4-mini" in home
    assert "No price for" not in home

    ExchangeRate.objects.create(currency="EUR", day=timezone.now().date(), usd_per_unit=Decimal("1.08"))

    assert "no exchange rate" not in _page(staff, PRICES)
    assert "No exchange rate for" not in _page(staff, "/admin/")


def test_a_model_without_a_price_is_told_on_the_home_page(staff: Browser, model: Deployment) -> None:
    assert "No price for gpt-5.4-mini" in _page(staff, "/admin/")


def test_an_exchange_rate_is_entered_in_any_case_and_its_day_stays(staff: Browser, db: None) -> None:
    url = "/admin/providers/exchangerate/"
    body = {"currency": "eur", "day": "2026-11-01", "usd_per_unit": "1.0842"}
    assert staff.post(f"{url}add/", body).status_code == 302
    rate = ExchangeRate.objects.get()
    assert (rate.currency, rate.usd_per_unit) == ("EUR", Decimal("1.0842"))
    assert "$1.0842" in _page(staff, url)
    changed = {"currency": "GBP", "day": "2026-11-02", "usd_per_unit": "1.1"}
    assert staff.post(f"{url}{rate.pk}/change/", changed).status_code == 302
    rate.refresh_from_db()
    assert (rate.currency, rate.day.day, rate.usd_per_unit) == ("EUR", 1, Decimal("1.1"))


# --- published ----------------------------------------------------------------------------------------------------


def test_published_prices_are_shown_confirmed_and_taken_over(staff: Browser, model: Deployment) -> None:
    url = reverse("admin:providers_price_compare")
    assert url in _page(staff, PRICES)
    shown = _page(staff, url)
    assert "$0.75" in shown
    assert "checked" in shown
    key = f"{model.pk} "
    confirming = staff.post(url, {"chosen": [key]}).content.decode()
    assert "Take over, from now on" in confirming
    assert not Price.objects.exists()
    assert staff.post(url, {"chosen": [key], "confirmed": "yes"}).status_code == 302
    price = Price.objects.get()
    assert (price.input_per_million, price.source[:13]) == (Decimal("0.75"), "genai-prices ")
    assert "Every price that is published is the one in force here." in _page(staff, url)


def test_a_price_set_by_hand_is_not_ticked(staff: Browser, model: Deployment) -> None:
    _price(model)
    shown = _page(staff, reverse("admin:providers_price_compare"))
    assert "set by hand" in shown
    assert "checked" not in shown.split('name="chosen"')[1].split(">")[0]


def test_what_has_changed_meanwhile_is_not_taken_over(staff: Browser, model: Deployment) -> None:
    _price(model)
    url = reverse("admin:providers_price_compare")
    answer = staff.post(url, {"chosen": [f"{model.pk} "], "confirmed": "yes"})
    assert "changed meanwhile" in answer.content.decode()
    assert Price.objects.count() == 1


# --- re-pricing ---------------------------------------------------------------------------------------------------


@pytest.fixture
def price(model: Deployment) -> Price:
    return _price(model)


@pytest.fixture
def calls(model: Deployment) -> None:
    at = timezone.now() - timedelta(hours=1)
    rows = [record(hold(id=uuid7_of(at), started_at=at, deployment_id=model.pk)) for _ in range(3)]
    ledger.apply([Note(row) for row in rows])


def _ask(staff: Browser, price: Price, **given: Any) -> Any:
    today = timezone.localdate()
    body = {"price": price.pk, "first_day": today - timedelta(days=3), "last_day": today, "reason": "it was dearer"}
    return staff.post("/admin/usage/repricing/add/", body | given)


def _work(row: Repricing) -> None:
    while corrections.advance(row.pk, now=timezone.now()):
        pass


def test_a_price_leads_to_its_repricing(staff: Browser, price: Price) -> None:
    answer = staff.get(reverse("admin:providers_price_reprice", args=[price.pk]), follow=True)
    assert f'value="{price.pk}" selected' in answer.content.decode()


def test_calls_are_compared_then_applied(staff: Browser, price: Price, calls: None) -> None:
    assert _ask(staff, price).status_code == 302
    row = Repricing.objects.get()
    url = reverse("admin:usage_repricing_change", args=[row.pk])
    assert 'http-equiv="refresh"' in _page(staff, url)
    _work(row)
    shown = _page(staff, url)
    for told in ("it was dearer", "$0.000000000075", "$0.00006", "+$0.000059999925", "3 adjustments will be booked"):
        assert told in shown

    staff.post(reverse("admin:usage_repricing_apply", args=[row.pk]))
    assert "0 of 3" in _page(staff, url)
    _work(row)

    assert "3 of 3" in _page(staff, url)
    assert "Applied" in _page(staff, "/admin/usage/repricing/")
    adjustment = UsageRecord.objects.filter(kind="adjustment").first()
    assert adjustment is not None
    assert (adjustment.reason, adjustment.author) == ("it was dearer", "admin")
    shown = _page(staff, reverse("admin:usage_usagerecord_change", args=[adjustment.pk]))
    assert "it was dearer" in shown


def test_calls_until_any_later_day_are_those_until_now(staff: Browser, price: Price, calls: None) -> None:
    assert _ask(staff, price, last_day="9999-12-31").status_code == 302
    row = Repricing.objects.get()
    _work(row)
    row.refresh_from_db()
    assert (row.rows, row.ends_at) == (3, row.created_at)


def test_what_was_applied_cannot_be_discarded_and_what_was_not_can(staff: Browser, price: Price, calls: None) -> None:
    _ask(staff, price)
    row = Repricing.objects.get()
    _work(row)
    corrections.apply(row.pk, author="ada", now=timezone.now())
    url = reverse("admin:usage_repricing_delete", args=[row.pk])
    assert staff.post(url, {"post": "yes"}).status_code == 403
    Repricing.objects.update(state="compared")
    assert staff.post(url, {"post": "yes"}).status_code == 302


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"reason": ""}, "required"),
        ({"last_day": "2020-01-01"}, "must not be before"),
        ({"first_day": "2098-12-31", "last_day": "2099-01-01"}, "Choose a day from 1971 until today."),
        ({"first_day": "1969-12-31"}, "Choose a day from 1971 until today."),  # no key of the books is as old
    ],
)
def test_a_wrong_question_is_answered(staff: Browser, price: Price, given: dict[str, str], told: str) -> None:
    answer = _ask(staff, price, **given)
    assert answer.status_code == 200
    assert told in answer.content.decode()
    assert not Repricing.objects.exists()


def test_who_may_only_look_can_neither_ask_nor_apply(staff: Browser, price: Price, calls: None) -> None:
    from django.contrib.auth.models import Permission, User

    _ask(staff, price)
    row = Repricing.objects.get()
    _work(row)
    viewer = User.objects.create_user("viewer", password="x", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_repricing"))
    browser = Browser()
    browser.force_login(viewer)
    shown = _page(browser, reverse("admin:usage_repricing_change", args=[row.pk]))
    assert "it was dearer" in shown
    assert "Apply" not in shown
    browser.post(reverse("admin:usage_repricing_apply", args=[row.pk]))
    assert _ask(browser, price).status_code == 302
    row.refresh_from_db()
    assert (row.state, Repricing.objects.count()) == ("compared", 1)
