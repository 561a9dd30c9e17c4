"""The only writer of ledger rows. One call of `apply` is one transaction.

A hold and the record that replaces it share an id, and figures (budgets, rollups) move only for rows that the
transaction really inserted or deleted: any entry may be applied again without changing a figure.
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from usage import idempotency, rollups, sql, truths, windows
from usage.budgets import BudgetExceededError, Window, take
from usage.idempotency import Answer, Claim, KeyInUseError
from usage.models import Hold, UsageRecord
from usage.rows import HoldRow, RecordRow
from usage.sql import Insert
from usage.transactions import Cursor, on_postgresql, transaction
from usage.truths import Corrections, adjustment_id
from usage.windows import Balances, Held


class Reserve(msgspec.Struct, frozen=True, tag=True):
    """A dispatch is about to happen, and counts in `windows`. `idempotency` is its call's claim, if that has a key."""

    hold: HoldRow
    windows: tuple[Window, ...] = ()
    idempotency: Claim | None = None


class Extend(msgspec.Struct, frozen=True, tag=True):
    """A dispatch grows beyond its hold, by `amount_pico` for `output_tokens`.

    `hard`: a hard budget asks, and must have been asked.
    """

    hold_id: UUID
    amount_pico: int
    hard: bool = False
    output_tokens: int = 0


class Settle(msgspec.Struct, frozen=True, tag=True):
    """A dispatch has ended: its hold becomes `record`. `swept` marks the sweeper's guess, which never beats a truth.

    `answer` is for the later calls with the same idempotency key.
    """

    record: RecordRow
    swept: bool = False
    answer: Answer | None = None


class Void(msgspec.Struct, frozen=True, tag=True):
    """A dispatch that provably never happened: no byte of it was sent.

    `lost` is the hold itself where its commit was never heard of: a database that hung may still bring it to light.
    """

    hold_id: UUID
    lost: HoldRow | None = None


class Note(msgspec.Struct, frozen=True, tag=True):
    """A row that needs no hold: a refusal, an answer from the cache, an adjustment."""

    record: RecordRow


class LedgerUnavailableError(Exception):
    """The books cannot be written now: a call that must be accounted for in the database cannot be made."""


class HoldGoneError(LedgerUnavailableError):
    """The hold to be extended is not in the database (swept, or journalled): its hard budget cannot be asked."""


_SHARD = secrets.randbelow(rollups.SHARDS)  # not by number: in containers a process has the same on all hosts
Entry = Reserve | Extend | Settle | Void | Note
Refusal = BudgetExceededError | KeyInUseError | HoldGoneError


def apply(entries: Sequence[Entry], *, replayed: bool = False, refusing: bool = True) -> dict[int, Refusal]:
    """Write all of `entries` that their budgets and keys have room for, or none. Returns the refusals, by index.

    `refusing` False: holds are facts, of calls that were sent while the database was away. `replayed`: the entries may
    have been applied before (settles always may). Raises django.db.Error.
    """
    with transaction() as cursor:
        passing: dict[UUID, Held] = {}
        if replayed:
            entries = _without_known_holds(entries)
            passing = _passing(entries)
        _await_lost(cursor, [entry.lost for entry in entries if isinstance(entry, Void) and entry.lost])
        freed = _delete_holds(cursor, [_ends(entry) for entry in entries if isinstance(entry, Settle | Void)])
        records, corrected = _records(cursor, entries, freed, replayed=replayed)
        with_claims = _lock_claims(cursor, entries, freed)
        late = _claim(cursor, entries) if with_claims else {}
        held = _read_holds(cursor, [entry.hold_id for entry in entries if isinstance(entry, Extend)])
        balances = _balances(cursor, entries, [*freed.values(), *held.values()], records)
        if balances:
            windows.give_back(balances, freed.values())
            records = windows.charge(balances, records, freed | passing | corrected)
        refused, holds, extensions = _decide(entries, balances, _Known(held, passing, late), refusing=refusing)
        inserts = [Insert("usage_hold", holds)] if holds else []
        if records:
            inserts += [*rollups.folded(records, shard=_SHARD), Insert("usage_usagerecord", records)]
        if inserts:
            sql.insert(cursor, *inserts)
        if extensions:
            _extend(cursor, extensions)
        if balances:
            windows.move(cursor, balances)
        if with_claims:
            _end_claims(cursor, entries, records, freed, refused)
    return refused


def _ends(entry: Settle | Void) -> UUID:
    return entry.record.id if isinstance(entry, Settle) else entry.hold_id


