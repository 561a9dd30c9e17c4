"""What must hold after every fault (docs: invariants I1 to I5), read from the tables and the provider's own bill alone.

Nothing of the product's code is used, so that its own arithmetic cannot excuse itself. A call is known on both sides by
its name: its request id, which is also a word of its prompt. I6, the canaries, is `tests/journeys/test_secrets.py`.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tests.journeys import operating
from tests.product import Product
from tests.upstream import Dispatch

LEASE = timedelta(seconds=15)
NAME = re.compile(r"call-[0-9a-z-]+")
_KIND = ("client", "provider", "deployment", "surface", "status", "evidence")
_ROLLUPS = {
    "usage_quarter": ("starts_at", *_KIND),
    "usage_day": ("day", *_KIND),
    "usage_userday": ("day", "client", "end_user"),
    "usage_keyday": ("day", "client", "key_prefix"),
}
_FIGURES = ("calls", "input_tokens", "output_tokens", "cost_pico", "known_cost_rows", "refused", "errors", "cancelled")
_DOUBTFUL = {"estimated", "upper_bound"}

Row = dict[str, Any]
CostOf = Callable[[Dispatch], int | None]
settled = operating.settled


@dataclass(frozen=True, kw_only=True)
class Books:
    """All rows of the ledger. Ids, lists and times are the same on both databases."""

    records: list[Row]
    holds: list[Row]
    windows: list[Row]
    rollups: dict[str, list[Row]]

    @property
    def cost_pico(self) -> int:
        return sum(row["cost_pico"] or 0 for row in self.records)

    def of(self, name: str) -> list[Row]:
        return [row for row in self.records if row["request_id"] == name]

    def by_evidence(self) -> dict[str, int]:
        """How many rows of each, for what a test prints."""
        return dict(Counter(row["evidence"] for row in self.records))


def list_price(line: Dispatch) -> int | None:
    """What the scripted provider charges for a line of its bill."""
    if line.model == "up-unpriced":
        return None
    return operating.cost_pico(line.input_tokens, line.output_tokens)


def name_of(line: Dispatch) -> str:
    found = NAME.search(json.dumps(line.body))
    assert found, f"dispatch {line.number} carries no name"
    return found[0]


def check(product: Product, bill: Iterable[Dispatch], *, cost_of: CostOf = list_price) -> Books:
    """I1 to I5. Returns the books, for what else a test wants to say of them."""
    books = read(product)
    lines = defaultdict[str, list[Dispatch]](list)
    for line in bill:
        lines[name_of(line)].append(line)
    _each_dispatch_has_its_row(books, lines)
    _sums_are_sums(books)
    _one_end_a_hold(books)
    _no_cap_is_broken(books)
    _the_bill_is_the_ledger(books, lines, cost_of)
    return books


def read(product: Product) -> Books:
    """All tables of one moment: a refusal's row is written behind its answer, and may come while they are read."""
    while True:
        books = _read(product)
        if len(books.records) == product.sql("SELECT count(*) AS rows FROM usage_usagerecord")[0]["rows"]:
            return books


def _read(product: Product) -> Books:
    tables = ("usage_usagerecord", "usage_hold", "usage_budgetwindow")
    wanted = "SELECT w.*, b.hard, b.name FROM usage_budgetwindow w JOIN usage_budget b ON b.id = w.budget_id"
    records, holds, windows = (
        [_plain(row) for row in product.sql(wanted if table == "usage_budgetwindow" else f"SELECT * FROM {table}")]
        for table in tables
    )
    rollups = {
        table: [_plain(row) for row in product.sql(f"SELECT {', '.join((*dimensions, *_FIGURES))} FROM {table}")]
        for table, dimensions in _ROLLUPS.items()
    }
    return Books(records=records, holds=holds, windows=windows, rollups=rollups)


# --- the invariants -----------------------------------------------------------------------------------------------


def _each_dispatch_has_its_row(books: Books, lines: dict[str, list[Dispatch]]) -> None:
    """I1: as many holds and records as dispatches. A row beyond may only be one that says it is not sure."""
    rows = defaultdict[str, list[Row]](list)
    for row in (*books.holds, *(each for each in books.records if _is_dispatch(each))):
        rows[row["request_id"]].append(row)
    missing = {name for name in lines if len(rows[name]) < len(lines[name])}
    assert not missing, f"I1: billed, and not in the books: {sorted(missing)[:5]} of {len(missing)}"
    surplus = {
        name for name in rows if len([r for r in rows[name] if r.get("evidence") == "reported"]) > len(lines[name])
    }
    assert not surplus, f"I1: in the books, and never billed: {sorted(surplus)[:5]} of {len(surplus)}"
    doubled = {name for name, found in rows.items() if lines[name] and len(found) != len(lines[name])}
    assert not doubled, f"I1: more rows than dispatches: {[rows[name] for name in sorted(doubled)[:2]]}"


def _is_dispatch(row: Row) -> bool:
    if row["status"] == "interrupted" and row["evidence"] == "none":
        return False  # the end of a call that was cut off between two dispatches
    return bool(row["kind"] == "call" and row["attempt"] > 0)


