"""Finding a provider's models from its page, and what that page says of it otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from core.egress import USUAL_PORTS, Policy
from core.vault import Secret
from providers.models import Provider, Route
from providers.operations import ModelSpec, Rates, add_provider
from tests.admin.modelhost import ModelHost
from tests.admin.test_providers import change_url, form
from tests.providers.test_discovery import NOW, RATES, priced

__all__ = ["priced"]


@pytest.fixture
def house(db: None, host: ModelHost) -> Provider:
    return _add(host.url, "custom")


def _add(address: str, kind: str, *, rates: Rates | None = None) -> Provider:
    model = ModelSpec(name="house-small", rates=rates)
    return add_provider(name="House", kind=kind, base_url=address, models=[model], api_key=Secret("sk-x" * 5), now=NOW)


def find_url(provider: Provider) -> str:
    return reverse("admin:providers_provider_find_models", args=[provider.pk])


def test_offered_models_are_shown_and_the_ticked_ones_added(staff: Browser, house: Provider, priced: None) -> None:
    Route.objects.create(name="default")
    page = staff.get(find_url(house)).content.decode()
    assert 'value="house-large"' in page
    assert 'value="house-small"' not in page
    assert "$0.50" in page
    assert house.deployments.count() == 1

    answer = staff.post(find_url(house), {"chosen": ["house-large"]}, follow=True)

    assert "Added: house-large." in answer.content.decode()
    assert "calls that name no model reach it: house-large." in answer.content.decode()
    added = house.deployments.get(name="house-large")
    assert added.prices.get().output_per_million == 2


def test_what_is_offered_no_more_is_told_and_nothing_ticked_adds_nothing(
    staff: Browser, house: Provider, host: ModelHost
) -> None:
    host.models = ["another"]
    assert "no longer offered, so calls to it fail: house-small" in staff.get(find_url(house)).content.decode()
    assert "none was added" in staff.post(find_url(house), follow=True).content.decode()
    assert house.deployments.count() == 1


def test_a_provider_that_gives_no_list_says_why(staff: Browser, house: Provider, host: ModelHost) -> None:
    host.status = 401
    assert "refused the key" in staff.get(find_url(house)).content.decode()
    assert "refused the key" in staff.post(find_url(house), {"chosen": ["x"]}, follow=True).content.decode()


def test_the_demo_has_no_list_and_is_not_said_to_fail(staff: Browser) -> None:
    demo = add_provider(name="Demo", kind="demo", models=[ModelSpec(name="demo")], now=NOW)
    page = staff.get(find_url(demo)).content.decode()
    assert "The demo has no list of models" in page
    assert "no longer offered" not in page


def test_a_priced_provider_is_deactivated_not_deleted(staff: Browser, host: ModelHost) -> None:
    provider = _add(host.url, "custom", rates=RATES)
    page = staff.get(change_url(provider)).content.decode()
    delete = reverse("admin:providers_provider_delete", args=[provider.pk])
    assert delete not in page
    assert reverse("admin:providers_provider_deactivate_one", args=[provider.pk]) in page
    assert reverse("admin:providers_provider_activate_one", args=[provider.pk]) not in page
    assert staff.post(delete, {"post": "yes"}).status_code == 403
    Provider.objects.update(is_active=False)
    assert (
        reverse("admin:providers_provider_activate_one", args=[provider.pk])
        in staff.get(change_url(provider)).content.decode()
    )
    assert "delete_selected" not in staff.get("/admin/providers/provider/").content.decode()


def test_a_provider_without_history_can_be_deleted(staff: Browser, house: Provider) -> None:
    delete = reverse("admin:providers_provider_delete", args=[house.pk])
    assert delete in staff.get(change_url(house)).content.decode()
    assert staff.post(delete, {"post": "yes"}).status_code == 302
    assert not Provider.objects.exists()


def test_the_page_says_how_it_is_doing_and_that_its_address_is_not_public(staff: Browser, house: Provider) -> None:
    page = staff.get(change_url(house)).content.decode()
    assert "Not checked yet." in page
    assert "EGRESS_ALLOWED_NETWORKS" in page
    house.base_url = "https://llm.example.com/v1"
    house.save()
    assert "EGRESS_ALLOWED_NETWORKS" not in staff.get(change_url(house)).content.decode()


def test_an_address_that_settings_forbid_is_refused_at_its_field(staff: Browser, settings: Any) -> None:
    settings.EGRESS = Policy.parse(networks="none", ports=USUAL_PORTS)
    answer = staff.post("/admin/providers/provider/add/", form(base_url="http://169.254.169.254/v1"))
    assert list(answer.context["adminform"].errors) == ["base_url"]
    answer = staff.post("/admin/providers/provider/add/", form(kind="ollama", base_url=""))
    assert "EGRESS_ALLOWED_NETWORKS" in str(answer.context["adminform"].errors["base_url"])
    assert not Provider.objects.exists()


def test_a_host_with_a_kind_of_its_own_is_told(staff: Browser) -> None:
    answer = staff.post("/admin/providers/provider/add/", form(base_url="https://api.mistral.ai/v1"), follow=True)
    assert "the kind Mistral knows what is special about it" in answer.content.decode()
