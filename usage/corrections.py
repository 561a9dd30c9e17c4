"""Re-pricing of past calls: compared in batches, then applied in batches, each in one transaction with its progress."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction

from usage import ledger, pricing, queries, repricing, truths
from usage.ledger import Note
from usage.models import Repricing, UsageRecord
from usage.repricing import Terms
from usage.rows import RecordRow, record_row
from usage.transactions import transaction as ledger_transaction

BATCH_ROWS = 500

State = Repricing.State
_NEXT = {State.COMPARING: State.COMPARED, State.APPLYING: State.APPLIED}
_WORKING = tuple(_NEXT)


class NotReadyError(Exception):
    """It has not been compared, or has been applied, or another one is being applied."""


def begin(
    *,
    terms: Terms,
    price_text: str,
    deployment_id: UUID,
    model: str,
    client: str,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    author: str,
    now: datetime,
) -> Repricing:
    """A comparison to be made: `advance` makes it. Calls that begin from now on are never part of it."""
    return Repricing.objects.create(
        price_id=terms.price.price_id,
        price=msgspec.json.encode(terms).decode(),
        price_text=price_text,
        deployment_id=deployment_id,
        model=model,
        client=client,
        starts_at=starts_at,
        ends_at=min(ends_at, now),
        reason=reason,
        author=author,
        created_at=now,
        moved_at=now,
    )


def apply(key: UUID, *, author: str, now: datetime) -> None:
    """Let `advance` apply what was compared. `author` is who says so. Raises `NotReadyError`."""
    try:
        with transaction.atomic():
            changed = Repricing.objects.filter(pk=key, state=State.COMPARED).update(
                state=State.APPLYING, author=author, cursor=None, moved_at=now
            )
    except IntegrityError as error:
        raise NotReadyError("Another re-pricing is being applied. Wait for its end, then compare anew.") from error
    if not changed:
        raise NotReadyError("This is not waiting to be applied.")


def advance(key: UUID, *, now: datetime) -> bool:
    """The next batch of what is under way. Returns whether there is more to do. Safe to run twice, also at once."""
    with transaction.atomic():
        job = Repricing.objects.select_for_update().filter(pk=key, state__in=_WORKING).first()
        if job is None:
            return False
        rows = _next_rows(job)
        _take(job, rows, now)
        job.cursor = rows[-1].id if rows else job.cursor
        job.moved_at = now
        done = len(rows) < BATCH_ROWS
        if done:
            job.state = _NEXT[State(job.state)]
        job.save()
    return not done


def unfinished(*, before: datetime) -> list[UUID]:
    """What has made no progress since: its worker died."""
    found = Repricing.objects.filter(state__in=_WORKING, moved_at__lt=before)
    return list(found.values_list("pk", flat=True))


def _next_rows(job: Repricing) -> list[RecordRow]:
    """The calls after the cursor, in the order of their keys, each as the books say now."""
    chosen = queries.records(job.starts_at, job.ends_at, client=job.client or None)
    chosen = chosen.filter(deployment_id=job.deployment_id, kind=UsageRecord.Kind.CALL)
    chosen = chosen.exclude(evidence=UsageRecord.Evidence.NONE)
    if job.cursor is not None:
        chosen = chosen.filter(id__gt=job.cursor)
    rows = [record_row(record) for record in chosen.order_by("id")[:BATCH_ROWS]]
    with ledger_transaction() as cursor:
        truths.lock(cursor, [row.id for row in rows if row.status == UsageRecord.Status.INTERRUPTED])
    adjustments: dict[UUID | None, list[RecordRow]] = defaultdict(list)
    for record in UsageRecord.objects.filter(adjusts_id__in=[row.id for row in rows]).order_by("id"):
        adjustments[record.adjusts_id].append(record_row(record))
    return [repricing.standing(row, adjustments[row.id]) for row in rows]


def _take(job: Repricing, rows: Sequence[RecordRow], now: datetime) -> None:
    """Count a batch's differences, or book them."""
    adjustments = _adjustments(job, rows, now)
    if job.state == State.COMPARING:
        _count(job, rows, adjustments)
        return
    ledger.apply([Note(each) for each in adjustments if each is not None], replayed=True)
    job.adjusted_rows += sum(each is not None for each in adjustments)
    job.adjusted_pico += _difference(adjustments)


def _adjustments(job: Repricing, rows: Sequence[RecordRow], now: datetime) -> list[RecordRow | None]:
    """For each of `rows`, in order; None where its cost stays."""
    timeline = msgspec.json.decode(job.price, type=Terms).timeline()
    found: list[RecordRow | None] = []
    for row in rows:
        rates = pricing.in_force(timeline, row.started_at)
        job.unpriced_rows += rates is None and job.state == State.COMPARING
        found.append(
            repricing.adjustment(row, rates, repricing_id=job.pk, reason=job.reason, author=job.author, now=now)
            if rates
            else None
        )
    return found


def _count(job: Repricing, rows: Sequence[RecordRow], adjustments: Sequence[RecordRow | None]) -> None:
    old_pico = sum(row.cost_pico or 0 for row in rows)
    job.rows += len(rows)
    job.changed_rows += sum(each is not None for each in adjustments)
    job.newly_known_rows += sum(each is not None and each.prices_unknown for each in adjustments)
    job.old_pico += old_pico
    job.new_pico += old_pico + _difference(adjustments)


def _difference(adjustments: Sequence[RecordRow | None]) -> int:
    return sum(each.cost_pico or 0 for each in adjustments if each is not None)
