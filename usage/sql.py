"""The drivers' bare cursors, for the ledger's few statements: Django's wrapping of each would cost more than they do.

Both take the same SQL (`%s` marks a parameter) and the same values: UUIDs, times, decimals, JSON as text.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Protocol, Self, cast
from uuid import UUID

import msgspec
import structlog
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    connection,
    connections,
)
from django.db.transaction import atomic

from usage.rows import JSON_COLUMNS

_PREPARE_AFTER = 2
_BEGIN = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN"}
_BETWEEN = '","'

log = structlog.get_logger(__name__)


class Cursor(Protocol):
    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Any: ...

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]], /) -> Any: ...

    def fetchall(self) -> list[tuple[Any, ...]]: ...


@contextmanager
def transaction() -> Iterator[Cursor]:
    """A transaction and its cursor; within another one of Django's a part of that. Raises django.db.Error.

    To PostgreSQL its statements go without waiting for one another: only `rows` waits, and the commit at the end.
    """
    database = connections[DEFAULT_DB_ALIAS]
    with database.wrap_database_errors:
        if database.in_atomic_block:
            with atomic(), _sent_together():
                yield cursor()
            return
        database.ensure_connection()
        try:
            with _sent_together():
                written = cursor()
                written.execute(_BEGIN[database.vendor])
                yield written
                written.execute("COMMIT")
        except BaseException:
            database.connection.rollback()
            raise


@functools.cache
def on_postgresql() -> bool:
    """Or on SQLite. Asked once: Django's way to a thread's connection is long."""
    return connection.vendor == "postgresql"


def cursor() -> Cursor:
    """On Django's connection, within its transaction. Its errors are the driver's own."""
    raw: Any = connection.connection
    if not on_postgresql():
        return cast("Cursor", raw.cursor(_SQLiteCursor))
    import psycopg  # noqa: PLC0415 - an embedded installation has no use for it, and saves a tenth of its memory
    from psycopg.types.numeric import Int8Dumper  # noqa: PLC0415 - as above

    raw.prepare_threshold = _PREPARE_AFTER
    prepared = psycopg.Cursor(raw)
    # Else each mix of small and large numbers would be a statement of its own to prepare.
    prepared.adapters.register_dumper(int, Int8Dumper)
    return cast("Cursor", prepared)


def rows(statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """What a statement gives, by a cursor of its own: one that wrote before may yet be shown what came of that."""
    asked = cursor()
    asked.execute(statement, values)
    return asked.fetchall()


def _sent_together() -> AbstractContextManager[object]:
    raw: Any = connection.connection
    return raw.pipeline() if on_postgresql() else nullcontext()


class NotDurableError(Exception):
    """The database acknowledges commits that a crash may undo."""


def commit_durably(*, connection: Any, **_: Any) -> None:
    """On each new connection: wait for the disk at commit, also where the server's default is not to."""
    if connection.vendor == "postgresql":
        with connection.cursor() as asked:
            asked.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )


def require_durable_commits() -> None:
    """Raises `NotDurableError` where PostgreSQL would lose commits in a crash. SQLite's settings are ours (FULL).

    Where the server never waits for its disk (fsync), a crash of the server process loses nothing, but one of its
    machine does: that is said in the log, and left to whoever runs such a server.
    """
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as asked:
        asked.execute("SELECT current_setting('synchronous_commit'), current_setting('fsync')")
        commit, fsync = asked.fetchone() or ("", "")
    if commit == "off":
        raise NotDurableError("PostgreSQL's synchronous_commit is off: a crash would lose usage rows. Turn it on.")
    if fsync == "off":
        log.warning("PostgreSQL's fsync is off: a crash of its machine would lose usage rows; turn it on")


def is_of_a_row(error: Exception) -> bool:
    """Whether a row is at fault. All else that a database raises (read-only, no right, no table): it is away."""
    return isinstance(error, DataError | IntegrityError) or not isinstance(error, DatabaseError | InterfaceError)


def insert(cursor: Cursor, table: str, rows: Sequence[msgspec.Struct], more: str = "") -> None:
    """Write `rows`, of one shape, whose fields are columns of `table`. `more` ends the statement: ON CONFLICT ….

    Their values cross as JSON, which C writes and reads: Python's way of each UUID and time to its driver is longer.
    """
    if not rows:
        return
    if on_postgresql():
        cursor.execute(_insert_from_json(table, type(rows[0]), more), (_json.encode(rows).decode(),))
    else:
        cursor.executemany(_insert_values(table, type(rows[0]), more), _plain(rows))


def among(ids: Iterable[UUID]) -> tuple[str, list[str]]:
    """A condition for a set of ids, and its parameter (none for no ids)."""
    keys = sorted({key.hex for key in ids})
    if on_postgresql():
        return "= ANY(%s::uuid[])", [f"{{{','.join(keys)}}}"] if keys else []
    return "IN (SELECT value FROM json_each(%s))", [f'["{_BETWEEN.join(keys)}"]'] if keys else []


def for_update(table: str = "") -> str:
    """A row lock; SQLite's transactions are alone anyway (IMMEDIATE)."""
    if not on_postgresql():
        return ""
    return f" FOR UPDATE OF {table}" if table else " FOR UPDATE"


def for_share() -> str:
    """A lock against changes of a row that is read, on PostgreSQL."""
    return " FOR SHARE" if on_postgresql() else ""


def uuid_of(value: UUID | str) -> UUID:
    """A column of keys, as either driver gives it."""
    return value if isinstance(value, UUID) else UUID(value)


@functools.cache
def _insert_from_json(table: str, shape: type[msgspec.Struct], more: str) -> str:
    columns = shape.__struct_fields__
    values = [f"(row.{name} #>> '{{}}')::jsonb" if name in JSON_COLUMNS else f"row.{name}" for name in columns]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} "  # noqa: S608 - our own names
        f"FROM json_populate_recordset(NULL::{table}, %s) AS row {more}"
    )


@functools.cache
def _insert_values(table: str, shape: type[msgspec.Struct], more: str) -> str:
    columns = shape.__struct_fields__
    places = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) {more}"  # noqa: S608 - our own names


def _plain(rows: Sequence[msgspec.Struct]) -> list[list[Any]]:
    """The rows' values as Django writes them on SQLite."""
    plain: list[list[Any]] = _from_json(_json.encode([*map(msgspec.structs.astuple, rows)]))
    places = _times(type(rows[0]))
    for values in plain:
        for place in places:
            moment = values[place]  # "2026-01-02T03:04:05.6Z"
            is_utc = moment[-1] == "Z"
            values[place] = f"{moment[:10]} {moment[11:-1]}" if is_utc else _text_of(datetime.fromisoformat(moment))
    return plain


_json = msgspec.json.Encoder(uuid_format="hex")
_from_json = msgspec.json.Decoder().decode


@functools.cache
def _times(shape: type[msgspec.Struct]) -> list[int]:
    """Where in the shape times are."""
    return [place for place, name in enumerate(shape.__struct_fields__) if name.endswith("_at")]


class _SQLiteCursor(sqlite3.Cursor):
    def execute(self, sql: str, values: Any = (), /) -> Self:
        return super().execute(_question_marks(sql), values)

    def executemany(self, sql: str, rows: Any, /) -> Self:
        return super().executemany(_question_marks(sql), rows)


@functools.lru_cache(maxsize=1024)
def _question_marks(sql: str) -> str:
    return sql.replace("%s", "?")


def _text_of(moment: datetime) -> str:
    """A time as Django writes it on SQLite."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")


sqlite3.register_adapter(UUID, lambda key: key.hex)
sqlite3.register_adapter(datetime, _text_of)
