"""Background work: look at the rules, send what waits, write the reports that are due. Each is safe to run twice."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from alerts import certificates, operations, outbox
from alerts.reports import schedules
from core.jobs import app

_MESSAGES = 50  # of a channel in one turn


@app.task
def evaluate_rules() -> None:
    """Look at every rule, and send what came of it."""
    if operations.evaluate(now=timezone.now()):
        _send_to_due_channels()


@app.task
def send_reports() -> None:
    """Queue the reports that are due, and send them."""
    if schedules.queue_due(now=timezone.now()):
        _send_to_due_channels()


@app.task
def send_waiting() -> None:
    """Send what could not be sent before, or was left by a dead worker."""
    _send_to_due_channels()


@app.task
def send_to_channel(*, channel_id: str) -> None:
    """A channel's messages, oldest first."""
    for _ in range(_MESSAGES):
        if not outbox.send_next(UUID(channel_id), now=timezone.now()):
            return


@app.task
def tidy_outbox() -> None:
    """Give up what has lost its channel, and forget old messages."""
    outbox.tidy(now=timezone.now())


@app.task
def check_certificates() -> None:
    """Look at the certificates of the providers' addresses."""
    certificates.check_all(now=timezone.now())


def _send_to_due_channels() -> None:
    for key in outbox.due_channels(now=timezone.now()):
        send_to_channel.apply_async(kwargs={"channel_id": str(key)}, expires=60)
