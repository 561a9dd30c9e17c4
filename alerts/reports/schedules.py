"""When which report is due. Each period is sent once, however many workers look, and whatever is edited meanwhile."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import structlog
from django.db import transaction

from alerts import outbox
from alerts.models import Delivery, ReportSchedule
from alerts.reports import writing
from alerts.reports.figures import Span
from usage.periods import Period, start_of

_INTO_LAST = timedelta(hours=1)
_MOST_SKEW = timedelta(minutes=10)  # between clocks: what lies further ahead was written by one that was wrong

log = structlog.get_logger(__name__)


class Due(msgspec.Struct, frozen=True):
    """The period to report on, and when its report goes out."""

    span: Span
    sent_at: datetime


def last_due(*, period: Period, send_at: time, zone: ZoneInfo, now: datetime) -> Due:
    """The newest period whose report should have gone out by `now`. Pure.

    A period ends with a midnight of the zone; its report goes out on the day that begins then, at `send_at`.
    """
    due = _of_period_before(start_of(period, now, zone), period, send_at, zone)
    return due if due.sent_at <= now else _of_period_before(due.span.starts_at, period, send_at, zone)


def next_due(schedule: ReportSchedule, *, now: datetime) -> datetime:
    """When the schedule's next report goes out."""
    zone, period = ZoneInfo(schedule.time_zone), _period(schedule)
    moment = now
    while True:
        due = last_due(period=period, send_at=schedule.send_at, zone=zone, now=moment)
        if due.sent_at > now or not _is_covered(schedule, due.span, now):
            return max(due.sent_at, now)
        moment += timedelta(hours=12)


def last_span(schedule: ReportSchedule, *, now: datetime) -> Span:
    """The newest whole period, for a preview: due or not."""
    zone, period = ZoneInfo(schedule.time_zone), _period(schedule)
    return _of_period_before(start_of(period, now, zone), period, schedule.send_at, zone).span


def queue_due(*, now: datetime) -> int:
    """Queue the reports that are due; returns how many messages. After a long stop only the newest period is sent."""
    return sum(_queued(row, now) for row in ReportSchedule.objects.filter(is_active=True))


def queue(schedule: ReportSchedule, span: Span, *, now: datetime, again: str = "") -> list[Delivery]:
    """Queue one period's report for each of the schedule's channels; once, unless `again` says otherwise."""
    facts = writing.facts(schedule, span)
    made = []
    for channel in schedule.channels.filter(is_active=True):
        key = f"report:{schedule.pk}:{span.ends_at:%Y%m%dT%H%M}{again}:{channel.pk}"
        outbox.queue(
            channel,
            key=key,
            kind=Delivery.Kind.REPORT,
            subject=writing.subject(facts),
            facts=facts,
            now=now,
            schedule=schedule,
        )
        made.append(Delivery.objects.get(key=key))
    return made


def _queued(schedule: ReportSchedule, now: datetime) -> int:
    try:
        return _queue_if_due(schedule, now)
    except Exception:  # what one report meets must not keep the others from going out; the next minute tries again
        log.exception("a report could not be queued", report=schedule.name)
        return 0


def _queue_if_due(schedule: ReportSchedule, now: datetime) -> int:
    zone = ZoneInfo(schedule.time_zone)
    due = last_due(period=_period(schedule), send_at=schedule.send_at, zone=zone, now=now)
    if _is_covered(schedule, due.span, now):
        return 0
    with transaction.atomic():
        seen = ReportSchedule.objects.filter(pk=schedule.pk, covered_until=schedule.covered_until)
        if seen.update(covered_until=due.span.ends_at) != 1:
            return 0  # another worker has just done it
        made = queue(schedule, due.span, now=now)
        if not made:  # its channels are off: it goes out as soon as one of them is on
            transaction.set_rollback(True)
        return len(made)


def _is_covered(schedule: ReportSchedule, span: Span, now: datetime) -> bool:
    """Whether a period's report was sent. A wrong clock's mark says nothing: the messages' keys prevent repeats."""
    return span.ends_at <= schedule.covered_until <= now + _MOST_SKEW


def _of_period_before(ends_at: datetime, period: Period, send_at: time, zone: ZoneInfo) -> Due:
    """Of the period that ends there. A wall-clock time that the clocks skip is the moment after the gap."""
    starts_at = start_of(period, ends_at - _INTO_LAST, zone)
    sent_at = datetime.combine(ends_at.astimezone(zone).date(), send_at, zone)
    return Due(Span(starts_at=starts_at, ends_at=ends_at), sent_at)


def _period(schedule: ReportSchedule) -> Period:
    return schedule.period  # type: ignore[return-value]  # the model's choices are these
