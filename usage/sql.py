"""The drivers' bare cursors, for the ledger's few statements: Django's wrapping of each would cost more than they do.

Both take the same SQL (`%s` marks a parameter) and the same values: UUIDs, times, decimals, JSON as text.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, Self, cast
from uuid import UUID

import psycopg
from django.db import connection
from psycopg.types.numeric import Int8Dumper

_PREPARE_AFTER = 2


class Cursor(Protocol):
    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Any: ...

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]], /) -> Any: ...

    def fetchall(self) -> list[tuple[Any, ...]]: ...


def cursor() -> Cursor:
    """On Django's connection, within its transaction. Its errors are the driver's own."""
    raw: Any = connection.connection
    if connection.vendor == "sqlite":
        return cast("Cursor", raw.cursor(_SQLiteCursor))
    raw.prepare_threshold = _PREPARE_AFTER
    prepared = psycopg.Cursor(raw)
    # Else each mix of small and large numbers would be a statement of its own to prepare.
    prepared.adapters.register_dumper(int, Int8Dumper)
    return cast("Cursor", prepared)


class NotDurableError(Exception):
    """The database acknowledges commits that a crash may undo."""


def require_durable_commits() -> None:
    """Raises `NotDurableError` where PostgreSQL has synchronous_commit off. SQLite's settings are ours (FULL)."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as asked:
        asked.execute("SHOW synchronous_commit")
        (setting,) = asked.fetchone() or ("",)
    if setting == "off":
        raise NotDurableError("PostgreSQL's synchronous_commit is off: a crash would lose usage rows. Turn it on.")


def among(ids: Iterable[UUID]) -> tuple[str, list[Any]]:
    """A condition for a set of ids, and its parameters (none for no ids), sorted."""
    keys = sorted(set(ids))
    if connection.vendor == "postgresql":
        return "= ANY(%s)", [keys] if keys else []
    return f"IN ({', '.join(['%s'] * len(keys))})", list(keys)


def for_update(table: str = "") -> str:
    """A row lock; SQLite's transactions are alone anyway (IMMEDIATE)."""
    if connection.vendor != "postgresql":
        return ""
    return f" FOR UPDATE OF {table}" if table else " FOR UPDATE"


class _SQLiteCursor(sqlite3.Cursor):
    def execute(self, sql: str, values: Any = (), /) -> Self:
        return super().execute(_question_marks(sql), values)

    def executemany(self, sql: str, rows: Any, /) -> Self:
        return super().executemany(_question_marks(sql), rows)


@functools.lru_cache(maxsize=1024)
def _question_marks(sql: str) -> str:
    return sql.replace("%s", "?")


def _utc_text(moment: datetime) -> str:
    """As Django writes times on SQLite."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")


sqlite3.register_adapter(UUID, lambda key: key.hex)
sqlite3.register_adapter(datetime, _utc_text)