def _without_known_holds(entries: Sequence[Entry]) -> list[Entry]:
    """Leaves out the holds that are there, and those that have been settled since."""
    ids = [entry.hold.id for entry in entries if isinstance(entry, Reserve)]
    known = set(Hold.objects.filter(pk__in=ids).values_list("pk", flat=True))
    known |= set(UsageRecord.objects.filter(pk__in=ids).values_list("pk", flat=True))
    return [entry for entry in entries if not (isinstance(entry, Reserve) and entry.hold.id in known)]


def _passing(entries: Sequence[Entry]) -> dict[UUID, Held]:
    """The holds that begin and end in this batch, and so come from a journal: they are never written."""
    ended = {_ends(entry) for entry in entries if isinstance(entry, Settle | Void)}
    return {
        entry.hold.id: Held(entry.hold.amount_pico or 0, windows.ids_in(entry.hold.windows))
        for entry in entries
        if isinstance(entry, Reserve) and entry.hold.id in ended
    }


def _records(
    cursor: Cursor, entries: Sequence[Entry], freed: Container[UUID], *, replayed: bool
) -> tuple[list[RecordRow], dict[UUID, Held]]:
    """The records that are really new: those whose hold is gone just now, and those that were never written.

    Of two settles of one call the first counts, also where they meet in one batch. With the bounds of corrections.
    """
    sure: dict[UUID, RecordRow] = {}
    guesses: dict[UUID, RecordRow] = {}
    late: dict[UUID, RecordRow] = {}
    for entry in reversed(entries):
        if isinstance(entry, Settle):
            record = entry.record
            if record.id in freed:
                (guesses if entry.swept else sure)[record.id] = record
            elif not entry.swept:
                late[record.id] = record
    notes = [entry.record for entry in entries if isinstance(entry, Note)]
    if replayed:
        notes = _unwritten(cursor, notes)
    unsure = late | guesses
    if not unsure:
        return [*sure.values(), *notes], {}
    known = {row.pk: row for row in UsageRecord.objects.filter(pk__in=[*unsure, *map(adjustment_id, late)])}
    new = [record for key, record in unsure.items() if key not in known]
    found = truths.corrections(cursor, late, known) if late.keys() & known.keys() else Corrections([], {})
    return [*sure.values(), *new, *notes, *found.records], found.bounds


def _unwritten(cursor: Cursor, notes: Sequence[RecordRow]) -> list[RecordRow]:
    """Those that are not in the books yet, each once."""
    condition, keys = sql.among(record.id for record in notes)
    if not keys:
        return []
    found = cursor.rows(f"SELECT id FROM usage_usagerecord WHERE id {condition}", keys)  # noqa: S608 - our own words
    written = {sql.uuid_of(key) for (key,) in found}
    return list({record.id: record for record in notes if record.id not in written}.values())


def _balances(cursor: Cursor, entries: Sequence[Entry], held: Iterable[Held], records: Iterable[RecordRow]) -> Balances:
    """The windows that this batch touches, locked."""
    asked = {window.id: window for entry in entries if isinstance(entry, Reserve) for window in entry.windows}
    touched = {key for each in held for key in each.windows}
    touched |= {key for record in records if record.cost_pico for key in windows.ids_in(record.windows)}
    return windows.balances_of(cursor, touched=touched, asked=asked)


class _Known(NamedTuple):
    """Of a batch's holds: those to be extended, those that pass by unwritten, and those whose key is another call's."""

    held: Mapping[UUID, Held]
    passing: Container[UUID]
    late: Mapping[UUID, KeyInUseError]


def _decide(
    entries: Sequence[Entry], balances: Balances, known: _Known, *, refusing: bool
) -> tuple[dict[int, Refusal], list[HoldRow], list[Extend]]:
    """Which holds and extensions fit, each decided in its turn: (refusals by index, holds, extensions)."""
    refused: dict[int, Refusal] = {}
    holds: list[HoldRow] = []
    extensions: list[Extend] = []
    for index, entry in enumerate(entries):
        try:
            if isinstance(entry, Reserve):
                if entry.hold.id not in known.passing:
                    holds.append(_taken(entry, balances, known.late, refusing=refusing))
            elif isinstance(entry, Extend) and _extended(entry, balances, known.held):
                extensions.append(entry)
        except (BudgetExceededError, KeyInUseError, HoldGoneError) as error:
            refused[index] = error
    return refused, holds, extensions


def _taken(entry: Reserve, balances: Balances, late: Mapping[UUID, KeyInUseError], *, refusing: bool) -> HoldRow:
    """The hold to be written. Raises a `Refusal`."""
    hold, claim = entry.hold, entry.idempotency
    if hold.id in late:
        raise late[hold.id]
    take(windows.among(balances, [window.id for window in entry.windows]), hold.amount_pico or 0, refusing=refusing)
    return msgspec.structs.replace(hold, claim_id=claim.id) if claim else hold


