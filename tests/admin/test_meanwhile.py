"""Two who change the same row: the second one is told, before the work of the first is undone."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.admin_meanwhile import CHANGED, EditedAdmin
from accounts.models import ApiKey, Client
from alerts.models import Channel, ReportSchedule
from providers.models import ExchangeRate, Price, Provider
from tests.admin.test_providers import ADD, change_url, edit, form, model_form
from usage.models import Budget

admin.autodiscover()  # as the URLs do, with the first page
PAGES = [page for page in admin.site._registry.values() if isinstance(page, EditedAdmin)]


def seen(answer: Any) -> dict[str, str]:
    """What its form brings along of how the row was."""
    return {"_seen": answer.context["seen"]}


@pytest.fixture
def a_row_of_each(filled: None) -> None:
    """Of what the demo leaves out."""
    Budget.objects.create(name="all", scope="all", cap_pico=10**12, period="month")
    ExchangeRate.objects.create(currency="EUR", day=date(2026, 3, 1), usd_per_unit=Decimal("1.08"))
    channel = Channel.objects.create(name="Team", kind="email", address="ada@example.com")
    ReportSchedule.objects.create(name="AI costs").channels.add(channel)


@pytest.mark.usefixtures("a_row_of_each")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.model.__name__)
def test_a_page_that_nobody_has_changed_is_the_same_a_moment_later(staff: Browser, page: ModelAdmin[Any]) -> None:
    row = page.model.objects.first()
    options = page.model._meta
    url = reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[row.pk])
    first, second = (staff.get(url) for _ in range(2))

    assert seen(first) == seen(second) != {"_seen": ""}
    assert f'name="_seen" value="{first.context["seen"]}"' in first.content.decode()


def test_a_revoked_key_is_not_revived_by_an_old_page(staff: Browser) -> None:
    key, _ = ApiKey.mint(client=Client.objects.create(name="shop"), name="old")
    url = reverse("admin:accounts_apikey_change", args=[key.pk])
    opened = staff.get(url)
    ApiKey.objects.update(is_active=False)
    posted = {"name": "new", "scope": "call", "is_active": "on"}

    refused = staff.post(url, posted | seen(opened))
    key.refresh_from_db()
    assert CHANGED in refused.content.decode()
    assert (key.name, key.is_active) == ("old", False)

    assert staff.post(url, posted | seen(refused)).status_code == 302, "who has been told may do it all the same"
    key.refresh_from_db()
    assert (key.name, key.is_active) == ("new", True)


def test_a_new_price_is_not_undone_by_an_old_page(staff: Browser) -> None:
    staff.post(ADD, form())
    house = Provider.objects.get()
    first, second = (staff.get(change_url(house)) for _ in range(2))

    other = edit(house, **{"deployments-0-output_price": "2.25"}) | seen(first)
    assert staff.post(change_url(house), other).status_code == 302
    refused = staff.post(change_url(house), edit(house, priority="7") | seen(second))

    house.refresh_from_db()
    assert CHANGED in refused.content.decode()
    assert house.priority == Provider().priority
    assert [price.output_per_million for price in Price.objects.order_by("valid_from")] == [Decimal("1.5"), 2.25]


def test_names_by_which_the_books_go_stay(staff: Browser) -> None:
    """Usage rows, budgets, rules and tokens name a client; a new name would take it out of its budgets."""
    client = Client.objects.create(name="shop")
    url = reverse("admin:accounts_client_change", args=[client.pk])
    no_keys = {"keys-TOTAL_FORMS": "0", "keys-INITIAL_FORMS": "0"}
    staff.post(url, {"name": "other", "description": "sells", "is_active": "on"} | no_keys | seen(staff.get(url)))
    client.refresh_from_db()
    assert (client.name, client.description) == ("shop", "sells")

    staff.post(ADD, form())
    house = Provider.objects.get()
    staff.post(change_url(house), edit(house, slug="elsewhere", name="Mansion"))
    house.refresh_from_db()
    assert (house.slug, house.name) == ("house", "Mansion")


def test_a_model_stays_its_providers_and_takes_no_others_name(staff: Browser) -> None:
    staff.post(ADD, form())
    house, elsewhere = Provider.objects.get(), Provider.objects.create(name="Other", slug="other", kind="demo")
    model, other = house.deployments.get(), house.deployments.create(name="house-small")
    url = reverse("admin:providers_deployment_change", args=[other.pk])

    refused = staff.post(url, model_form(other, name=model.name))
    assert "This provider has a model of that name already." in refused.content.decode()
    assert staff.post(url, model_form(other, name="house-tiny", provider=elsewhere.pk)).status_code == 302

    other.refresh_from_db()
    assert (other.name, other.provider) == ("house-tiny", house)


def test_who_only_looks_holds_up_nobody(staff: Browser) -> None:
    """On SQLite a transaction is the only one that may write."""
    url = reverse("admin:accounts_client_change", args=[Client.objects.create(name="shop").pk])
    with CaptureQueriesContext(connection) as asked:
        staff.get(url)

    assert [query["sql"] for query in asked.captured_queries if not query["sql"].startswith("SELECT")] == []
