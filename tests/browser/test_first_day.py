"""What an administrator does on the first day, in a real browser."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from accounts import keys
from accounts.models import ApiKey
from providers.models import Provider
from tests.admin.modelhost import ModelHost

KEY = "sk-canary-typed-in-a-browser-31c0"


def test_adding_a_provider_testing_it_and_making_a_key(page: Page, live_server: Any, host: ModelHost) -> None:
    host.key = KEY
    expect(page.get_by_text("What to do next")).to_be_visible()

    page.get_by_role("link", name="Add a provider").first.click()
    page.locator("#id_name").press_sequentially("House Models (Berlin)")
    expect(page.locator("#id_slug")).to_have_value("house-models-berlin")
    page.select_option("#id_kind", label="OpenAI")
    expect(page.get_by_text("Leave it empty to call https://api.openai.com/v1")).to_be_visible()
    page.select_option("#id_kind", label="Any OpenAI-compatible host")
    expect(page.get_by_text("Needed for this kind")).to_be_visible()
    expect(page.locator("#id_organization")).to_be_hidden()
    page.fill("#id_base_url", host.url)
    page.fill("#id_credentials-0-new_key", KEY)
    page.fill("#id_deployments-0-name", "house-large")
    page.fill("#id_deployments-0-input_price", "0.5")
    page.fill("#id_deployments-0-output_price", "1.5")
    page.get_by_text("Add another Model").click()
    page.fill("#id_deployments-1-name", "house-tiny")
    page.get_by_role("button", name="Save", exact=True).click()

    row = page.locator("#result_list tr", has_text="House Models (Berlin)")
    expect(row).to_contain_text("Not checked yet")
    expect(row).to_contain_text("$0.50 – $1.50")
    expect(page.get_by_text("house-tiny: no price: cost unknown.")).to_be_visible()

    row.get_by_role("link", name="Test").click()
    expect(page.get_by_text("House Models (Berlin): Connected in")).to_be_visible()
    expect(page.get_by_text("Not offered there: house-tiny.")).to_be_visible()
    expect(row).to_contain_text("Healthy")

    row.get_by_role("link", name="House Models (Berlin)").click()
    expect(page.locator("#id_credentials-0-new_key")).to_have_value("")
    expect(page.get_by_text("••••31c0").first).to_be_visible()
    page.fill("#id_deployments-0-output_price", "2")
    page.get_by_text("How long to wait").click()
    page.fill("#id_connect_timeout_ms", "2.5")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#result_list")).to_contain_text("$0.50 – $2")
    provider = Provider.objects.get()
    assert provider.connect_timeout_ms == 2_500
    assert provider.deployments.get(name="house-large").prices.count() == 2

    secret = _make_a_key(page, live_server.url)
    assert ApiKey.objects.get().digest == keys.digest(secret)
    page.reload()
    expect(page.get_by_text("shown once")).to_be_visible()
    assert secret not in page.content()


def _make_a_key(page: Page, address: str) -> str:
    page.goto(f"{address}/admin/accounts/client/add/")
    page.fill("#id_name", "search-backend")
    page.get_by_role("button", name="Save and continue editing").click()
    page.get_by_role("link", name="New API key").click()
    expect(page.locator("#id_client")).to_contain_text("search-backend")
    page.fill("#id_name", "production")
    page.get_by_role("button", name="Save", exact=True).click()
    secret = page.locator("#secret").inner_text()
    assert secret.startswith(keys.PREFIX)
    expect(page.locator("#curl")).to_contain_text(f"curl {address}/v1/chat/completions")
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    return secret


def test_revoking_a_key_asks_first(page: Page, live_server: Any) -> None:
    from accounts.models import Client

    key, _ = ApiKey.mint(client=Client.objects.create(name="shop"))
    page.goto(f"{live_server.url}/admin/accounts/apikey/{key.pk}/change/")

    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("link", name="Revoke").click()
    page.reload()
    key.refresh_from_db()
    assert key.is_active

    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("link", name="Revoke").click()
    expect(page.get_by_text("is revoked")).to_be_visible()
    key.refresh_from_db()
    assert not key.is_active


def test_the_chart_switches_between_cost_and_calls(page: Page, live_server: Any) -> None:
    from django.utils import timezone

    from tests.admin import demo

    demo.fill(now=timezone.now(), calls=50)
    page.goto(f"{live_server.url}/admin/")
    series = "() => Chart.getChart('aip-chart').data.datasets.flatMap((set) => set.data).reduce((a, b) => a + b, 0)"
    cost = page.evaluate(series)
    page.get_by_role("button", name="Calls").click()
    calls = page.evaluate(series)
    assert 0 < cost < calls <= 50
    assert calls == int(calls)
