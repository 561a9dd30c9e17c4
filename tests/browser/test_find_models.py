"""Finding a provider's models, as a person does it in a browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from core.vault import Secret
from providers.operations import ModelSpec, add_provider
from tests.admin.modelhost import ModelHost
from tests.providers.test_discovery import NOW, RATES, priced

__all__ = ["priced"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_models_are_found_ticked_and_added(page: Page, live_server: Any, host: ModelHost, priced: None) -> None:
    host.models += ["house-embed", "house-voice-tts"]
    model = ModelSpec(name="house-small", rates=RATES)
    house = add_provider(
        name="House", kind="custom", base_url=host.url, models=[model], api_key=Secret("sk-" + "x" * 20), now=NOW
    )

    page.goto(f"{live_server.url}/admin/providers/provider/{house.pk}/change/")
    expect(page.get_by_text("EGRESS_ALLOWED_NETWORKS")).to_be_visible()
    expect(page.get_by_role("link", name="Deactivate")).to_be_visible()
    expect(page.get_by_role("link", name="Delete")).to_have_count(0)
    shoot(page, "provider")
    page.get_by_role("link", name="Find models").click()
    shoot(page, "find")
    page.get_by_label("house-large").check()
    page.get_by_role("button", name="Add the ticked models").click()

    expect(page.get_by_text("Added: house-large.")).to_be_visible()
    assert house.deployments.filter(name="house-large").exists()


def shoot(page: Page, name: str) -> None:
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
