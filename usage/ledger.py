"""The only writer of ledger rows. One call of `apply` is one transaction.

A hold and the record that replaces it share an id, and figures (budgets, rollups) move only for rows that the
transaction really inserted or deleted: any entry may be applied again without changing a figure.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Container, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction

from usage import rollups, sql
from usage.budgets import Balance, BudgetExceededError, Window, take
from usage.models import Hold, UsageRecord
from usage.rows import COSTS, TOKENS, HoldRow, RecordRow
from usage.sql import Cursor


class Reserve(msgspec.Struct, frozen=True, tag=True):
    """A dispatch is about to happen, and counts in `windows`."""

    hold: HoldRow
    windows: tuple[Window, ...] = ()


class Extend(msgspec.Struct, frozen=True, tag=True):
    """A dispatch grows beyond its hold, by `amount_pico`."""

    hold_id: UUID
    amount_pico: int


class Settle(msgspec.Struct, frozen=True, tag=True):
    """A dispatch has ended: its hold becomes `record`. `swept` marks the sweeper's guess, which never beats a truth."""

    record: RecordRow
    swept: bool = False


class Void(msgspec.Struct, frozen=True, tag=True):
    """A dispatch that provably never happened: no byte of it was sent."""

    hold_id: UUID


class Note(msgspec.Struct, frozen=True, tag=True):
    """A row that needs no hold: a refusal, an answer from the cache, an adjustment."""

    record: RecordRow


_SHARD = os.getpid() % rollups.SHARDS
Entry = Reserve | Extend | Settle | Void | Note


def apply(entries: Sequence[Entry], *, replayed: bool = False, refusing: bool = True) -> dict[int, BudgetExceededError]:
    """Write all of `entries` that their budgets have room for, or none. Returns the refusals, by index.

    `refusing` False: holds are facts, of calls that were sent while the database was away. `replayed`: the entries may
    have been applied before (settles and notes always may). Raises django.db.Error.
    """
    with connection.wrap_database_errors, transaction.atomic():
        cursor = sql.cursor()
        passing: dict[UUID, _Held] = {}
        if replayed:
            entries = _without_known_holds(entries)
            passing = _passing(entries)
        freed = _delete_holds(cursor, [_ends(entry) for entry in entries if isinstance(entry, Settle | Void)])
        records = _records(entries, freed)
        held = _read_holds(cursor, [entry.hold_id for entry in entries if isinstance(entry, Extend)])
        balances = _balances(cursor, entries, [*freed.values(), *held.values()], records)
        _give_back(balances, freed.values())
        _charge(balances, records, freed | passing)
        refused, holds, extensions = _decide(entries, balances, held, passing, refusing=refusing)
        if holds:
            _insert(cursor, "usage_hold", HoldRow, holds)
        if extensions:
            _extend(cursor, extensions)
        if records:
            _insert(cursor, "usage_usagerecord", RecordRow, records)
            rollups.fold(cursor, records, shard=_SHARD)
        if balances:
            _move(cursor, balances)
    return refused


def _ends(entry: Settle | Void) -> UUID:
    return entry.record.id if isinstance(entry, Settle) else entry.hold_id


def _without_known_holds(entries: Sequence[Entry]) -> list[Entry]:
    """Leaves out the holds that are there, and those that have been settled since."""
    ids = [entry.hold.id for entry in entries if isinstance(entry, Reserve)]
    known = set(Hold.objects.filter(pk__in=ids).values_list("pk", flat=True))
    known |= set(UsageRecord.objects.filter(pk__in=ids).values_list("pk", flat=True))
    return [entry for entry in entries if not (isinstance(entry, Reserve) and entry.hold.id in known)]


def _passing(entries: Sequence[Entry]) -> dict[UUID, _Held]:
    """The holds that begin and end in this batch: they are never written."""
    ended = {_ends(entry) for entry in entries if isinstance(entry, Settle | Void)}
    return {
        entry.hold.id: _Held(entry.hold.amount_pico or 0, window_ids(entry.hold.windows))
        for entry in entries
        if isinstance(entry, Reserve) and entry.hold.id in ended
    }


