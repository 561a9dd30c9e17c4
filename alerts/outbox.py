"""The outbox: a message is a row before it is sent, and stays one until it has arrived. At least once, in order.

Each channel's messages go out one after the other, so that an all-clear never overtakes its alert, and one that cannot
be reached costs one try in a while, not one for each message that waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db.models import F, Q, QuerySet

from alerts import messages
from alerts.channels import CHANNELS, DeliveryError, Target
from alerts.models import Attempt, Channel, Delivery, Incident, Rule

CLAIM = timedelta(minutes=5)  # longer than any channel takes: whoever has held a message for so long is likely dead
FIRST_RETRY = timedelta(seconds=30)  # doubles with each try
SLOWEST_RETRY = timedelta(minutes=15)
GIVE_UP = timedelta(days=3)
KEPT = timedelta(days=400)  # of what has been sent
MOST_FOR_REST = 5  # tries, some minutes in all, where most have it and some recipient is refused for now
MOST_FAULTS = 5  # of our own in writing or sending a message, before it makes way for others
MOST_DEATHS = 5  # tries of which nobody ever heard: it may be what kills the workers
_DETAIL_CHARS = 300
_State = Delivery.State
_ENDS = (Delivery.Kind.RESOLVED, Delivery.Kind.LAPSED)
_UNFINISHED = (_State.WAITING, _State.SENDING)

log = structlog.get_logger(__name__)


def notify(incident: Incident, rule: Rule, kind: str, *, now: datetime, due_at: datetime) -> int:
    """Queue what became of an incident for the rule's channels; returns how many were queued."""
    facts = messages.incident_facts(incident)
    subject = messages.incident_subject(kind, facts)
    count = 0
    for channel in _channels(rule):
        if kind == Delivery.Kind.REMINDER and _waits(channel, incident):
            continue  # a reminder of what has not even arrived
        if kind in _ENDS and not _was_told(channel, incident):
            continue
        key = f"{kind}:{incident.pk}:{incident.told_at:%Y%m%dT%H%M%S}:{channel.pk}"
        count += queue(
            channel, key=key, kind=kind, subject=subject, facts=facts, incident=incident, now=now, due_at=due_at
        )
    return count


def is_told(rule: Rule, incidents: QuerySet[Incident]) -> bool:
    """Whether each of the rule's channels has a message of one of those incidents, or will have it."""
    messages_of = Delivery.objects.filter(incident__in=incidents).exclude(state=_State.FAILED)
    told = set(messages_of.values_list("channel_id", flat=True))
    return bool(told) and {channel.pk for channel in _channels(rule)} <= told


def queue(
    channel: Channel,
    *,
    key: str,
    kind: str,
    subject: str,
    facts: dict[str, Any],
    now: datetime,
    due_at: datetime | None = None,
    **about: Any,
) -> bool:
    """Queue one message; False where the same (by `key`) has been queued before."""
    _, made = Delivery.objects.get_or_create(
        key=key,
        defaults={
            "kind": kind,
            "channel": channel,
            "channel_name": channel.name,
            "subject": subject[:300],
            "facts": facts,
            "created_at": now,
            "due_at": due_at or now,
            **about,
        },
    )
    return made


def queue_test(channel: Channel, *, by: str, now: datetime) -> Delivery:
    """A test message, for the Test button."""
    key = f"test:{channel.pk}:{now.isoformat()}"
    queue(channel, key=key, kind=Delivery.Kind.TEST, subject=messages.TEST_SUBJECT, facts={"by": by}, now=now)
    return Delivery.objects.get(key=key)


def due_channels(*, now: datetime) -> list[UUID]:
    """The channels for which something waits that may be sent now."""
    waiting = Delivery.objects.filter(state__in=_UNFINISHED, due_at__lte=now, channel__isnull=False)
    found = waiting.order_by("channel_id").values_list("channel_id", flat=True).distinct()
    return [key for key in found if key is not None]


def send_next(channel_id: UUID, *, now: datetime) -> bool:
    """Send the channel's oldest message. False where there is none, or it has to wait, or could not be sent."""
    delivery = _claim(channel_id, now)
    if delivery is None:
        return False
    channel = Channel.objects.get(pk=channel_id)
    if not channel.is_active:
        _given_up(delivery, "The channel was switched off.")
        return True
    return _try(delivery, channel, now)


def send_now(delivery: Delivery, *, now: datetime) -> Delivery:
    """Send one message out of turn, as the Test button does, and return it as it is then."""
    is_ours = _take(Delivery.objects.filter(pk=delivery.pk), now)
    delivery.refresh_from_db()
    if is_ours and delivery.channel is not None:
        _try(delivery, delivery.channel, now)
        delivery.refresh_from_db()
    return delivery


def send_again(deliveries: QuerySet[Delivery], *, now: datetime) -> int:
    """Queue again what was given up; returns how many."""
    lost = deliveries.filter(state=_State.FAILED, channel__isnull=False)
    return lost.update(state=_State.WAITING, retry_at=None, attempts=0, due_at=now, created_at=now)


def tidy(*, now: datetime) -> None:
    """Give up what has lost its channel, and forget what nobody looks up any more."""
    lost = Delivery.objects.filter(channel=None, state__in=_UNFINISHED)
    lost.update(state=_State.FAILED, last_error="The channel was deleted.")
    Delivery.objects.filter(created_at__lt=now - KEPT).exclude(state__in=_UNFINISHED).delete()