def _sums_are_sums(books: Books) -> None:
    """I2: windows = the rows that count in them; rollups = a recompute from the records."""
    settled_pico, held_pico = Counter[str](), Counter[str]()
    for row in books.records:
        for window in row["windows"]:
            settled_pico[window] += row["cost_pico"] or 0
    for row in books.holds:
        for window in row["windows"]:
            held_pico[window] += row["amount_pico"] or 0
    for window in books.windows:
        expected = (settled_pico[window["id"]] + window["opening_pico"], held_pico[window["id"]])
        assert (window["settled_pico"], window["held_pico"]) == expected, f"I2: budget {window['name']}"
    for table, dimensions in _ROLLUPS.items():
        sums = defaultdict[tuple[str, ...], list[int]](lambda: [0] * len(_FIGURES))
        for row in books.records:
            _add(sums[tuple(_dimension(row, name) for name in dimensions)], _figures(row))
        for row in books.rollups[table]:
            _add(sums[tuple(_dimension(row, name) for name in dimensions)], [-int(row[name]) for name in _FIGURES])
        wrong = {key: values for key, values in sums.items() if any(values)}
        assert not wrong, f"I2: {table} differs from the records: {list(wrong.items())[:3]}"


def _add(sums: list[int], values: Sequence[int]) -> None:
    for index, value in enumerate(values):
        sums[index] += value


def _dimension(row: Row, name: str) -> str:
    if name in row and name not in ("day", "starts_at"):
        return str(row[name])
    if name == "day":
        return str(row["day"])[:10] if "day" in row else row["started_at"].date().isoformat()
    moment: datetime = row["starts_at"] if "starts_at" in row else row["started_at"]
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0).isoformat()


def _figures(row: Row) -> list[int]:
    is_call = bool(row["is_final"]) and row["kind"] == "call"
    return [
        int(is_call),
        row["input_tokens"],
        row["output_tokens"],
        row["cost_pico"] or 0,
        int(row["cost_pico"] is not None),
        int(is_call and row["status"] == "refused"),
        int(is_call and row["status"] in ("error", "interrupted")),
        int(is_call and row["status"] == "cancelled"),
    ]


def _one_end_a_hold(books: Books) -> None:
    """I3: no call is open and recorded, none is corrected twice by a truth, none is open too long."""
    ids = Counter(row["id"] for row in (*books.records, *books.holds))
    assert max(ids.values(), default=0) <= 1, f"I3: {[key for key, times in ids.items() if times > 1][:3]}"
    # A truth that came late is two rows: the guess taken back, and what was so.
    corrected = Counter(
        (row["adjusts_id"], row["status"], row["evidence"]) for row in books.records if row["kind"] == "adjustment"
    )
    assert max(corrected.values(), default=0) <= 1, "I3: a row was corrected twice"
    late = [row for row in books.holds if row["deadline_at"] + LEASE < datetime.now(UTC)]
    assert not late, f"I3: open past deadline + lease: {[row['request_id'] for row in late]}"


def _no_cap_is_broken(books: Books) -> None:
    """I4: what is above a hard cap shows as overrun."""
    for window in books.windows:
        if window["hard"]:
            taken = window["held_pico"] + window["settled_pico"]
            assert taken <= window["cap_pico"] + window["raised_pico"] + window["overrun_pico"], (
                f"I4: the budget {window['name']} has {taken} of {window['cap_pico']}"
            )


def _the_bill_is_the_ledger(books: Books, lines: dict[str, list[Dispatch]], cost_of: CostOf) -> None:
    """I5: to the pico-dollar where the provider has told, labelled where it has not."""
    rows = defaultdict[str, list[Row]](list)
    for row in books.records:
        rows[row["request_id"]].append(row)
    for name, found in rows.items():
        dispatched = [row for row in found if row["attempt"] > 0]
        told = [line for line in lines[name] if line.status == 200]
        corrections = [row for row in dispatched if row["kind"] == "adjustment"]
        if any(row["evidence"] in _DOUBTFUL for row in dispatched) and not corrections:
            continue
        for row in found:
            assert row["evidence"] in ("reported", "none", "upper_bound"), f"I5: {name} is {row['evidence']}"
        billed = [cost_of(line) for line in told]
        booked = [row["cost_pico"] for row in dispatched if row["evidence"] != "none"]
        if None in billed:
            assert set(booked) <= {None}, f"I5: {name} has no price, and cost {booked}"
        else:
            assert sum(filter(None, booked)) == sum(filter(None, billed)), f"I5: {name}: {booked}, billed {billed}"


# --- one shape for both databases -----------------------------------------------------------------------------------


def _plain(row: Row) -> Row:
    return {name: _value(name, value) for name, value in row.items()}


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in ("id", "adjusts_id", "lease_id", "price_id"):
        return str(UUID(str(value)))
    if name in ("windows", "tags") and isinstance(value, str):
        return json.loads(value)
    if name.endswith("_at"):
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return value
