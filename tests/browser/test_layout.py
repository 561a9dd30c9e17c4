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
