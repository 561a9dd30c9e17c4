"""Who looks at the admin, and what there is to see."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser
from django.utils import timezone

from tests.admin import demo
from tests.admin.modelhost import ModelHost


@pytest.fixture
def staff(db: None) -> Browser:
    """Logged in as an administrator who may do everything."""
    browser = Browser()
    browser.force_login(User.objects.create_superuser("admin", "admin@example.com", "a-long-password"))
    return browser


@pytest.fixture
def filled(db: None) -> None:
    demo.fill(now=timezone.now(), calls=60)


@pytest.fixture
def host() -> Iterator[ModelHost]:
    with ModelHost() as running:
        yield running
