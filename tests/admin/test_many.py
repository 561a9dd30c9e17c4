"""Pages where there is more than anybody would look through: what is sought is typed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from accounts.models import ApiKey, Client
from core.display import MOST_OFFERED
from providers.models import Deployment, Price, Provider, Route, RouteTarget
from usage.models import Budget

pytestmark = pytest.mark.django_db
BUDGET: dict[str, Any] = {"name": "b", "scope": "client", "client": "shop-7", "cap_pico": "5", "period": "month"}
BUDGET |= {"time_zone": "UTC", "hard": "on", "is_active": "on"}


@pytest.fixture(autouse=True)
def crowd() -> None:
    """More clients, keys and prices than a list offers."""
    clients = [Client(name=f"shop-{number}") for number in range(MOST_OFFERED + 1)]
    Client.objects.bulk_create(clients)
    keys = [
        ApiKey(client=client, prefix=f"aip_{number:08}", digest=str(number)) for number, client in enumerate(clients)
    ]
    ApiKey.objects.bulk_create(keys)
    provider = Provider.objects.create(name="Own", slug="own", kind="demo")
    models = [Deployment(provider=provider, name=f"model-{number}") for number in range(MOST_OFFERED + 1)]
    Deployment.objects.bulk_create(models)
    Price.objects.bulk_create([Price(deployment=each, input_per_million=1, output_per_million=2) for each in models])


@pytest.mark.parametrize(
    "path",
    ["usage/budget/add", "usage/repricing/add", "usage/usagerecord", "usage/hold", "accounts/apikey"],
)
def test_no_page_lists_them_all(staff: Browser, path: str) -> None:
    page = staff.get(f"/admin/{path}/").content.decode()
    assert sum(f"shop-{number}<" in page or f'shop-{number}"' in page for number in range(MOST_OFFERED)) <= 100
    assert page.count("<option") < MOST_OFFERED


@pytest.mark.parametrize(
    ("given", "subject"),
    [({}, "shop-7"), ({"scope": "key", "key": "aip_00000003…"}, ""), ({"scope": "provider", "provider": "own"}, "own")],
)
def test_whose_a_budget_is_may_be_typed(staff: Browser, given: dict[str, str], subject: str) -> None:
    staff.post("/admin/usage/budget/add/", BUDGET | given)
    key = str(ApiKey.objects.get(prefix="aip_00000003").pk)
    assert Budget.objects.get().subject == (subject or key)


def test_what_is_not_there_is_not_taken(staff: Browser) -> None:
    page = staff.post("/admin/usage/budget/add/", BUDGET | {"client": "shop-x"}).content.decode()
    assert "There is no “shop-x”." in page
    page = staff.post("/admin/usage/repricing/add/", {"client": "shop-x"}).content.decode()
    assert "There is no client “shop-x”." in page
    assert not Budget.objects.exists()


def test_calls_are_found_by_a_client_that_is_typed(staff: Browser) -> None:
    assert staff.get("/admin/usage/usagerecord/?client=shop-7").status_code == 200


def test_the_home_page_names_three_models_without_a_price_and_counts_the_rest(staff: Browser) -> None:
    Price.objects.all().delete()
    assert "model-0, model-1, model-10 and 198 more" in staff.get("/admin/").content.decode()


def test_a_route_may_have_more_models_than_sqlite_compares_at_once(staff: Browser) -> None:
    provider = Provider.objects.get()
    Deployment.objects.bulk_create(Deployment(provider=provider, name=f"more-{number}") for number in range(1_000))
    route = Route.objects.create(name="all")
    RouteTarget.objects.bulk_create(RouteTarget(route=route, deployment=each) for each in Deployment.objects.all())

    assert staff.get(reverse("admin:providers_route_changelist")).status_code == 200
    assert len(staff.get(f"/api/ai-providers/routes/{route.pk}").json()["targets"]) == 1_000 + MOST_OFFERED + 1
