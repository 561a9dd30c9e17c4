"""The rows of budget windows in a batch: locked in one order, decided upon in memory, written once each.

For `usage.ledger` alone, within its transaction.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from usage import sql
from usage.budgets import Balance, Window
from usage.rows import RecordRow
from usage.transactions import Cursor

Balances = dict[UUID, Balance]
NONE = "[]"  # the column `windows` of a call that counts in no budget


class Held(msgspec.Struct, frozen=True):
    """What a hold has taken: `amount_pico` in each of `windows`. `claim_id`: its call has an idempotency key."""

    amount_pico: int
    windows: tuple[UUID, ...]
    claim_id: UUID | None = None


def ids_in(column: Any) -> tuple[UUID, ...]:
    """The column `windows`, a JSON list: SQLite gives its text, psycopg its value."""
    return _ids_in(column) if isinstance(column, str) else tuple(map(UUID, column))


@functools.lru_cache(1024)
def _ids_in(text: str) -> tuple[UUID, ...]:
    """Most calls count in the same few."""
    return msgspec.json.decode(text, type=tuple[UUID, ...])


def balances_of(cursor: Cursor, *, touched: set[UUID], asked: Mapping[UUID, Window]) -> Balances:
    """The windows' figures, locked. Of those that are `asked` for, periods that have just begun are opened."""
    balances = _lock(cursor, touched | asked.keys())
    missing = asked.keys() - balances.keys()
    if missing:
        _open(cursor, [asked[key] for key in missing])
        balances = _lock(cursor, touched | asked.keys())
    return balances


def among(balances: Balances, ids: Iterable[UUID]) -> list[Balance]:
    """A window whose budget was deleted meanwhile counts no more."""
    return [balances[key] for key in ids if key in balances]


def give_back(balances: Balances, freed: Iterable[Held]) -> None:
    for held in freed:
        for balance in among(balances, held.windows):
            balance.held_change -= held.amount_pico


def charge(balances: Balances, records: Sequence[RecordRow], bounds: Mapping[UUID, Held]) -> list[RecordRow]:
    """Settle the records' cost. What exceeds its bound (that of a hold, or of the guess that it corrects) is overrun.

    A re-pricing was never held: of it only that is overrun for which its window has no room left. Returns the records
    as they count: none names a window that is too full to take its cost.
    """
    counted = []
    for record in sorted(records, key=_is_repricing):
        cost = record.cost_pico or 0
        bound = bounds.get(record.id)
        ids = ids_in(record.windows)
        fitting = [key for key in ids if key not in balances or balances[key].can_count(cost)]
        for balance in among(balances, fitting):
            free_pico = max(balance.left_pico, 0) if _is_repricing(record) else bound.amount_pico if bound else 0
            balance.settled_change += cost
            balance.overrun_change += max(cost - free_pico, 0)
        counted.append(record if len(fitting) == len(ids) else msgspec.structs.replace(record, windows=_said(fitting)))
    return counted


def _said(ids: Sequence[UUID]) -> str:
    return msgspec.json.encode(ids).decode()


def _is_repricing(record: RecordRow) -> bool:
    return record.kind == "adjustment" and bool(record.author)


def move(cursor: Cursor, balances: Balances) -> None:
    cursor.executemany(
        "UPDATE usage_budgetwindow SET held_pico = held_pico + %s, settled_pico = settled_pico + %s, "
        "overrun_pico = overrun_pico + %s WHERE id = %s",
        [
            (balance.held_change, balance.settled_change, balance.overrun_change, key)
            for key, balance in sorted(balances.items())
        ],
    )


def _lock(cursor: Cursor, ids: Iterable[UUID]) -> Balances:
    """The windows' rows, locked in the order of their ids: no two processes wait for each other in a circle."""
    condition, keys = sql.among(ids)
    if not keys:
        return {}
    found = cursor.rows(
        "SELECT w.id, b.name, w.cap_pico + w.raised_pico, b.hard AND b.is_active, w.held_pico, w.settled_pico "  # noqa: S608 - our own names
        "FROM usage_budgetwindow w JOIN usage_budget b ON b.id = w.budget_id "
        f"WHERE w.id {condition} ORDER BY w.id{sql.for_update('w')}",
        keys,
    )
    listed = ((sql.uuid_of(key), *figures) for key, *figures in found)
    return {
        key: Balance(id=key, name=name, cap_pico=cap, hard=bool(hard), held_pico=held, settled_pico=settled)
        for key, name, cap, hard, held, settled in listed
    }


def _open(cursor: Cursor, windows: Iterable[Window]) -> None:
    """New periods' rows. A budget that was deleted meanwhile gets none.

    The budget's row is locked against an edit of its limit: whoever edits it sees this window, or this one the edit.
    """
    cursor.executemany(
        "INSERT INTO usage_budgetwindow (id, budget_id, starts_at, ends_at, cap_pico, raised_pico, opening_pico, "  # noqa: S608 - our own names
        "held_pico, settled_pico, overrun_pico) SELECT %s, id, %s, %s, cap_pico, 0, 0, 0, 0, 0 "
        f"FROM usage_budget WHERE id = %s{sql.for_share()} ON CONFLICT (id) DO NOTHING",
        [
            (window.id, window.starts_at, window.ends_at, window.budget_id)
            for window in sorted(windows, key=lambda window: window.id)
        ],
    )
