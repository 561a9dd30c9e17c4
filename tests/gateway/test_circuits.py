"""What the gateway takes from the database about providers' health."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from gateway.circuits import unhealthy_providers
from providers.models import Health, Provider
from providers.standing import STALE_AFTER


@pytest.mark.django_db
def test_an_old_check_speaks_against_nobody() -> None:
    now = timezone.now()
    old, fresh, fine = (Provider.objects.create(name=name, slug=name, kind="demo") for name in ("old", "fresh", "fine"))
    for provider, age, status in (
        (old, STALE_AFTER + timedelta(seconds=1), Health.Status.UNHEALTHY),
        (fresh, STALE_AFTER - timedelta(seconds=1), Health.Status.UNHEALTHY),
        (fine, timedelta(0), Health.Status.HEALTHY),
    ):
        Health.objects.create(provider=provider, status=status, checked_at=now - age)

    assert unhealthy_providers(now=now) == {fresh.pk}
