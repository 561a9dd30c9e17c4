"""What only a browser can tell of a page: that nothing lies over anything else, and that nothing is said twice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, ViewportSize, expect

from providers.models import Deployment, Price, Provider
from tests.admin.test_usage import call

_DESK = ViewportSize(width=1280, height=900)
_PHONE = ViewportSize(width=390, height=844)
pytestmark = pytest.mark.django_db(transaction=True)
both_widths = pytest.mark.parametrize("size", [_DESK, _PHONE])


@both_widths
def test_a_price_in_another_currency_can_be_read(page: Page, live_server: Any, size: ViewportSize) -> None:
    provider = Provider.objects.create(name="House", slug="house", kind="openai")
    model = Deployment.objects.create(provider=provider, name="large")
    rates = {"input_per_million": Decimal("1.25"), "output_per_million": Decimal(10)}
    Price.objects.create(deployment=model, currency="EUR", valid_from=timezone.now(), **rates)
    page.set_viewport_size(size)

    page.goto(live_server.url + reverse("admin:providers_provider_change", args=[provider.pk]))

    field = page.locator("#id_deployments-0-input_price")
    sign = field.locator("xpath=../span").bounding_box()
    box = field.bounding_box()
    assert sign is not None
    assert box is not None
    indent = field.evaluate("each => parseFloat(getComputedStyle(each).paddingLeft)")
    assert sign["x"] + sign["width"] <= box["x"] + indent


def test_a_long_request_id_stays_in_its_place(page: Page, live_server: Any) -> None:
    row = call(request_id="req_" + "0123456789abcdef" * 3)
    page.set_viewport_size(_DESK)

    page.goto(live_server.url + reverse("admin:usage_usagerecord_change", args=[row.pk]))

    shown = page.get_by_role("link", name=row.request_id).bounding_box()
    beside = page.get_by_text("Attempt", exact=True).bounding_box()
    assert shown is not None
    assert beside is not None
    assert shown["x"] + shown["width"] <= beside["x"]


@both_widths
def test_a_long_end_user_leaves_the_cost_in_sight(page: Page, live_server: Any, size: ViewportSize) -> None:
    """As a hash is, by which callers name end users, and a model at a host of many."""
    call(end_user="0123456789abcdef" * 4, deployment="accounts/fireworks/models/" + "llama4maverick" * 5)
    page.set_viewport_size(size)

    page.goto(live_server.url + reverse("admin:usage_usagerecord_changelist"))

    row = page.locator("#result_list tbody tr").first
    cost = row.locator(".field-cost").bounding_box()
    assert cost is not None
    assert cost["x"] + cost["width"] <= size["width"]
    for name in ("caller", "models"):
        cell = row.locator(f".field-{name}")
        assert cell.evaluate("each => each.scrollWidth <= each.clientWidth"), f"{name} is cut off"


def test_a_long_name_makes_no_form_wider_than_a_phone(page: Page, live_server: Any) -> None:
    provider = Provider.objects.create(name="Azure OpenAI (Germany West Central, Finance)", slug="azure", kind="openai")
    model = Deployment.objects.create(provider=provider, name="large")
    page.set_viewport_size(_PHONE)

    page.goto(live_server.url + reverse("admin:providers_deployment_change", args=[model.pk]))

    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@both_widths
def test_on_the_home_page_nothing_leaves_its_card(
    page: Page, live_server: Any, settings: Any, size: ViewportSize
) -> None:
    settings.TIME_ZONE = "America/New_York"
    Provider.objects.create(name="House" * 12, slug="house", kind="openai")
    call()
    page.set_viewport_size(size)

    page.goto(live_server.url + reverse("admin:index"))

    for box in (".aip-toggle", ".aip-provider"):
        each = page.locator(box).first
        expect(each).to_be_visible()
        assert each.evaluate("each => each.scrollWidth <= each.clientWidth"), f"{box} is cut off"


def test_the_picker_of_permissions_fits_the_page(page: Page, live_server: Any) -> None:
    page.set_viewport_size(_DESK)

    page.goto(live_server.url + reverse("admin:auth_group_add"))

    expect(page.locator(".selector-chosen")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_wrong_password_is_told_once(browser: Browser, live_server: Any) -> None:
    page = browser.new_page()
    page.goto(f"{live_server.url}/admin/login/")
    page.fill("[name=username]", "nobody")
    page.fill("[name=password]", "wrong")
    page.press("[name=password]", "Enter")

    expect(page.locator("div.errornote")).to_be_visible()
    assert page.locator(".errornote:visible").count() == 1
    page.close()
