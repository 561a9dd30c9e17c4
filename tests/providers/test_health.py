"""Probing: side by side, stored, safe to repeat."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Task
from kombu.exceptions import OperationalError

from core.ids import uuid7_at
from core.jobs import app as celery_app
from providers import connection, health
from providers.connection import Finding
from providers.models import Health, Provider
from providers.operations import ModelSpec, add_provider, update_provider
from providers.tasks import probe_provider, probe_providers
from tests.admin.modelhost import ModelHost
from tests.servers import PATIENCE_S
from tests.usage.rows import book
from usage.models import UsageRecord

NewCall = Callable[..., None]
pytestmark = pytest.mark.django_db
NOW = datetime(2025, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def host() -> Iterator[ModelHost]:
    with ModelHost() as running:
        yield running


@pytest.fixture
def new_call() -> NewCall:
    def write(at: datetime, **facts: Any) -> None:
        usual: dict[str, Any] = {"started_at": at, "ended_at": at, "request_id": "r", "status": "ok", "client": "alice"}
        usual |= {"provider": "p", "deployment": "m", "evidence": "none", "cost_pico": 0, "surface": "openai"}
        book(UsageRecord(**(usual | {"id": uuid7_at(int(at.timestamp() * 1000))} | facts)))

    return write


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
    started = threading.Barrier(3, timeout=PATIENCE_S)
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
    monkeypatch.setattr(health, "PROBE_DEADLINE_S", 2.0)
    host.delay_s = 5.0
    provider("slow", host.url)
    [(_, finding)] = health.probe_active(now=NOW)
    assert finding.trouble is connection.Trouble.TOO_SLOW


def test_of_one_whose_turn_did_not_come_nothing_is_stored(host: ModelHost, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def slow(_: connection.Target) -> Finding:
        over.wait(PATIENCE_S)
        return Finding(ok=True, summary="too late")

    monkeypatch.setattr(connection, "check", slow)
    monkeypatch.setattr(health, "PROBE_DEADLINE_S", 2.0)  # the first begins in time
    monkeypatch.setattr(health, "_SIDE_BY_SIDE", 1)
    rows = [provider("first", host.url), provider("second", host.url)]
    health.store(provider_id=rows[1].pk, finding=Finding(ok=True, summary="fine"), now=NOW - timedelta(minutes=1))

    found = health.check_all(rows, now=NOW)
    over.set()

    assert [finding.trouble for _, finding in found] == [connection.Trouble.TOO_SLOW, connection.Trouble.NOT_BEGUN]
    assert [(row.status, row.checked_at) for row in Health.objects.order_by("checked_at")] == [
        ("healthy", NOW - timedelta(minutes=1)),
        ("unhealthy", NOW),
    ]


def test_a_round_begins_with_those_that_the_one_before_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many hang, each has its turn."""
    over, begun = threading.Event(), threading.Semaphore(0)
    asked: list[str] = []

    def hang(target: connection.Target) -> Finding:
        asked.append(target.address[-1])
        begun.release()
        over.wait(PATIENCE_S)
        return Finding(ok=True, summary="too late")

    def until_two_hang(*_: object, **__: object) -> None:
        assert all(begun.acquire(timeout=PATIENCE_S) for _ in range(2))

    monkeypatch.setattr(connection, "check", hang)
    monkeypatch.setattr(health, "_SIDE_BY_SIDE", 2)
    monkeypatch.setattr(health, "wait", until_two_hang)
    for name in "abcde":
        provider(name, f"http://127.0.0.1:9/{name}")

    for minute in range(5):
        health.probe_active(now=NOW + timedelta(minutes=minute))
    over.set()

    rounds = [sorted(asked[turn : turn + 2]) for turn in range(0, 10, 2)]
    assert rounds == [["a", "b"], ["c", "d"], ["a", "e"], ["b", "c"], ["a", "d"]]


def test_an_older_finding_does_not_replace_a_newer_one() -> None:
    row = provider("p", "http://127.0.0.1:9/v1")
    good = Finding(ok=True, summary="fine", latency_ms=3.0)
    health.store(provider_id=row.pk, finding=good, now=NOW)
    health.store(provider_id=row.pk, finding=Finding(ok=False, summary="old"), now=NOW - timedelta(minutes=1))
    assert Health.objects.get().detail == "fine"


@pytest.fixture
def eager() -> Iterator[None]:
    """Jobs are done where they are asked for."""
    celery_app.conf.task_always_eager = True
    yield
    celery_app.conf.task_always_eager = False


def test_a_saved_provider_is_probed_at_once(
    host: ModelHost, django_capture_on_commit_callbacks: Any, eager: None
) -> None:
    """Whoever saves it, and once what was saved can be read."""
    with django_capture_on_commit_callbacks(execute=True):
        made = add_provider(name="House", kind="custom", base_url=host.url, models=[ModelSpec(name="m")], now=NOW)
        assert not Health.objects.exists()
    assert Health.objects.get(provider=made).status == "healthy"

    host.status = 503
    with django_capture_on_commit_callbacks(execute=True):
        update_provider(made, now=NOW, priority=3)
    assert Health.objects.get(provider=made).status == "unhealthy"


def test_without_a_broker_a_provider_is_saved_all_the_same(
    django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(Task, "apply_async", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        add_provider(
            name="House", kind="custom", base_url="https://h.example/v1", models=[ModelSpec(name="m")], now=NOW
        )


def test_an_inactive_provider_is_not_probed(host: ModelHost) -> None:
    probe_provider(provider_id=str(provider("off", host.url, is_active=False).pk))
    assert host.seen == []


def test_live_calls_count_more_than_the_last_check(host: ModelHost, new_call: NewCall) -> None:
    row = provider("p", host.url)
    health.check(row, now=NOW)
    assert health.standings([row], now=NOW)[row.pk].state == "healthy"
    for number in range(6):
        new_call(NOW - timedelta(minutes=1), provider_id=row.pk, status="error" if number else "ok")
    for _ in range(20):  # the callers' own mistakes, what we could not send, and what is long past
        new_call(NOW - timedelta(minutes=1), provider_id=row.pk, status="error", error_code="QUEUE_FULL")
        new_call(NOW - timedelta(minutes=1), provider_id=row.pk, status="refused", error_code="PROVIDER_REJECTED")
        new_call(NOW - timedelta(minutes=1), provider_id=row.pk, status="error", error_code="PROVIDER_REJECTED")
        new_call(NOW - timedelta(hours=1), provider_id=row.pk)
    told = health.standings([row], now=NOW)[row.pk]
    failed = "5 of the 6 calls of the last 5 minutes failed."
    assert (told.state, told.why) == ("unhealthy", f"{failed} A check since the last of them: {row.health.detail}")
    new_call(NOW - timedelta(minutes=1), ended_at=NOW, provider_id=row.pk, status="error")
    assert "A check since" not in health.standings([row], now=NOW)[row.pk].why


def test_a_provider_that_has_gone_is_no_error() -> None:
    row = provider("p", "http://127.0.0.1:9/v1")
    key = row.pk
    row.delete()
    health.store(provider_id=key, finding=Finding(ok=True, summary="fine"), now=NOW)
    assert not Health.objects.exists()
