"""What the beat starts, run as a worker runs it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from alerts import outbox, tasks
from alerts.models import Channel, Delivery, ReportSchedule
from core.jobs import app
from tests.alerts.conftest import Calls, NewRule
from tests.alerts.receivers import MailReceiver


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> Any:
    """Tasks that tasks queue run where they are queued."""
    before = app.conf.task_always_eager
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = before


def test_the_beat_starts_tasks_that_there_are() -> None:
    app.loader.import_default_modules()

    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)


def test_an_evaluation_sends_what_came_of_it(
    new_rule: NewRule, calls: Calls, email_channel: Channel, mail: MailReceiver
) -> None:
    new_rule()
    calls(timezone.now(), error=9)
    tasks.evaluate_rules()
    tasks.evaluate_rules()

    assert [each["Subject"] for each in mail.mails] == ["Alert: Failing (openai)"]


def test_due_reports_are_sent_once(email_channel: Channel, mail: MailReceiver) -> None:
    long_ago = timezone.now() - timedelta(days=9)
    ReportSchedule.objects.create(name="AI costs", period="day", covered_until=long_ago).channels.add(email_channel)
    tasks.send_reports()
    tasks.send_reports()

    assert len(mail.mails) == 1


def test_what_waits_is_sent(email_channel: Channel, mail: MailReceiver) -> None:
    for _ in range(3):
        outbox.queue_test(email_channel, by="ada", now=timezone.now())
    tasks.send_waiting()
    tasks.tidy_outbox()
    tasks.check_certificates()

    assert len(mail.mails) == 3
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
