"""When an incident opens, is told of, told of again, and closes. Pure: figures and `now` come in, a step goes out.

    (nothing) --over the limit--> pending --for long enough--> open --good again for as long--> resolved
                                     |                          | ^ |
                                     +--good again--> (nothing) | | +--unknown for long--> resolved, not as good
                                                                | +--silence has ended
                                                                +--> acknowledged, silenced (by people)

Opening and closing both take the rule's for-duration, so an incident cannot flap inside it. What nobody looked at
proves nothing: after a gap in the evaluations, a duration starts anew. Nor does a look that finds too little to judge
by: it makes nothing good, and an incident of which nothing is known for long ends in words that say so.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta, tzinfo
from typing import Literal

import msgspec

State = Literal["pending", "open", "acknowledged", "silenced", "resolved"]
Notice = Literal["opened", "reminder", "resolved", "lapsed"]
PENDING, OPEN, ACKNOWLEDGED, SILENCED, RESOLVED = "pending", "open", "acknowledged", "silenced", "resolved"
SEVERITIES = ("info", "warning", "critical")  # the mildest first
MOST_GAP = timedelta(minutes=10)  # between two evaluations that may count as one unbroken look
LEAST_PATIENCE = timedelta(hours=1)


class Terms(msgspec.Struct, frozen=True):
    """`hold` is the for-duration; `renotify` None: an incident is told of once.

    `patience`: for how long it may be open while nothing is known; None: for ever.
    """

    hold: timedelta
    renotify: timedelta | None
    patience: timedelta | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the incident of one rule and subject stands.

    `since`: over the limit without a break; `clear_since`: good again without a break; `unknown_since`: when too little
    was known to judge by, and it has not been over the limit since; `told_at`: last notification. `silenced_until` of
    an open one: a silence has run out, and that it is still so has not been told.
    """

    state: State
    since: datetime
    seen_at: datetime
    opened_at: datetime | None = None
    clear_since: datetime | None = None
    unknown_since: datetime | None = None
    told_at: datetime | None = None
    silenced_until: datetime | None = None


class Step(msgspec.Struct, frozen=True):
    """What becomes of it (None: there is no incident), and what people are told."""

    standing: Standing | None
    notice: Notice | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one evaluation found. `breached` None: too little is known to judge by.

    `withheld`: nobody is to be told of an open incident now, but once that has passed.
    """

    breached: bool | None
    terms: Terms
    now: datetime
    withheld: bool = False


def step(standing: Standing | None, look: Look) -> Step:
    """One evaluation. One that is not newer than the last changes nothing.

    Where the last lies so far ahead that its clock was wrong, this one goes on from now as after a gap.
    """
    now = look.now
    if standing is not None and now <= standing.seen_at <= now + MOST_GAP:
        return Step(standing)
    if standing is None:
        standing = Standing(state="pending", since=now, seen_at=now)
    unbroken = abs(now - standing.seen_at) <= MOST_GAP
    told_at = min(standing.told_at, now) if standing.told_at else None  # or the next reminder waits for that clock
    standing = msgspec.structs.replace(standing, seen_at=now, told_at=told_at)
    return (
        _wait(standing, look, unbroken=unbroken)
        if standing.state == PENDING
        else _live(standing if unbroken else _afresh(standing), look)
    )


def quiet_until(starts: time | None, ends: time | None, *, now: datetime, zone: tzinfo) -> datetime | None:
    """When the quiet hours around `now` end; None outside them. They may run over midnight."""
    if starts is None or ends is None or starts == ends:
        return None
    local = now.astimezone(zone)
    clock = local.time()
    inside = starts <= clock < ends if starts < ends else clock >= starts or clock < ends
    if not inside:
        return None
    day = local.date() + timedelta(days=1 if clock >= ends else 0)
    return datetime.combine(day, ends, zone)


def patience_for(window: timedelta) -> timedelta:
    """For how long an incident of that window may be open while there are too few calls to judge by."""
    return max(LEAST_PATIENCE, 2 * window)


def outranks(severity: str, other: str) -> bool:
    return SEVERITIES.index(severity) > SEVERITIES.index(other)


def _wait(standing: Standing, look: Look, *, unbroken: bool) -> Step:
    if not look.breached:
        return Step(None)
    if not unbroken:
        standing = msgspec.structs.replace(standing, since=look.now)
    if look.now - standing.since < look.terms.hold:
        return Step(standing)
    return _tell(msgspec.structs.replace(standing, state="open", opened_at=look.now), look)


def _live(standing: Standing, look: Look) -> Step:
    if standing.state == SILENCED and not _is_silent(standing, look.now):
        standing = msgspec.structs.replace(standing, state="open")
    if look.breached is None:
        return _doubt(standing, look)
    if look.breached:
        return _tell(_afresh(standing), look)
    clear_since = standing.clear_since or look.now
    standing = msgspec.structs.replace(standing, clear_since=clear_since)
    if look.now - clear_since < look.terms.hold:
        return Step(standing)
    return _end(msgspec.structs.replace(standing, unknown_since=None), "resolved")


def _doubt(standing: Standing, look: Look) -> Step:
    """Good looks in between do not end the doubt: a few calls now and then would keep the incident open for ever."""
    since = standing.unknown_since or look.now
    standing = msgspec.structs.replace(standing, clear_since=None, unknown_since=since)
    patience = look.terms.patience
    return Step(standing) if patience is None or look.now - since < patience else _end(standing, "lapsed")


def _end(standing: Standing, notice: Notice) -> Step:
    """Who was not told of it, or did not want to hear of it, is not told of its end."""
    is_told = standing.told_at is not None and standing.state != SILENCED
    return Step(msgspec.structs.replace(standing, state="resolved"), notice if is_told else None)


def _tell(standing: Standing, look: Look) -> Step:
    if look.withheld or standing.state != OPEN:
        return Step(standing)
    told = msgspec.structs.replace(standing, told_at=look.now, silenced_until=None)
    if standing.told_at is None:
        return Step(told, "opened")
    renotify = look.terms.renotify
    is_due = renotify is not None and look.now - standing.told_at >= renotify
    is_due = is_due or standing.silenced_until is not None
    return Step(told, "reminder") if is_due else Step(standing)


def _afresh(standing: Standing) -> Standing:
    return msgspec.structs.replace(standing, clear_since=None, unknown_since=None)


def _is_silent(standing: Standing, now: datetime) -> bool:
    return standing.silenced_until is not None and now < standing.silenced_until
