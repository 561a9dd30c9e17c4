"""Which processes live, by the database's clock, and what becomes of the calls of those that don't."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from usage import ledger, sql, unfinished
from usage.ledger import Note, Settle
from usage.models import Hold, Lease, UsageRecord
from usage.rows import FACTS, RecordRow

LEASE = timedelta(seconds=15)  # a process that has not been seen for so long is dead
FORGET = timedelta(hours=1)
SWEEP_LIMIT = 500

_search = unfinished.Search()

log = structlog.get_logger(__name__)


def renew(lease_id: UUID, process: str) -> datetime:
    """This process is alive. Returns the database's time, by which deadlines are judged."""
    Lease.objects.update_or_create(pk=lease_id, defaults={"process": process, "seen_at": Now()})
    seen_at: datetime = Lease.objects.values_list("seen_at", flat=True).get(pk=lease_id)
    return seen_at


def release(lease_id: UUID) -> None:
    """This process ends, having settled what it held."""
    Lease.objects.filter(pk=lease_id).delete()


def live() -> list[UUID]:
    """The processes that live, in an order that all of them agree on. Closes its thread's connection."""
    try:
        return list(Lease.objects.filter(seen_at__gte=Now() - LEASE).order_by("pk").values_list("pk", flat=True))
    finally:
        connection.close()


def sweep(*, now: datetime) -> int:
    """Settle the holds of dead processes, and those past deadline + lease, at their upper bound. Returns how many.

    Calls that were cut off while nothing was held for them are counted too: they get their final row.
    """
    live = Lease.objects.filter(seen_at__gte=Now() - LEASE).values("pk")
    lost = Hold.objects.filter(~Q(lease_id__in=live) | Q(deadline_at__lt=Now() - LEASE))
    swept = _sweep(lost, now) if lost.exists() else 0
    Lease.objects.filter(seen_at__lt=Now() - FORGET).delete()
    return swept + _finish(now)


def _sweep(lost: QuerySet[Hold], now: datetime) -> int:
    """Holds that another process is just settling are left to it: their rows are deleted in no certain order, so that
    whoever waited for some of them with others in hand could wait in a circle.
    """
    with transaction.atomic():
        free = lost.select_for_update(skip_locked=True).order_by("id")[:SWEEP_LIMIT]
        return _settle([Settle(_interrupted(hold, now), swept=True) for hold in free])


def _finish(now: datetime) -> int:
    if _search.is_resting:
        return 0
    with transaction.atomic():
        finals = _search.look(now=now)
        unfinished.free_keys(finals, now=now)
        return _settle([Note(final) for final in finals])


def _settle(entries: Sequence[Settle | Note]) -> int:
    """How many were settled. A call whose record the database refuses is found by halving, and stops no other."""
    try:
        if entries:
            ledger.apply(entries, replayed=True)  # another process may have settled them meanwhile
    except Exception as error:  # whatever one row does, the others are settled
        if not sql.is_of_a_row(error):
            raise
        if len(entries) > 1:
            half = len(entries) // 2
            return _settle(entries[:half]) + _settle(entries[half:])
        log.exception("a lost call cannot be settled", record=str(entries[0].record.id))
        return 0
    return len(entries)


def _interrupted(hold: Hold, now: datetime) -> RecordRow:
    facts = {name: getattr(hold, name) for name in FACTS}
    facts |= {name: msgspec.json.encode(facts[name]).decode() for name in ("tags", "windows")}
    return RecordRow(
        **facts,
        status=UsageRecord.Status.INTERRUPTED,
        evidence=UsageRecord.Evidence.UPPER_BOUND,
        error_code="INTERRUPTED",
        error_detail="The process that made this call ended before its answer did.",
        input_tokens=hold.input_tokens,
        output_tokens=hold.output_tokens,
        cost_pico=hold.amount_pico,
        ended_at=now,
    )
