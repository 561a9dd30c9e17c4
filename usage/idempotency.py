"""Idempotency keys in the ledger: one call a client and key, its answer kept for a day.

A claim is written in the transaction of its call's hold and marked in that of its record, so that the two never
disagree. `lock`, `claim`, `finish` and `release` are for `usage.ledger` alone; the rest is for whoever answers a key
again. Answers come encrypted and are kept as they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from uuid import UUID

import msgspec
from django.db import connection
from django.db.transaction import atomic

from usage import sql
from usage.models import IdempotencyKey
from usage.transactions import Cursor, on_postgresql, transaction

KEPT = timedelta(hours=24)
EXPIRE_BATCH = 1_000
_UNANSWERED = "('error', 'cancelled', 'refused')"  # such a call has no answer: the same key and body may try again


class Claim(msgspec.Struct, frozen=True):
    """A call's claim to its key. `id` is the call's own: all its attempts carry the same claim.

    `fingerprint` tells bodies apart, in at most 64 characters; `created_at` is when the call began.
    """

    id: UUID
    client: str
    key: str
    fingerprint: str
    request_id: str
    created_at: datetime


class Answer(msgspec.Struct, frozen=True):
    """What a later call with the same key is to be told: encrypted, in a form of the writer's own."""

    claim_id: UUID
    content: bytes


class Kept(msgspec.Struct, frozen=True):
    """What is known of the call that has the key.

    `status` is that of its record (`hold_id` is the record's id), '' while it runs; `answer` None: there is none.
    """

    claim_id: UUID
    fingerprint: str
    request_id: str
    hold_id: UUID
    status: str
    answer: bytes | None


class KeyInUseError(Exception):
    """Another call of the client has the key: nothing was reserved."""

    def __init__(self, kept: Kept) -> None:
        super().__init__(kept.request_id)
        self.kept = kept


def free(claim_id: UUID) -> None:
    """Give the key of a call back that was refused after a failed attempt: no record will end its claim.

    A call that has its final record keeps its key, as that says. Raises django.db.Error.
    """
    try:
        with transaction() as cursor:
            cursor.execute("DELETE FROM usage_idempotencykey WHERE id = %s AND status = ''", (claim_id,))
    finally:
        if not connection.in_atomic_block:
            connection.close()  # the thread is anybody's


def expire(*, now: datetime) -> int:
    """Forget what is over, in batches; returns how many.

    What a call has in its hands, which takes it over, is left to that: it has others too, in an order of its own.
    """
    count = 0
    while gone := _expire_batch(now):
        count += gone
    return count


def _expire_batch(now: datetime) -> int:
    with atomic():
        over = IdempotencyKey.objects.select_for_update(skip_locked=True).filter(expires_at__lte=now)
        batch = list(over.values_list("pk", flat=True)[:EXPIRE_BATCH])
        return IdempotencyKey.objects.filter(pk__in=batch).delete()[0]


# --- inside the ledger's transaction ------------------------------------------------------------------------------


def lock(cursor: Cursor, ids: Iterable[UUID], claims: Iterable[Claim]) -> None:
    """Have all keys that a batch will touch to itself: those of the claims that end (`ids`), and those claimed.

    All processes ask for them in one order, so that none waits for another in a circle. Rows could not be locked so:
    some of them are yet to be written. SQLite's transactions are alone anyway.
    """
    if not on_postgresql():
        return
    keys = {(each.client, each.key) for each in claims}
    if ending := [*ids]:
        keys.update(cursor.rows("SELECT client, key FROM usage_idempotencykey WHERE id = ANY(%s)", [ending]))
    cursor.execute("SELECT pg_advisory_xact_lock(number) FROM unnest(%s::bigint[]) AS number", [_numbers(keys)])


def _numbers(keys: Iterable[tuple[object, ...]]) -> list[int]:
    """A number for each key, in their order. Two keys may share one, which does no harm."""
    digests = (blake2b(repr(key).encode(), digest_size=8, person=b"idempotency").digest() for key in keys)
    return sorted({int.from_bytes(digest, signed=True) for digest in digests})


def claim(cursor: Cursor, claims: Mapping[UUID, Claim]) -> dict[UUID, KeyInUseError]:
    """Claim for the calls of these holds; returns who came too late, by hold.

    A call takes over its own earlier attempt, what has expired, and what has ended without an answer to the same
    body. In sorted order, so that no two processes wait for each other in a circle.
    """
    ordered = sorted(claims.items(), key=lambda item: (item[1].client, item[1].key))
    cursor.executemany(_UPSERT, [_values(hold_id, each) for hold_id, each in ordered])
    late = {}
    for hold_id, each in ordered:
        (kept,) = map(_kept, cursor.rows(f"{_SELECT} WHERE client = %s AND key = %s", (each.client, each.key)))
        if kept.claim_id != each.id:
            late[hold_id] = KeyInUseError(kept)
    return late


def finish(cursor: Cursor, statuses: Mapping[UUID, str], answers: Iterable[Answer]) -> None:
    """Mark the claims of calls that have their record: its status, by claim; and keep their answers."""
    cursor.executemany(_FINISH, [(status, key) for key, status in sorted(statuses.items())])
    cursor.executemany(_STORE, [(each.content, each.claim_id) for each in sorted(answers, key=lambda a: a.claim_id)])


def release(cursor: Cursor, ids: Sequence[UUID]) -> None:
    """Of calls that were never made: their keys are free again."""
    cursor.executemany("DELETE FROM usage_idempotencykey WHERE id = %s", [(key,) for key in sorted(ids)])


def _values(hold_id: UUID, claim: Claim) -> tuple[object, ...]:
    facts = (claim.id, claim.client, claim.key, claim.fingerprint, claim.request_id)
    return (*facts, hold_id, claim.created_at, claim.created_at + KEPT)


_SELECT = "SELECT id, fingerprint, request_id, hold_id, status, answer FROM usage_idempotencykey"
_STORE = "UPDATE usage_idempotencykey SET answer = %s WHERE id = %s"
_FINISH = "UPDATE usage_idempotencykey SET status = %s WHERE id = %s"
_UPSERT = (
    "INSERT INTO usage_idempotencykey AS kept "  # noqa: S608 - our own names
    "(id, client, key, fingerprint, request_id, hold_id, created_at, expires_at, status) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, '') ON CONFLICT (client, key) DO UPDATE SET "
    "id = EXCLUDED.id, fingerprint = EXCLUDED.fingerprint, request_id = EXCLUDED.request_id, "
    "hold_id = EXCLUDED.hold_id, created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at, "
    "status = '', answer = NULL "
    "WHERE kept.id = EXCLUDED.id OR kept.expires_at <= EXCLUDED.created_at OR "
    f"(kept.status IN {_UNANSWERED} AND kept.answer IS NULL AND kept.fingerprint = EXCLUDED.fingerprint)"
)


def _kept(row: tuple[object, ...]) -> Kept:
    key, fingerprint, request_id, hold_id, status, answer = row
    assert isinstance(key, str | UUID)
    assert isinstance(hold_id, str | UUID)
    return Kept(
        claim_id=sql.uuid_of(key),
        fingerprint=str(fingerprint),
        request_id=str(request_id),
        hold_id=sql.uuid_of(hold_id),
        status=str(status),
        answer=bytes(answer) if isinstance(answer, bytes | memoryview) else None,
    )
