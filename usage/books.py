"""The proof that the books balance, and the repair of the sums if ever they do not.

Records = rollups (all four tables) = budget windows; what is held = the open holds; no call both open and recorded. The
proof reads one snapshot, so that it holds beside traffic, and sums in the database, so that it needs no memory.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Sum

from core.ids import lower_bound
from core.money import usd_text
from usage import journal, partitions, recompute
from usage.models import BudgetWindow, Hold
from usage.rollups import FIGURES, ROLLUPS, Rollup
from usage.transactions import snapshot

SHOWN = 10  # differences told one by one, of each kind
_WORK_MEMORY = "64MB"  # PostgreSQL's own 4 MB would sort on disk
_ADVISORY_LOCK = 4_206_017  # any number, as long as nothing else uses it
_NAMES = {
    "usage_quarter": "by quarter-hour",
    "usage_day": "by day",
    "usage_userday": "by end user",
    "usage_keyday": "by key",
}
_WORDS = {
    "errors": "failed calls",
    "refused": "refused calls",
    "cancelled": "cancelled calls",
    "cached": "calls from the cache",
    "answered": "answered calls",
    "known_cost_rows": "rows of known cost",
    "unknown_cost_rows": "rows of unknown cost",
    "saved_pico": "pico-dollars saved by the cache",
    "latency_us": "microseconds of latency",
}


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof found. The drifts add up every difference without its sign; `differences` are sentences."""

    records: int
    cost_pico: int
    open_holds: int
    held_pico: int
    settled_pico: int
    rollup_drift_pico: int
    budget_drift_pico: int
    journals: int
    journal_refused: int
    differences: tuple[str, ...]

    @property
    def is_balanced(self) -> bool:
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        """What `verifyledger --json` prints."""
        return {
            "ok": self.is_balanced,
            "records": self.records,
            "costUsd": usd_text(self.cost_pico),
            "openHolds": self.open_holds,
            "heldUsd": usd_text(self.held_pico),
            "settledUsd": usd_text(self.settled_pico),
            "rollupDriftUsd": usd_text(self.rollup_drift_pico),
            "budgetDriftUsd": usd_text(self.budget_drift_pico),
            "journal": self.journals,
            "journalRefused": self.journal_refused,
        }


Tell = Callable[[str, int], None]  # what is being added up now, and how many percent are done


def prove(*, since: datetime | None = None, tell: Tell = lambda _step, _percent: None) -> Findings:
    """Compare everything with everything, in one snapshot.

    `since`: only what began since then, of budgets only their periods since then. What later belongs to older days (a
    re-pricing, a truth that comes late) is for the next proof of everything.
    """
    with _snapshot(), connection.cursor() as cursor:
        counted = max(filter(None, (since, partitions.purged_before())), default=None)
        tell("the records", 0)
        records, cost = _records(cursor, counted)
        rolled = []
        for number, rollup in enumerate(ROLLUPS, 1):
            tell(f"the sums {_NAMES[rollup.table]}", number * 15)
            rolled.append(_compare(cursor, rollup, counted))
        tell("the budgets", 75)
        budget_drift, unbalanced = _compare_windows(cursor, since)
        tell("the open holds", 95)
        holds = Hold.objects.aggregate(number=Count("pk"), amount=Sum("amount_pico"))
        settled = BudgetWindow.objects.aggregate(amount=Sum("settled_pico"))["amount"]
        twice = _held_and_recorded(cursor)
    folder = settings.STATE_DIR / "journal"
    refused = refused_entries(folder)
    return Findings(
        records=records,
        cost_pico=cost,
        open_holds=holds["number"],
        held_pico=int(holds["amount"] or 0),
        settled_pico=int(settled or 0),
        rollup_drift_pico=sum(drift for drift, _ in rolled),
        budget_drift_pico=budget_drift,
        journals=waiting_journals(folder),
        journal_refused=refused,
        differences=(*(text for _, texts in rolled for text in texts), *unbalanced, *twice, *_refused(refused)),
    )


