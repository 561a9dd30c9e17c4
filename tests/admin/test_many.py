"""Pages where there is more than anybody would look through: what is sought is typed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from accounts.models import ApiKey, Client
from core.display import MOST_OFFERED
from providers.models import Deployment, Price, Provider
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


def _shown(answer: Any) -> dict[str, str]:
    """What a browser posts from a page that nobody has touched."""
    formsets = [inline.formset for inline in answer.context["inline_admin_formsets"]]
    forms = [answer.context["adminform"].form, *formsets, *(form for formset in formsets for form in formset.forms)]
    fields = [field for form in forms for field in getattr(form, "management_form", form)]
    values = {field.html_name: field.value() for field in fields}
    values = {name: "on" if value is True else value for name, value in values.items()}
    return {name: str(value) for name, value in values.items() if value is not None and value is not False}


def test_a_provider_of_many_models_can_be_saved(staff: Browser) -> None:
    """Django would refuse a form of more than a thousand fields."""
    url = reverse("admin:providers_provider_change", args=[Provider.objects.get().pk])
    page = staff.get(url)
    posted = _shown(page) | {"deployments-7-output_price": "9", "_seen": page.context["seen"]}
    assert len(posted) > 1000

    assert staff.post(url, posted).status_code == 302
    assert Price.objects.get(output_per_million=9).deployment.name == posted["deployments-7-name"]
    assert Price.objects.count() == MOST_OFFERED + 2