def _balances(
    cursor: Cursor, entries: Sequence[Entry], held: Iterable[_Held], records: Iterable[RecordRow]
) -> Balances:
    """The windows that this batch touches, locked; those of periods that have just begun are opened."""
    asked = {window.id: window for entry in entries if isinstance(entry, Reserve) for window in entry.windows}
    touched = {key for each in held for key in each.windows}
    touched |= {key for record in records for key in window_ids(record.windows)}
    balances = _lock(cursor, touched | asked.keys())
    missing = asked.keys() - balances.keys()
    if missing:
        _open(cursor, [asked[key] for key in missing])
        balances = _lock(cursor, touched | asked.keys())
    return balances


class _Held(msgspec.Struct, frozen=True):
    """What a hold has taken: `amount_pico` in each of `windows`."""

    amount_pico: int
    windows: tuple[UUID, ...]


Balances = dict[UUID, Balance]


def _records(entries: Sequence[Entry], freed: dict[UUID, _Held]) -> list[RecordRow]:
    """The records that are really new: those whose hold is gone just now, and those that were never written.

    Of two settles of one call the first counts, also where they meet in one batch.
    """
    settles = [entry for entry in reversed(entries) if isinstance(entry, Settle)]
    sure = {each.record.id: each.record for each in settles if each.record.id in freed and not each.swept}
    guesses = {each.record.id: each.record for each in settles if each.record.id in freed and each.swept}
    late = {each.record.id: each.record for each in settles if each.record.id not in freed and not each.swept}
    notes = {entry.record.id: entry.record for entry in entries if isinstance(entry, Note)}
    unsure = late | guesses | notes
    if not unsure:
        return list(sure.values())
    known = {row.pk: row for row in UsageRecord.objects.filter(pk__in=[*unsure, *map(adjustment_id, late)])}
    new = [record for key, record in unsure.items() if key not in known]
    truths = [
        _difference(record, known[key])
        for key, record in late.items()
        if key in known and known[key].status == UsageRecord.Status.INTERRUPTED and adjustment_id(key) not in known
    ]
    return [*sure.values(), *new, *truths]


def adjustment_id(record_id: UUID) -> UUID:
    """The id of the row that corrects the sweeper's guess: of the same millisecond, and always the same."""
    return UUID(int=record_id.int ^ 1)


def _difference(truth: RecordRow, guess: UsageRecord) -> RecordRow:
    changed = {name: getattr(truth, name) - getattr(guess, name) for name in TOKENS}
    changed |= {name: _minus(getattr(truth, name), getattr(guess, name)) for name in COSTS}
    return msgspec.structs.replace(
        truth, id=adjustment_id(truth.id), kind="adjustment", adjusts_id=truth.id, is_final=False, **changed
    )


def _minus(truth: int | None, guess: int | None) -> int | None:
    return None if truth is None else truth - (guess or 0)


def _give_back(balances: Balances, freed: Iterable[_Held]) -> None:
    for held in freed:
        for balance in _among(balances, held.windows):
            balance.held_change -= held.amount_pico


def _charge(balances: Balances, records: Iterable[RecordRow], freed: dict[UUID, _Held]) -> None:
    """Settle the records' cost; what exceeds its hold is an overrun."""
    for record in records:
        cost = record.cost_pico or 0
        held = freed.get(record.id)
        for balance in _among(balances, window_ids(record.windows)):
            balance.settled_change += cost
            balance.overrun_change += max(cost - (held.amount_pico if held else 0), 0)


def _decide(
    entries: Sequence[Entry], balances: Balances, held: dict[UUID, _Held], passing: Container[UUID], *, refusing: bool
) -> tuple[dict[int, BudgetExceededError], list[HoldRow], list[tuple[int, UUID]]]:
    """Which holds and extensions fit, each decided in its turn: (refusals by index, holds, extensions)."""
    refused: dict[int, BudgetExceededError] = {}
    holds: list[HoldRow] = []
    extensions: list[tuple[int, UUID]] = []
    for index, entry in enumerate(entries):
        try:
            if isinstance(entry, Reserve):
                if entry.hold.id in passing:
                    continue
                windows = _among(balances, [window.id for window in entry.windows])
                take(windows, entry.hold.amount_pico or 0, refusing=refusing)
                holds.append(entry.hold)
            elif isinstance(entry, Extend) and entry.hold_id in held:
                take(_among(balances, held[entry.hold_id].windows), entry.amount_pico, refusing=refusing)
                extensions.append((entry.amount_pico, entry.hold_id))
        except BudgetExceededError as error:
            refused[index] = error
    return refused, holds, extensions