def rebuild_rollups() -> dict[str, int]:
    """Make the rollups what the records say; returns how many rows of each table changed. Raises `RebuildRunningError`.

    Safe beside traffic: the corrections are found as differences between records and sums in one statement each, and
    a settle moves both alike, so they hold however much traffic comes in between. They are added in one transaction
    that keeps folds out only while it writes them. Sums of purged records stay as they are.
    """
    with _alone(), connection.cursor() as cursor:
        with _snapshot():
            since = partitions.purged_before()  # in it: what is purged meanwhile would count as too much in the sums
            for rollup in ROLLUPS:
                _collect(cursor, rollup, since)
        with transaction.atomic():
            if connection.vendor == "postgresql":
                tables = ", ".join(rollup.table for rollup in ROLLUPS)
                cursor.execute(f"LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE")
            return {rollup.table: _correct(cursor, rollup) for rollup in ROLLUPS}


def waiting_journals(folder: Path) -> int:
    """How many journals of this machine hold entries that are not in the database yet."""
    return sum(map(_has_entries, folder.glob(f"*{journal.SUFFIX}")))


def refused_entries(folder: Path) -> int:
    """How many entries of this machine's journals were set aside: refused by the database, or another version's."""
    try:
        with (folder / journal.REFUSED).open("rb") as lines:
            return sum(1 for _ in lines)
    except FileNotFoundError:
        return 0


class RebuildRunningError(Exception):
    """Another process rebuilds the rollups just now."""


