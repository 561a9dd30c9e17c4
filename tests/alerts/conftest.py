"""Rules, channels and receivers to test with. The rules that an installation begins with are out of the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from alerts import outbox
from alerts.channels import webhook
from alerts.models import Channel, Incident, Rule
from core.ids import uuid7_of
from tests.alerts.receivers import MailReceiver, WebhookReceiver
from tests.usage.rows import book
from usage.models import UsageRecord

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
Calls = Callable[..., None]
NewRule = Callable[..., Rule]


@pytest.fixture
def mail(settings: Settings) -> Iterator[MailReceiver]:
    """A mail server, and the setting that names it."""
    with MailReceiver() as receiver:
        settings.MAIL_SERVER = receiver.server
        yield receiver


@pytest.fixture
def hook() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def no_rules(db: None) -> None:
    Rule.objects.all().delete()


@pytest.fixture
def new_rule(no_rules: None) -> NewRule:
    """Watches each provider's failed calls, unless told otherwise."""

    def make(**facts: Any) -> Rule:
        usual = {"name": "Failing", "measure": "error_share", "scope": "provider", "limit": Decimal(20)}
        rule = Rule(**usual | {"minimum_calls": 5, "window_minutes": 15, "severity": "critical"} | facts)
        rule.full_clean()
        rule.save()
        return rule

    return make


@pytest.fixture
def email_channel(db: None) -> Channel:
    return Channel.objects.create(name="On-call", kind="email", address="oncall@example.com")


@pytest.fixture
def hook_channel(db: None, hook: WebhookReceiver) -> Channel:
    assert webhook.CHANNEL.new_secret is not None
    channel = Channel(name="Pager", kind="webhook", address=hook.url)
    channel.take(webhook.CHANNEL.new_secret())
    channel.full_clean()
    channel.save()
    return channel


@pytest.fixture
def calls(db: None) -> Calls:
    """Put calls of OpenAI's into the books: `calls(at, ok=3, error=7)`."""

    def write(at: datetime, **given: Any) -> None:
        numbers = {name: given.pop(name, 0) for name in ("ok", "error", "refused", "cached", "cancelled")}
        book(*(_row(at, status, given) for status, number in numbers.items() for _ in range(number)))

    return write


def _row(at: datetime, status: str, given: dict[str, Any]) -> UsageRecord:
    usual: dict[str, Any] = {
        "id": uuid7_of(at),
        "started_at": at,
        "ended_at": at + timedelta(seconds=1),
        "request_id": "r",
        "client": "alice",
        "client_id": UUID(int=1),
        "key_prefix": "aip_12345678",
        "requested_model": "default",
        "provider": "openai",
        "provider_id": UUID(int=2),
        "deployment": "gpt",
        "surface": "openai.chat",
        "status": status,
        "evidence": "reported" if status == "ok" else "none",
        "cost_pico": 10**10 if status == "ok" else 0,
        "latency_ms": 200.0,
    }
    return UsageRecord(**usual | given)


def send_all(now: datetime) -> None:
    """What the workers do: send each channel's messages until one of them has to wait."""
    for key in outbox.due_channels(now=now):
        while outbox.send_next(key, now=now):
            pass


def only_incident() -> Incident:
    return Incident.objects.get()
