"""Pieces of the ledger's SQL, for both databases, and what it asks of PostgreSQL: that a commit is one."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import structlog
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, connection

from usage.rows import JSON_COLUMNS
from usage.transactions import Cursor, on_postgresql, text_of

_BETWEEN = '","'

log = structlog.get_logger(__name__)


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


class Insert(NamedTuple):
    """Rows of one shape, one at least, whose fields are columns of `table`. `more` ends the statement."""

    table: str
    rows: Sequence[msgspec.Struct]
    more: str = ""


def insert(cursor: Cursor, *inserts: Insert) -> None:
    """Write rows into tables, each once; on PostgreSQL by one statement for all.

    Their values cross as JSON, which C writes and reads: Python's way of each UUID and time to its driver is longer.
    """
    if on_postgresql():
        shapes = tuple((table, type(rows[0]), more) for table, rows, more in inserts)
        cursor.execute(_insert_from_json(shapes), [_json.encode(rows).decode() for _, rows, _ in inserts])
        return
    for table, rows, more in inserts:
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
def _insert_from_json(shapes: tuple[tuple[str, type[msgspec.Struct], str], ...]) -> str:
    """Tables are locked in the order of `shapes`; but the last one comes first once the server keeps the plan.

    So that no two processes wait for each other in a circle, nor for `usage.books`, which locks the rollups in theirs,
    the last one is to be a table that nobody locks together with the others. Rows are locked in one order anyway.
    """
    *before, last = (_of_json(*shape) for shape in shapes)
    others = ", ".join(f"insert_{number} AS ({statement})" for number, statement in enumerate(before))
    return f"WITH {others} {last}" if others else last


def _of_json(table: str, shape: type[msgspec.Struct], more: str) -> str:
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
            values[place] = f"{moment[:10]} {moment[11:-1]}" if is_utc else text_of(datetime.fromisoformat(moment))
    return plain


_json = msgspec.json.Encoder(uuid_format="hex")
_from_json = msgspec.json.Decoder().decode


@functools.cache
def _times(shape: type[msgspec.Struct]) -> list[int]:
    """Where in the shape times are."""
    return [place for place, name in enumerate(shape.__struct_fields__) if name.endswith("_at")]