def _channels(rule: Rule) -> Iterable[Channel]:
    own = list(rule.channels.all())
    return [row for row in own if row.is_active] if own else Channel.objects.filter(is_active=True, gets_alerts=True)


def _was_told(channel: Channel, incident: Incident) -> bool:
    return Delivery.objects.filter(channel=channel, incident=incident).exists()


def _waits(channel: Channel, incident: Incident) -> bool:
    return Delivery.objects.filter(channel=channel, incident=incident, state__in=_UNFINISHED).exists()


# --- claiming -----------------------------------------------------------------------------------------------------


def _claim(channel_id: UUID, now: datetime) -> Delivery | None:
    """The channel's oldest unfinished message, ours until the claim lapses; None where it is not to be had.

    One that its senders never bring to an end makes way for the next.
    """
    head = _head(channel_id, now)
    while head is not None and _is_hopeless(head, now):
        _given_up(head, "Those who were sending it never came to an end.")
        head = _head(channel_id, now)
    if head is None or _waits_for_its_next_try(head, now):
        return None
    if not _take(Delivery.objects.filter(pk=head.pk), now):
        return None
    head.refresh_from_db()
    return head


def _head(channel_id: UUID, now: datetime) -> Delivery | None:
    rows = Delivery.objects.filter(channel_id=channel_id, state__in=_UNFINISHED, due_at__lte=now)
    return rows.order_by("id").first()


def _waits_for_its_next_try(head: Delivery, now: datetime) -> bool:
    """One that lies beyond the longest wait was put there by a clock that was wrong."""
    return head.retry_at is not None and now < head.retry_at <= now + SLOWEST_RETRY


def _is_hopeless(head: Delivery, now: datetime) -> bool:
    if head.claimed_until is None or head.claimed_until > now:
        return False
    deaths = head.attempts - head.log.filter(at__gte=head.created_at).count()
    return deaths >= MOST_DEATHS or now - head.created_at >= GIVE_UP


def _take(rows: QuerySet[Delivery], now: datetime) -> bool:
    """Nobody else has it, or who had it is dead."""
    free = rows.filter(Q(state=_State.WAITING) | Q(state=_State.SENDING, claimed_until__lte=now))
    return free.update(state=_State.SENDING, claimed_until=now + CLAIM, attempts=F("attempts") + 1) == 1


# --- sending ------------------------------------------------------------------------------------------------------


def _try(delivery: Delivery, channel: Channel, now: datetime) -> bool:
    """Whether the next one may be sent: this one has arrived, or was given up."""
    started = time.perf_counter()
    try:
        target = Target(address=delivery.rest or channel.address, secret=channel.reveal())
        detail = CHANNELS[channel.kind].send(target, messages.write(delivery))
    except DeliveryError as error:
        detail = _line(str(error))
        _log(delivery, started, now, ok=False, detail=detail)
        delivery.rest = error.rest or delivery.rest
        is_final = not error.retryable or (delivery.rest != "" and delivery.attempts >= MOST_FOR_REST)
        return _failed(delivery, detail, now, is_final=is_final)
    except Exception as error:  # a fault of ours in one message must not stop those behind it for ever
        log.exception("a message could not be sent", delivery_id=str(delivery.pk), channel=channel.name)
        detail = f"Something went wrong here ({type(error).__name__}). It has been logged."
        _log(delivery, started, now, ok=False, detail=detail)
        return _failed(delivery, detail, now, is_final=delivery.attempts >= MOST_FAULTS)
    _log(delivery, started, now, ok=True, detail=_line(detail))
    _arrived(delivery, now)
    return True


def _failed(delivery: Delivery, detail: str, now: datetime, *, is_final: bool) -> bool:
    if is_final or now - delivery.created_at >= GIVE_UP:
        _given_up(delivery, detail)
        return True
    doublings = min(delivery.attempts - 1, 10)
    _ours(delivery).update(
        state=_State.WAITING,
        claimed_until=None,
        retry_at=now + min(FIRST_RETRY * 2**doublings, SLOWEST_RETRY),
        last_error=detail,
        rest=delivery.rest,
    )
    return False


def _given_up(delivery: Delivery, detail: str) -> None:
    _ours(delivery).update(
        state=_State.FAILED,
        claimed_until=None,
        retry_at=None,
        last_error=detail,
        rest=delivery.rest,
    )


def _arrived(delivery: Delivery, now: datetime) -> None:
    """Whoever has it by now: what has arrived need not be sent again."""
    Delivery.objects.filter(pk=delivery.pk).exclude(state=_State.DELIVERED).update(
        state=_State.DELIVERED, claimed_until=None, retry_at=None, delivered_at=now, last_error=""
    )


def _ours(delivery: Delivery) -> QuerySet[Delivery]:
    """Unless the claim lapsed and another took it."""
    return Delivery.objects.filter(pk=delivery.pk, state=_State.SENDING, attempts=delivery.attempts)


def _log(delivery: Delivery, started: float, now: datetime, *, ok: bool, detail: str) -> None:
    took_ms = 1000 * (time.perf_counter() - started)
    Attempt.objects.create(delivery=delivery, at=now, took_ms=took_ms, ok=ok, detail=detail)


def _line(said: str) -> str:
    """What is kept of another side's words: PostgreSQL's texts hold neither a NUL nor half a character."""
    return "".join(each if each.isprintable() else " " for each in said)[:_DETAIL_CHARS]
