"""Records are never changed or deleted: the database itself refuses, on PostgreSQL and on SQLite.

Installed after every `migrate`, because SQLite silently drops the triggers of a table that a migration remakes.
Retention alone may delete (`usage.partitions`), inside `ledger_purge()`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import DatabaseError, connection

TABLE = "usage_usagerecord"
_MESSAGE = "The ledger is append-only: correct a record by an adjustment."
_purging = threading.local()

_POSTGRES_FUNCTION = f"""
CREATE OR REPLACE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'UPDATE' AND current_setting('ledger.purge', true) = 'on' THEN
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NULL;
  END IF;
  RAISE EXCEPTION '{_MESSAGE}' USING ERRCODE = '23001';
END $$
"""
_ROWS = "BEFORE UPDATE OR DELETE ON {} FOR EACH ROW"  # of the parent: partitions get a clone of it
_WHOLE = "BEFORE TRUNCATE ON {} FOR EACH STATEMENT"  # of each table: these are not cloned


@contextmanager
def ledger_purge() -> Iterator[None]:
    """Within it, this thread may delete records."""
    _purging.on = True
    if connection.vendor == "postgresql":
        _set_purge("on")
    try:
        yield
    finally:
        _purging.on = False
        if connection.vendor == "postgresql":
            with suppress(DatabaseError):  # in a transaction that has failed: its rollback takes it back
                _set_purge("off")


def install() -> None:
    """The triggers, where they are missing."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRES_FUNCTION)
            _install(cursor, TABLE, "append_only", _ROWS)
            for table in (TABLE, *partition_names(cursor)):
                _install(cursor, table, "append_only_truncate", _WHOLE)
        else:
            for event, condition in (("UPDATE", ""), ("DELETE", "WHEN NOT ledger_purge()")):
                name = f"{TABLE}_no_{event.lower()}"
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
                cursor.execute(
                    f"CREATE TRIGGER {name} BEFORE {event} ON {TABLE} {condition} "
                    f"BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END"
                )


def guard_connection(*, connection: Any, **_: Any) -> None:
    """Every new SQLite connection knows who may delete, and lets REPLACE fire the triggers of deletion."""
    if connection.vendor == "sqlite":
        connection.connection.create_function("ledger_purge", 0, lambda: int(getattr(_purging, "on", False)))
        connection.connection.execute("PRAGMA recursive_triggers = ON").close()


def partition_names(cursor: Any) -> list[str]:
    """The table's partitions, the default one among them. PostgreSQL alone."""
    cursor.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = %s::regclass ORDER BY 1",
        [TABLE],
    )
    return [name for (name,) in cursor.fetchall()]


def _install(cursor: Any, table: str, name: str, when: str) -> None:
    """Only where it is missing: making a trigger locks its table."""
    cursor.execute("SELECT 1 FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname = %s", [table, name])
    if cursor.fetchone() is None:
        cursor.execute(f"CREATE TRIGGER {name} {when.format(table)} EXECUTE FUNCTION refuse_ledger_change()")


def _set_purge(value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('ledger.purge', %s, false)", [value])
