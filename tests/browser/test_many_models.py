"""A provider's models, page by page, as a person changes them in a browser."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Dialog, Locator, Page, expect

from providers.admin.provider_form import ModelInline
from providers.models import Deployment, Price, Provider

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def url(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the page of a provider with a page of models and half another, ten to a page."""
    monkeypatch.setattr(ModelInline, "per_page", 10)
    provider = Provider.objects.create(name="Own", slug="own", kind="demo")
    models = [Deployment(provider=provider, name=f"model-{number:02}") for number in range(15)]
    Deployment.objects.bulk_create(models)
    Price.objects.bulk_create([Price(deployment=each, input_per_million=1, output_per_million=2) for each in models])
    return str(live_server.url + reverse("admin:providers_provider_change", args=[provider.pk]))


def test_the_second_page_of_models_is_opened_by_keyboard_changed_and_saved(page: Page, url: str) -> None:
    page.goto(url)
    to_page(page, "2").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[aria-current=page]", has_text="2")).to_be_visible()
    expect(page.get_by_text("11–15 of 15")).to_be_visible()
    page.fill("#id_deployments-3-output_price", "9")
    page.get_by_role("link", name="Add another Model").click()
    page.fill("#id_deployments-5-name", "a-new-one")
    page.get_by_role("button", name="Save and continue editing").click()

    expect(page.get_by_text("11–16 of 16")).to_be_visible()
    assert Price.objects.get(output_per_million=9).deployment.name == "model-13"
    assert Deployment.objects.filter(name="a-new-one").exists()
    assert Price.objects.count() == 16


def test_what_was_typed_is_not_lost_by_another_page_of_models(page: Page, url: str) -> None:
    page.goto(url)
    page.fill("#id_deployments-3-output_price", "9")
    assert asked(page, to_page(page, "2").click) == "beforeunload"
    expect(page.locator("#id_deployments-3-output_price")).to_have_value("9")

    page.fill("#id_deployments-3-output_price", "")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("A price cannot be taken back.")).to_be_visible()
    assert asked(page, to_page(page, "2").click) == "beforeunload", "nor what a mistake has sent back"
    assert Price.objects.filter(deployment__name="model-03").get().output_per_million == Decimal(2)


def to_page(page: Page, number: str) -> Locator:
    return page.get_by_role("navigation", name="Pages of models").get_by_role("link", name=number)


def asked(page: Page, leave: Callable[[], None]) -> str:
    """What the browser asks who leaves; the answer is to stay."""
    dialogs: list[str] = []

    def stay(dialog: Dialog) -> None:
        dialogs.append(dialog.type)
        dialog.dismiss()

    page.once("dialog", stay)
    leave()
    return " ".join(dialogs)
