"""Debian's chromium, driven by playwright, on pages of a live server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.admin.modelhost import ModelHost
from tests.browser.screenshots import PASSWORD, chromium, launch, log_in
from tests.servers import PATIENCE_S

expect.set_options(timeout=PATIENCE_S * 1000)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Closed after this folder's last test: while it is open, no other test could run an event loop in this thread."""
    if not chromium():
        pytest.fail("no browser here; install it with: apt-get install -y chromium", pytrace=False)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop lives in the test's own thread, and so does the ORM.
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        running = launch(playwright)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, live_server: Any) -> Iterator[Page]:
    """Logged in as an administrator. A script error, or anything asked of another host, fails the test."""
    User.objects.create_superuser("admin", "admin@example.com", PASSWORD)
    troubles: list[str] = []
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: note_foreign(request.url, live_server.url, troubles))
    log_in(page, live_server.url)
    yield page
    context.close()
    assert troubles == []


@pytest.fixture
def host() -> Iterator[ModelHost]:
    with ModelHost() as running:
        yield running


def note_foreign(url: str, own: str, troubles: list[str]) -> None:
    if not url.startswith((own, "data:", "blob:")):
        troubles.append(f"asked of another host: {url}")
