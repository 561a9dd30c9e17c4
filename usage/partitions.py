"""The usage table on PostgreSQL: partitioned by month on its UUIDv7 key, so that a time range is a key range.

A subclass of CreateModel is enough: the migration state stays that of a plain model, on both databases. Months are made
ahead, because a row in the default partition blocks the making of its month. Old months are dropped where retention is
asked for; on SQLite, which has no partitions, their rows are deleted in batches. Their sums in the rollups stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from django.db import OperationalError, connection, migrations, transaction
from django.db.models import F

from core.ids import lower_bound, time_of
from usage import recompute
from usage.immutability import TABLE, ledger_purge, partition_names
from usage.models import Purge

MONTHS_AHEAD = 3
PURGE_BATCH_ROWS = 5_000
# Short, so that a writer queued behind us waits less than it takes for a database to count as away.
_LOCK_TIMEOUT = "400ms"
_DEFAULT = f"{TABLE}_default"
_ADVISORY_LOCK = 4_206_018  # any number, as long as nothing else uses it
_PURGING = 4_206_020  # as above: of who purges, and of those together whom it would confuse

log = structlog.get_logger(__name__)


class CreatePartitionedModel(migrations.CreateModel):
    """CREATE TABLE … PARTITION BY RANGE (primary key), with a default partition, where the database can."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.name)
        sql, params = schema_editor.table_sql(model)
        table, quote = model._meta.db_table, schema_editor.quote_name
        schema_editor.execute(f"{sql} PARTITION BY RANGE ({quote(model._meta.pk.column)})", params or None)
        schema_editor.execute(f"CREATE TABLE {quote(table + '_default')} PARTITION OF {quote(table)} DEFAULT")
        schema_editor.deferred_sql.extend(schema_editor._model_indexes_sql(model))  # noqa: SLF001 - as CreateModel does


def install() -> None:
    """What the table has besides its columns and Django's indexes. PostgreSQL alone."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # A few bytes a thousand rows: with it, a question by time in plain SQL reads that time alone.
            kind = "USING brin (started_at) WITH (autosummarize = on)"
            cursor.execute(f"CREATE INDEX IF NOT EXISTS record_by_time ON {TABLE} {kind}")


def make_months(*, now: datetime) -> list[str]:
    """The partitions from last month's to `MONTHS_AHEAD` months ahead, where they are missing; returns the new ones.

    And those of rows that lie in the default partition: loaded from elsewhere, or written when nobody made months.
    """
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        known = partition_names(cursor)
    months = sorted({month_of(now, distance) for distance in range(-1, MONTHS_AHEAD + 1)} | set(_months_without()))
    return [_name(month) for month in months if _name(month) not in known and _make(month)]


def rows_without_month() -> int:
    """How many rows lie in the default partition. More than none is to be told: their months should have been there."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {_DEFAULT}")  # noqa: S608 - our own name
        return int(cursor.fetchone()[0])


def purge(*, keep_months: int, now: datetime) -> int:
    """Take away the records of the months before the last `keep_months` whole ones; returns how many.

    Safe beside traffic, and to run again: a month that others are reading goes the next time. What the records cost
    moves to the opening of their budget windows, in the transaction that takes them away.
    """
    before = month_of(now, -keep_months)
    taken = sum(_drop(month, before, now) for month in _months_before(before))
    try:
        while rows := _delete_batch(before, now):
            taken += rows
    except OperationalError as error:
        log.warning("old records could not be deleted yet: another process is at work on them", error=str(error))
    return taken


def purged_before() -> datetime | None:
    """Records from this moment on are all there."""
    return Purge.objects.values_list("before", flat=True).order_by("-before").first()