def _has_entries(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:  # its process has just ended, with nothing left in it
        return False


# --- proof --------------------------------------------------------------------------------------------------------


def _records(cursor: Any, since: datetime | None) -> tuple[int, int]:
    rows = recompute.key_range("id", None if since is None else lower_bound(since))
    cursor.execute(f"SELECT count(*), sum(cost_pico) FROM usage_usagerecord {rows}")  # noqa: S608 - our own names
    number, cost = cursor.fetchone()
    return int(number), int(cost or 0)


def _compare(cursor: Any, rollup: Rollup, since: datetime | None) -> tuple[int, list[str]]:
    """(dollars that differ, sentences)."""
    difference = recompute.difference_sql(rollup, since=since, by_shard=False)
    cursor.execute(
        f"SELECT d.*, count(*) OVER (), sum(abs(d.cost_pico)) OVER () FROM ({difference}) AS d "  # noqa: S608 - our own names
        f"ORDER BY abs(d.cost_pico) DESC LIMIT {SHOWN}"
    )
    rows = cursor.fetchall()
    if not rows:
        return 0, []
    texts = [_rollup_text(rollup, row) for row in rows]
    more = int(rows[0][-2]) - len(rows)
    if more:
        texts.append(f"… and {more} more of the sums {_NAMES[rollup.table]}.")
    return int(rows[0][-1]), texts


def _rollup_text(rollup: Rollup, row: Sequence[Any]) -> str:
    """A sentence such as: The sums by day differ from the records for 2026-11-01, alice, …: 1 calls too few."""
    dimensions = len(rollup.dimensions) - 1
    key = ", ".join(str(value) or "–" for value in row[:dimensions])
    lacking = zip(FIGURES, map(int, row[dimensions : dimensions + len(FIGURES)]), strict=True)
    wrong = ", ".join(_amount(name, number) for name, number in lacking if number)
    return f"The sums {_NAMES[rollup.table]} differ from the records for {key}: {wrong}."


def _amount(name: str, lacking: int) -> str:
    if name == "cost_pico":
        return f"${usd_text(abs(lacking))} too {'little' if lacking > 0 else 'much'}"
    return f"{abs(lacking):,} {_WORDS.get(name, name.replace('_', ' '))} too {'few' if lacking > 0 else 'many'}"


def _compare_windows(cursor: Any, since: datetime | None) -> tuple[int, list[str]]:
    """(dollars that differ, sentences) of the budget windows; what they have settled, of those that began `since`.

    What was purged is in their opening, and what retention is about to purge is in the records yet: all are added up.
    """
    expected = "w.opening_pico + coalesce(r.cost_pico, 0)"
    first = None
    if since is not None:
        first = lower_bound(since)
        expected = f"CASE WHEN w.starts_at >= %s THEN {expected} ELSE w.settled_pico END"
    cursor.execute(
        f"SELECT * FROM (SELECT b.name, w.starts_at, w.settled_pico, {expected} AS spent_pico, w.held_pico, "  # noqa: S608 - our own names
        "coalesce(h.held_pico, 0) AS open_pico FROM usage_budgetwindow w JOIN usage_budget b ON b.id = w.budget_id "
        f"LEFT JOIN ({recompute.window_costs_sql(first)}) r ON r.window_id = w.id "
        f"LEFT JOIN ({recompute.window_holds_sql()}) h ON h.window_id = w.id) AS compared "
        "WHERE settled_pico <> spent_pico OR held_pico <> open_pico ORDER BY name, starts_at",
        [] if since is None else [since],
    )
    drift, texts = 0, []
    for name, starts_at, *figures in cursor.fetchall():
        settled, spent, held, open_ = map(int, figures)
        drift += abs(settled - spent) + abs(held - open_)
        texts.append(
            f"The budget {name}, period from {str(starts_at)[:10]}: it says ${usd_text(settled)} settled and "
            f"${usd_text(held)} held; the records say ${usd_text(spent)}, the open holds ${usd_text(open_)}."
        )
    return drift, texts


def _held_and_recorded(cursor: Any) -> list[str]:
    cursor.execute(
        f"SELECT h.id FROM usage_hold h JOIN usage_usagerecord r ON r.id = h.id ORDER BY h.id LIMIT {SHOWN}"  # noqa: S608 - our own names
    )
    return [f"The call {UUID(str(key))} is both in flight and recorded." for (key,) in cursor.fetchall()]


def _refused(number: int) -> list[str]:
    if not number:
        return []
    what = f"{number:,} entries of the journal were" if number > 1 else "An entry of the journal was"
    where = f"STATE_DIR/journal/{journal.REFUSED}"
    return [f"{what} refused by the database, and set aside in {where}: the records lack what is said there of calls."]


# --- repair -------------------------------------------------------------------------------------------------------


def _collect(cursor: Any, rollup: Rollup, since: datetime | None) -> None:
    difference = recompute.difference_sql(rollup, since=since, by_shard=True)
    cursor.execute(f"DROP TABLE IF EXISTS {_corrections(rollup)}")
    cursor.execute(f"CREATE TEMPORARY TABLE {_corrections(rollup)} AS {difference}")


def _correct(cursor: Any, rollup: Rollup) -> int:
    columns = ", ".join((*rollup.dimensions, *FIGURES))
    added = ", ".join(f"{name} = {rollup.table}.{name} + EXCLUDED.{name}" for name in FIGURES)
    cursor.execute(
        f"INSERT INTO {rollup.table} ({columns}) SELECT {columns} FROM {_corrections(rollup)} WHERE 1 = 1 "  # noqa: S608 - our own names
        f"ON CONFLICT ({', '.join(rollup.dimensions)}) DO UPDATE SET {added}"
    )
    changed = int(cursor.rowcount)
    cursor.execute(f"DROP TABLE {_corrections(rollup)}")
    if changed:
        nothing = " AND ".join(f"{name} = 0" for name in FIGURES)
        cursor.execute(f"DELETE FROM {rollup.table} WHERE {nothing}")  # noqa: S608 - our own names
    return changed


def _corrections(rollup: Rollup) -> str:
    return f"{rollup.table}_corrections"


@contextmanager
def _alone() -> Iterator[None]:
    """Two rebuilds at once would each add the same corrections."""
    lock = settings.STATE_DIR / "rebuildrollups.lock"
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RebuildRunningError from None
        if connection.vendor != "postgresql":
            yield
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [_ADVISORY_LOCK])
            if not cursor.fetchone()[0]:
                raise RebuildRunningError
            try:
                yield
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_ADVISORY_LOCK])


@contextmanager
def _snapshot() -> Iterator[None]:
    """One in which nothing is purged, and sums have memory."""
    with partitions.unpurged(), snapshot():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL work_mem = '{_WORK_MEMORY}'")
        yield
