"""Probing: side by side, stored, safe to repeat."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from providers import connection, health
from providers.connection import Finding
from providers.models import Health, Provider
from providers.tasks import probe_providers
from tests.admin.modelhost import ModelHost

pytestmark = pytest.mark.django_db
NOW = datetime(2025, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def host() -> Iterator[ModelHost]:
    with ModelHost() as running:
        yield running


def provider(name: str, url: str, **facts: object) -> Provider:
    return Provider.objects.create(name=name, slug=name, kind="custom", base_url=url, **facts)


def test_every_active_provider_is_probed_and_no_other(host: ModelHost) -> None:
    up, down = provider("up", host.url), provider("down", "http://127.0.0.1:9/v1")
    provider("off", host.url, is_active=False)

    probe_providers()
    probe_providers()

    found = {row.provider_id: row.status for row in Health.objects.all()}
    assert found == {up.pk: "healthy", down.pk: "unhealthy"}


def test_they_are_probed_side_by_side(host: ModelHost) -> None:
    started = threading.Barrier(3, timeout=5)
    original = connection.check

    def together(target: connection.Target) -> Finding:
        started.wait()
        return original(target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "check", together)
        for number in range(3):
            provider(f"p{number}", host.url)
        assert all(finding.ok for _, finding in health.probe_active(now=NOW))


def test_a_round_has_a_bound(host: ModelHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PROBE_DEADLINE_S", 0.2)
    host.delay_s = 1.5
    provider("slow", host.url)
    [(_, finding)] = health.probe_active(now=NOW)
    assert finding.trouble is connection.Trouble.TOO_SLOW


def test_an_older_finding_does_not_replace_a_newer_one() -> None:
    row = provider("p", "http://127.0.0.1:9/v1")
    good = Finding(ok=True, summary="fine", latency_ms=3.0)
    health.store(provider_id=row.pk, finding=good, now=NOW)
    health.store(provider_id=row.pk, finding=Finding(ok=False, summary="old"), now=NOW - timedelta(minutes=1))
    assert Health.objects.get().detail == "fine"


def test_a_provider_that_has_gone_is_no_error() -> None:
    row = provider("p", "http://127.0.0.1:9/v1")
    key = row.pk
    row.delete()
    health.store(provider_id=key, finding=Finding(ok=True, summary="fine"), now=NOW)
    assert not Health.objects.exists()
