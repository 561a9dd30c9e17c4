"""Who may look and not change reads what the forms say, not what the database holds."""

from __future__ import annotations

import html
import re
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from aiplatform.first_groups import make_first_groups
from alerts.models import Channel, Rule
from core.money import PICO_PER_USD
from providers.models import Deployment, Price, Provider
from tests.admin.test_usage import call
from usage.models import Budget

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Browser:
    return _in("May see everything")


def _in(group: str) -> Browser:
    make_first_groups()
    user = User.objects.create_user("bob", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def model() -> Deployment:
    provider = Provider.objects.create(name="House", slug="house", kind="custom", base_url="https://llm.example.com/v1")
    model = Deployment.objects.create(provider=provider, name="large", capabilities=["tools", "singing"])
    rates = {"input_per_million": Decimal("1.25"), "output_per_million": Decimal(10)}
    Price.objects.create(deployment=model, currency="EUR", valid_from=timezone.now(), **rates)
    return model


def _page(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def _read(browser: Browser, row: Model) -> str:
    """The words of its page."""
    answer = browser.get(_page(row))
    assert answer.status_code == 200
    page = answer.content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page[page.index('id="content"') :])).split())


def test_a_budgets_limit_is_in_dollars(reader: Browser) -> None:
    budget = Budget.objects.create(name="Search", scope="all", cap_pico=1_250 * PICO_PER_USD, period="month")

    page = _read(reader, budget)

    assert "Limit $1,250.00 a month" in page
    assert "1250000000000000" not in page.replace(",", "")


def test_a_provider_has_its_prices_its_kind_and_its_seconds(reader: Browser, model: Deployment) -> None:
    page = _read(reader, model.provider)

    assert "1.25 EUR 10 EUR –" in page
    assert "Kind Any OpenAI-compatible host" in page
    assert "Time to connect 5 seconds" in page


def test_a_model_says_what_it_can_do_and_asks_for_no_price(reader: Browser, model: Deployment) -> None:
    page = _read(reader, model)

    assert "Capabilities Tools (function calls), singing" in page
    assert "New price" not in page


def test_a_rule_and_a_channel_are_in_the_words_of_their_forms(reader: Browser) -> None:
    channel = Channel.objects.create(name="Team", kind="email", address="ada@example.com")

    page = _read(reader, Rule.objects.get(name="Most calls fail"))
    assert "What is watched Share of calls that fail in the end" in page
    assert "Limit 50 " in page
    assert "For Each provider" in page

    page = _read(reader, channel)
    assert "Kind E-mail" in page
    assert "Stored secret none" in page
    assert "new secret" not in page.lower()


@pytest.mark.parametrize("group", ["Finance", "May see everything"])
def test_a_call_and_a_price_lead_nobody_to_a_page_that_is_not_for_him(group: str, model: Deployment) -> None:
    browser = _in(group)
    price = model.prices.get()
    row = call(deployment_id=model.pk, deployment="large", provider="house", price_id=price.pk)

    for page in (row, price):
        answer = browser.get(_page(page))
        links = set(re.findall(r'href="(/admin/[^"?]+)', answer.content.decode()))
        assert [link for link in links if browser.get(link, follow=True).status_code != 200] == []
        assert "large" in answer.content.decode()


def test_who_may_not_reprice_is_not_offered_to(reader: Browser, model: Deployment) -> None:
    assert "Re-price past calls" not in reader.get(_page(model.prices.get())).content.decode()


def test_a_user_s_password_is_set_by_who_may_change_the_user(reader: Browser, staff: Browser) -> None:
    alice = User.objects.create_user("alice", is_staff=True)

    assert "Set a new one" not in _read(reader, alice)
    assert "Set a new one" in _read(staff, alice)