@contextmanager
def unpurged() -> Iterator[None]:
    """Within it nothing is purged: a month that is dropped is gone for those too who read an earlier moment.

    To be entered before the snapshot is taken. Who purges tries again the next day.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(%s)", [_PURGING])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock_shared(%s)", [_PURGING])


def month_of(moment: datetime, distance: int = 0) -> datetime:
    """The beginning, in UTC, of the month `distance` months after that of `moment`."""
    local = moment.astimezone(UTC)
    months = local.year * 12 + local.month - 1 + distance
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


# --- months -------------------------------------------------------------------------------------------------------


def _name(month: datetime) -> str:
    return f"{TABLE}_{month:%Y_%m}"


def _month_named(name: str) -> datetime:
    year, month = name.removeprefix(f"{TABLE}_").split("_")
    return datetime(int(year), int(month), 1, tzinfo=UTC)


def _months_without() -> Iterator[datetime]:
    """The months of which there are rows in the default partition: a look at its index for each."""
    key = UUID(int=0)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM {_DEFAULT} WHERE id >= %s ORDER BY id LIMIT 1", [key])  # noqa: S608 - our own name
            found = cursor.fetchone()
        if found is None:
            return
        month = month_of(time_of(found[0]))
        yield month
        key = lower_bound(month_of(month, 1))


def _make(month: datetime) -> bool:
    """Made apart and then attached, which lets the other months be written meanwhile. Whether it was made."""
    name, bounds = _name(month), (lower_bound(month), lower_bound(month_of(month, 1)))
    try:
        with transaction.atomic(), _impatient() as cursor:
            if name in partition_names(cursor):
                return False  # another process has just made it
            cursor.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING ALL)")
            _adopt(cursor, name, bounds)
            values = f"FROM ('{bounds[0]}') TO ('{bounds[1]}')"
            cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES {values}")
    except OperationalError as error:
        log.warning("a month could not be made yet: its table is being read", month=name, error=str(error))
        return False
    return True


def _adopt(cursor: Any, name: str, bounds: tuple[Any, Any]) -> None:
    """Move rows that came before their month was made out of the default partition."""
    cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {_DEFAULT} WHERE id >= %s AND id < %s)", bounds)  # noqa: S608 - our own names
    if not cursor.fetchone()[0]:
        return
    cursor.execute(f"LOCK TABLE {_DEFAULT} IN ACCESS EXCLUSIVE MODE")
    cursor.execute(f"INSERT INTO {name} SELECT * FROM {_DEFAULT} WHERE id >= %s AND id < %s", bounds)  # noqa: S608 - our own names
    with ledger_purge():
        cursor.execute(f"DELETE FROM {_DEFAULT} WHERE id >= %s AND id < %s", bounds)  # noqa: S608 - our own names


# --- retention ----------------------------------------------------------------------------------------------------


def _months_before(before: datetime) -> list[datetime]:
    """The months that have partitions and are to go, the oldest first."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        names = [name for name in partition_names(cursor) if name != _DEFAULT]
    return sorted(month for month in map(_month_named, names) if month < before)


def _drop(month: datetime, before: datetime, now: datetime) -> int:
    """How many rows went with it."""
    name = _name(month)
    try:
        with transaction.atomic(), _impatient(_PURGING) as cursor:
            if name not in partition_names(cursor):
                return 0  # another process has just dropped it
            cursor.execute(f"LOCK TABLE {name} IN SHARE MODE")  # no late adjustment slips in between sum and drop
            cursor.execute(f"SELECT count(*), coalesce(sum(cost_pico), 0) FROM {name}")  # noqa: S608 - our own name
            rows, cost = cursor.fetchone()
            cursor.execute(recompute.window_costs_sql(lower_bound(month), lower_bound(month_of(month, 1))))
            _write_off(cursor, dict(cursor.fetchall()))
            _note(before, now, rows=rows, cost_pico=int(cost))
            cursor.execute(f"DROP TABLE {name}")
    except OperationalError as error:
        log.warning("a month could not be dropped yet: its table is being read", month=name, error=str(error))
        return 0
    return int(rows)


def _delete_batch(before: datetime, now: datetime) -> int:
    """Of the rows that lie in no month's partition: on SQLite all."""
    key = lower_bound(before)
    table, bound = (_DEFAULT, key) if connection.vendor == "postgresql" else (TABLE, key.hex)
    with transaction.atomic(), ledger_purge(), _impatient(_PURGING) as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE id < %s ORDER BY id LIMIT %s) "  # noqa: S608 - our own names
            "RETURNING cost_pico, windows",
            [bound, PURGE_BATCH_ROWS],
        )
        gone = cursor.fetchall()
        if gone:
            _write_off(cursor, _costs_by_window(gone))
            _note(before, now, rows=len(gone), cost_pico=sum(cost or 0 for cost, _ in gone))
    return len(gone)


def _costs_by_window(rows: Iterable[tuple[int | None, Any]]) -> dict[Any, int]:
    costs: dict[Any, int] = {}
    for cost, windows in rows:
        for window in json.loads(windows) if isinstance(windows, str) else windows:
            key = UUID(window)
            costs[key] = costs.get(key, 0) + (cost or 0)
    return costs


def _write_off(cursor: Any, costs: dict[Any, int]) -> None:
    """What the windows' purged records cost is told by the windows alone from now on. In the order that all lock in."""
    keys = {UUID(str(key)): int(cost) for key, cost in costs.items()}
    cursor.executemany(
        "UPDATE usage_budgetwindow SET opening_pico = opening_pico + %s WHERE id = %s",
        [(keys[key], key if connection.vendor == "postgresql" else key.hex) for key in sorted(keys)],
    )


def _note(before: datetime, now: datetime, *, rows: int, cost_pico: int) -> None:
    if rows:
        Purge.objects.get_or_create(before=before, defaults={"purged_at": now})
        Purge.objects.filter(before=before).update(rows=F("rows") + rows, cost_pico=F("cost_pico") + Decimal(cost_pico))


@contextmanager
def _impatient(*others: int) -> Iterator[Any]:
    """A cursor, in a transaction, that gives a lock up rather than keep writers queueing. One process at a time.

    `others`: further locks by their numbers, to be had alone.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            for number in (_ADVISORY_LOCK, *others):
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])
        yield cursor