def _among(balances: Balances, ids: Iterable[UUID]) -> list[Balance]:
    """A window whose budget was deleted meanwhile counts no more."""
    return [balances[key] for key in ids if key in balances]


def window_ids(text: str) -> tuple[UUID, ...]:
    """The column `windows`, a JSON list."""
    return () if text == "[]" else tuple(_decode_ids(text))


_decode_ids = msgspec.json.Decoder(list[UUID]).decode


# --- SQL ------------------------------------------------------------------------------------------------------------


def _delete_holds(cursor: Cursor, ids: Iterable[UUID]) -> dict[UUID, _Held]:
    """Those that were there, with what they had taken."""
    return _holds(cursor, "DELETE FROM usage_hold WHERE id {} RETURNING id, amount_pico, windows", ids)


def _read_holds(cursor: Cursor, ids: Iterable[UUID]) -> dict[UUID, _Held]:
    statement = "SELECT id, amount_pico, windows FROM usage_hold WHERE id {} ORDER BY id"
    return _holds(cursor, statement + sql.for_update(), ids)


def _holds(cursor: Cursor, statement: str, ids: Iterable[UUID]) -> dict[UUID, _Held]:
    condition, keys = sql.among(ids)
    if not keys:
        return {}
    cursor.execute(statement.format(condition), keys)
    return {_uuid(key): _Held(amount or 0, window_ids(_text(windows))) for key, amount, windows in cursor.fetchall()}


def _lock(cursor: Cursor, ids: Iterable[UUID]) -> Balances:
    """The windows' rows, locked in the order of their ids: no two processes wait for each other in a circle."""
    condition, keys = sql.among(ids)
    if not keys:
        return {}
    cursor.execute(
        "SELECT w.id, b.name, w.cap_pico + w.raised_pico, b.hard AND b.is_active, w.held_pico, w.settled_pico "  # noqa: S608
        "FROM usage_budgetwindow w JOIN usage_budget b ON b.id = w.budget_id "
        f"WHERE w.id {condition} ORDER BY w.id{sql.for_update('w')}",
        keys,
    )
    return {
        _uuid(key): Balance(name=name, cap_pico=cap, hard=bool(hard), held_pico=held, settled_pico=settled)
        for key, name, cap, hard, held, settled in cursor.fetchall()
    }


def _open(cursor: Cursor, windows: Iterable[Window]) -> None:
    """New periods' rows. A budget that was deleted meanwhile gets none."""
    cursor.executemany(
        "INSERT INTO usage_budgetwindow (id, budget_id, starts_at, ends_at, cap_pico, raised_pico, opening_pico, "
        "held_pico, settled_pico, overrun_pico) SELECT %s, id, %s, %s, cap_pico, 0, 0, 0, 0, 0 "
        "FROM usage_budget WHERE id = %s ON CONFLICT (id) DO NOTHING",
        [
            (window.id, window.starts_at, window.ends_at, window.budget_id)
            for window in sorted(windows, key=lambda window: window.id)
        ],
    )


def _move(cursor: Cursor, balances: Balances) -> None:
    cursor.executemany(
        "UPDATE usage_budgetwindow SET held_pico = held_pico + %s, settled_pico = settled_pico + %s, "
        "overrun_pico = overrun_pico + %s WHERE id = %s",
        [
            (balance.held_change, balance.settled_change, balance.overrun_change, key)
            for key, balance in sorted(balances.items())
        ],
    )


def _extend(cursor: Cursor, extensions: Sequence[tuple[int, UUID]]) -> None:
    cursor.executemany("UPDATE usage_hold SET amount_pico = amount_pico + %s WHERE id = %s", extensions)


def _insert(cursor: Cursor, table: str, shape: type[msgspec.Struct], rows: Sequence[msgspec.Struct]) -> None:
    cursor.executemany(_insert_sql(table, shape), [msgspec.structs.astuple(row) for row in rows])


@functools.cache
def _insert_sql(table: str, shape: type[msgspec.Struct]) -> str:
    columns = ", ".join(shape.__struct_fields__)
    places = ", ".join(["%s"] * len(shape.__struct_fields__))
    return f"INSERT INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - our own names


def _uuid(value: UUID | str) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _text(value: Any) -> str:
    """A JSON column: SQLite gives its text, psycopg its value."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
