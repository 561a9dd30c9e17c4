"""Calls that were cut off between two attempts: their process was killed after one had failed, before the next.

Nothing was held then, so that no money is lost; but no row of such a call is final, and so no count knows of it. It
gets a final row of its own, once, under an id that follows from that of its last attempt.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from django.db import connection

from core.ids import lower_bound
from usage import rows, sql
from usage.models import IdempotencyKey, UsageRecord
from usage.rows import FACTS, RecordRow
from usage.transactions import on_postgresql

LONGEST_CALL = timedelta(hours=2)  # what has had no row and no hold for so long goes on no more
LOOK_BACK = timedelta(hours=48)
PAGE = 1_000
_REST_S = 300.0
_ADVISORY_LOCK = 4_206_019  # any number, as long as nothing else uses it
_RANDOM_BITS = 80  # of a UUIDv7, below its millisecond
_NO_DISPATCH = {
    "provider_id": None,
    "provider": "",
    "deployment_id": None,
    "deployment": "",
    "credential": "",
    "price_id": None,
    "usd_per_unit": None,
    "windows": "[]",
    "routing": "",
}


class Search:
    """Goes through the failed attempts of the last two days a page at a time, then rests, and begins anew.

    One a process. Rows may come late (from a journal), so it never takes an hour for done.
    """

    def __init__(self) -> None:
        self._first = UUID(int=0)
        self._rests_until_s = 0.0

    @property
    def is_resting(self) -> bool:
        return time.monotonic() < self._rests_until_s

    def look(self, *, now: datetime) -> list[RecordRow]:
        """The final rows that the calls of the next page lack. Within a transaction; one process at a time."""
        if not _alone():
            return []
        failed = _failed(max(self._first, lower_bound(now - LOOK_BACK)), lower_bound(now - LONGEST_CALL))
        if len(failed) < PAGE:
            self._first = UUID(int=0)
            self._rests_until_s = time.monotonic() + _REST_S
        else:
            self._first = UUID(int=failed[-1].int + 1)
        last = _last_attempts(failed)
        cut_off = UsageRecord.objects.filter(pk__in=last, ended_at__lt=now - LONGEST_CALL) if last else ()
        return [_final(row) for row in cut_off]


def final_id(record_id: UUID) -> UUID:
    """The id of the final row of a call whose last attempt is this record: of its millisecond, and always the same."""
    return UUID(int=record_id.int ^ 4)


def free_keys(finals: Sequence[RecordRow], *, now: datetime) -> None:
    """Their last attempts have failed, and nothing was sent since: whoever has their idempotency keys may try again."""
    if finals:
        IdempotencyKey.objects.filter(
            client__in={row.client for row in finals},  # the hold's id alone has no index
            hold_id__in=[final_id(row.id) for row in finals],  # which is its own inverse
            status="",
            expires_at__gt=now,  # the others are about to be forgotten anyway
        ).delete()


def _alone() -> bool:
    """Whether no other process looks just now. SQLite's transactions are alone anyway (IMMEDIATE)."""
    if not on_postgresql():
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        return bool(cursor.fetchone()[0])


def _failed(first: UUID, end: UUID) -> list[UUID]:
    """A page of attempts that were not their calls' last, by the index of these."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM usage_usagerecord WHERE NOT is_final AND kind = 'call' AND id >= %s AND id < %s "
            "ORDER BY id LIMIT %s",
            (first, end, PAGE),
        )
        return [sql.uuid_of(key) for (key,) in cursor.fetchall()]


def _last_attempts(failed: Iterable[UUID]) -> list[UUID]:
    """Of the calls of these attempts that have neither a final row nor a hold.

    A call's rows and holds are all of its own millisecond, by their keys: so they are found whatever else has the same
    request id, which its caller may have chosen. One statement sees a hold, or the row that it became.
    """
    moments = sorted({key.int >> _RANDOM_BITS for key in failed})
    if not moments:
        return []
    with connection.cursor() as cursor:
        if on_postgresql():
            cursor.execute("SET LOCAL jit = off")  # it takes a range of keys for thousands of rows, and these are few
        cursor.execute(_OF_MOMENTS[connection.vendor], (msgspec.json.encode([*map(_bounds, moments)]).decode(),))
        found = cursor.fetchall()
    attempts: dict[tuple[object, ...], list[tuple[int, UUID]]] = {}
    safe = set()
    for key, attempt, is_safe, *call in found:
        if is_safe:
            safe.add(tuple(call))
        attempts.setdefault(tuple(call), []).append((attempt, sql.uuid_of(key)))
    return [max(found)[1] for call, found in attempts.items() if call not in safe]


def _bounds(moment_ms: int) -> tuple[str, str]:
    """Keys are stored in this form on SQLite, and understood in it on PostgreSQL."""
    first, end = (UUID(int=each << _RANDOM_BITS) for each in (moment_ms, moment_ms + 1))
    return first.hex, end.hex


def _of_moments(bounds: str) -> str:
    of_a_moment = "JOIN {} AS r ON r.id >= moment.low AND r.id < moment.high"
    call = "r.request_id, r.client_id, r.started_at"
    return (
        f"WITH moment AS ({bounds}) "  # noqa: S608 - our own words
        f"SELECT r.id, r.attempt, r.is_final, {call} FROM moment {of_a_moment.format('usage_usagerecord')} "
        "WHERE r.kind = 'call' "
        f"UNION ALL SELECT r.id, r.attempt, true, {call} FROM moment {of_a_moment.format('usage_hold')}"
    )


_OF_MOMENTS = {
    "postgresql": _of_moments(
        "SELECT CAST(value ->> 0 AS uuid) AS low, CAST(value ->> 1 AS uuid) AS high "
        "FROM jsonb_array_elements(CAST(%s AS jsonb))"
    ),
    "sqlite": _of_moments(
        "SELECT json_extract(value, '$[0]') AS low, json_extract(value, '$[1]') AS high FROM json_each(%s)"
    ),
}


def _final(row: UsageRecord) -> RecordRow:
    """It is no dispatch, and nobody's failure but ours: so no provider is named."""
    last = rows.record_row(row)
    facts = {name: getattr(last, name) for name in FACTS} | _NO_DISPATCH
    return RecordRow(
        **facts | {"id": final_id(row.pk)},
        status=UsageRecord.Status.INTERRUPTED,
        evidence=UsageRecord.Evidence.NONE,
        error_code="INTERRUPTED",
        error_detail=f"The process that made this call ended after attempt {row.attempt} had failed, before the next.",
        cost_pico=0,
        input_cost_pico=0,
        output_cost_pico=0,
        request_cost_pico=0,
        ended_at=row.ended_at,
    )
