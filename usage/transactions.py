"""The ledger's transactions, on the drivers' own cursors: Django's wrapping of each statement would cost more than it.

Both drivers take the same SQL (`%s` marks a parameter) and the same values: UUIDs, times, decimals, JSON as text.
"""

from __future__ import annotations

import functools
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, Self
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, Error, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import atomic

_PREPARE_AFTER = 2
# `reads`: this thread is in a snapshot; `opened`: its connection to SQLite, and which file that opened.
_here = threading.local()

Row = tuple[Any, ...]
Values = Sequence[Any]


class Cursor(Protocol):
    """Its errors are the driver's own. What `execute` is given may wait for the end, or for the next `rows`."""

    def execute(self, sql: str, values: Values = (), /) -> Any: ...

    def executemany(self, sql: str, rows: Iterable[Values], /) -> Any: ...

    def rows(self, sql: str, values: Values = (), /) -> list[Row]:
        """What a statement gives."""


@contextmanager
def transaction() -> Iterator[Cursor]:
    """A transaction and its cursor; within another one of Django's a part of that. Raises django.db.Error."""
    database = connections[DEFAULT_DB_ALIAS]
    with database.wrap_database_errors:
        if database.in_atomic_block:
            with atomic():
                cursor = _cursor(database.connection)
                yield cursor
                cursor.send()
            return
        database.ensure_connection()
        if not on_postgresql():
            _require_its_file(database)
        cursor = _cursor(database.connection)
        try:
            cursor.begin()
            yield cursor
            cursor.commit()
        except BaseException:  # interrupted too: nothing half-written stays open
            _roll_back(database)
            raise


@contextmanager
def snapshot() -> Iterator[None]:
    """All that is read within it is of one moment, and nobody's writing waits for it. Nothing lasting may be written.

    Django's own transactions would take SQLite's write lock. Inside one (a test's), or another snapshot, nothing is to
    be done.
    """
    if connection.in_atomic_block or getattr(_here, "reads", False):
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ" if on_postgresql() else "BEGIN DEFERRED")
        _here.reads = True
        try:
            yield
        finally:
            _here.reads = False
            cursor.execute("COMMIT")


def _roll_back(database: BaseDatabaseWrapper) -> None:
    """A connection that cannot even do that is given up, as Django does; why it came to that is told by the caller."""
    try:
        database.rollback()
    except Error:
        database.close()


@functools.cache
def on_postgresql() -> bool:
    """Or on SQLite. Asked once: Django's way to a thread's connection is long."""
    return connection.vendor == "postgresql"


def _cursor(raw: Any) -> _Gathering | _SQLiteCursor:
    return _Gathering(raw) if on_postgresql() else raw.cursor(_SQLiteCursor)


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


class _Gathering:
    """Statements go together, in one round trip: with the next one that is read, or with the commit.

    One that is alone is a transaction of itself.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._waiting: list[tuple[str, Values]] = []

    def begin(self) -> None:
        self._waiting.append(("BEGIN", ()))

    def commit(self) -> None:
        is_alone = len(self._waiting) == 2 and self._waiting[0][0] == "BEGIN"
        self._waiting = self._waiting[1:] if is_alone else [*self._waiting, ("COMMIT", ())]
        self.send()

    def send(self) -> None:
        if len(self._waiting) > 1:
            with self._raw.pipeline():
                self._execute_waiting()
        else:
            self._execute_waiting()

    def execute(self, sql: str, values: Values = ()) -> None:
        self._waiting.append((sql, values))

    def executemany(self, sql: str, rows: Iterable[Values]) -> None:
        self._waiting += [(sql, values) for values in rows]

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        asked = _prepared(self._raw)  # of its own: another's last result may come to it first
        with self._raw.pipeline():
            self._execute_waiting()
            asked.execute(sql, values)
        found: list[Row] = asked.fetchall()
        return found

    def _execute_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            cursor = _prepared(self._raw)
            for statement in waiting:
                cursor.execute(*statement)


def _prepared(raw: Any) -> Any:
    import psycopg  # noqa: PLC0415 - an embedded installation has no use for it, and saves a tenth of its memory
    from psycopg.types.numeric import Int8Dumper  # noqa: PLC0415 - as above

    raw.prepare_threshold = _PREPARE_AFTER
    cursor = psycopg.Cursor(raw)
    # Else each mix of small and large numbers would be a statement of its own to prepare.
    cursor.adapters.register_dumper(int, Int8Dumper)
    return cursor


# --- SQLite ---------------------------------------------------------------------------------------------------------


class _SQLiteCursor(sqlite3.Cursor):
    def begin(self) -> None:
        self.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.execute("COMMIT")

    def send(self) -> None:
        """Nothing waits."""

    def execute(self, sql: str, values: Any = (), /) -> Self:
        return super().execute(_question_marks(sql), values)

    def executemany(self, sql: str, rows: Any, /) -> Self:
        return super().executemany(_question_marks(sql), rows)

    def rows(self, sql: str, values: Values = (), /) -> list[Row]:
        return self.execute(sql, values).fetchall()


def note_file(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Of each connection to SQLite, as soon as it is open: which file that is."""
    if connection.vendor == "sqlite" and connection.alias == DEFAULT_DB_ALIAS:
        _here.opened = (connection.connection, _identity(connection.settings_dict["NAME"]))


def _require_its_file(database: BaseDatabaseWrapper) -> None:
    """Raises `sqlite3.OperationalError` where SQLite's file was taken away or replaced since this connection opened it.

    What is written to such a file is lost when the process ends. The next connection opens the one that is there.
    """
    known, opened = getattr(_here, "opened", (None, None))
    if known is database.connection and opened != _identity(database.settings_dict["NAME"]):
        database.close()
        raise sqlite3.OperationalError("the database's file was taken away or replaced while it was in use")


def _identity(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - in every transaction, and Path takes three times as long
    except OSError:
        return None
    return found.st_dev, found.st_ino


@functools.lru_cache(maxsize=1024)
def _question_marks(sql: str) -> str:
    return sql.replace("%s", "?")


def text_of(moment: datetime) -> str:
    """A time as Django writes it on SQLite."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")


sqlite3.register_adapter(UUID, lambda key: key.hex)
sqlite3.register_adapter(datetime, text_of)