def _extended(entry: Extend, balances: Balances, held: Mapping[UUID, Held]) -> bool:
    """Whether there is a hold to extend: one that is gone needs no more where its budgets only count."""
    if entry.hold_id in held:
        take(windows.among(balances, held[entry.hold_id].windows), entry.amount_pico)
        return True
    if entry.hard:
        raise HoldGoneError("The call's hold is no longer in the ledger.")
    return False


# --- idempotency keys ---------------------------------------------------------------------------------------------


def _lock_claims(cursor: Cursor, entries: Sequence[Entry], freed: Mapping[UUID, Held]) -> bool:
    """Before any window: who has one waits for no key. Returns whether any key is touched."""
    claims = [entry.idempotency for entry in entries if isinstance(entry, Reserve) and entry.idempotency]
    ids = [held.claim_id for held in freed.values() if held.claim_id]
    ids += [entry.answer.claim_id for entry in entries if isinstance(entry, Settle) and entry.answer]
    if claims or ids:
        idempotency.lock(cursor, ids, claims)
    return bool(claims or ids)


def _claim(cursor: Cursor, entries: Sequence[Entry]) -> dict[UUID, KeyInUseError]:
    claims = {entry.hold.id: entry.idempotency for entry in entries if isinstance(entry, Reserve) and entry.idempotency}
    return idempotency.claim(cursor, claims) if claims else {}


def _end_claims(
    cursor: Cursor,
    entries: Sequence[Entry],
    records: Iterable[RecordRow],
    freed: Mapping[UUID, Held],
    refused: Mapping[int, Refusal],
) -> None:
    """Mark the claims of the calls that have ended, with their answers; give back those of calls that were not made."""
    answered = [entry for entry in entries if isinstance(entry, Settle) and entry.answer]
    statuses = {each.answer.claim_id: each.record.status for each in answered if each.answer}
    statuses |= {
        claim_id: record.status
        for record in records
        if record.is_final and record.id in freed and (claim_id := freed[record.id].claim_id)
    }
    if statuses:
        idempotency.finish(cursor, statuses, [each.answer for each in answered if each.answer])
    unmade = [freed[entry.hold_id].claim_id for entry in entries if isinstance(entry, Void) and entry.hold_id in freed]
    unmade += [
        entry.idempotency.id
        for index, entry in enumerate(entries)
        if isinstance(entry, Reserve) and entry.idempotency and isinstance(refused.get(index), BudgetExceededError)
    ]
    if gone := [claim_id for claim_id in unmade if claim_id]:
        idempotency.release(cursor, gone)


# --- SQL ------------------------------------------------------------------------------------------------------------


def _await_lost(cursor: Cursor, lost: Sequence[HoldRow]) -> None:
    """Wait for the transactions that may still be writing these holds: each is written, unless it is there by then.

    Only PostgreSQL has other writers to wait for.
    """
    if lost and on_postgresql():
        empty = [msgspec.structs.replace(hold, amount_pico=None, windows="[]") for hold in lost]
        sql.insert(cursor, Insert("usage_hold", empty, "ON CONFLICT (id) DO NOTHING"))


def _delete_holds(cursor: Cursor, ids: Iterable[UUID]) -> dict[UUID, Held]:
    """Those that were there, with what they had taken."""
    return _holds(cursor, "DELETE FROM usage_hold WHERE id {} RETURNING id, amount_pico, windows, claim_id", ids)


def _read_holds(cursor: Cursor, ids: Iterable[UUID]) -> dict[UUID, Held]:
    statement = "SELECT id, amount_pico, windows, claim_id FROM usage_hold WHERE id {} ORDER BY id"
    return _holds(cursor, statement + sql.for_update(), ids)


def _holds(cursor: Cursor, statement: str, ids: Iterable[UUID]) -> dict[UUID, Held]:
    asked = {key.hex: key for key in ids}  # SQLite's rows say their keys as text
    condition, keys = sql.among(asked.values())
    if not keys:
        return {}
    return {
        asked.get(key) or key: Held(amount or 0, windows.ids_in(counted), sql.uuid_of(claim) if claim else None)
        for key, amount, counted, claim in cursor.rows(statement.format(condition), keys)
    }


def _extend(cursor: Cursor, extensions: Sequence[Extend]) -> None:
    cursor.executemany(
        "UPDATE usage_hold SET amount_pico = amount_pico + %s, output_tokens = output_tokens + %s WHERE id = %s",
        [(each.amount_pico, each.output_tokens, each.hold_id) for each in extensions],
    )
