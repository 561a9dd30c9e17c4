"""How long the audit trail is kept, and that nobody else takes anything out of it: the database itself refuses.

The triggers are installed after every `migrate`, because SQLite silently drops those of a table that a migration
remakes. Within `audit_purge()` alone may entries go: those past keeping.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, connection, transaction

from accounts.audit_entries import AuditEntry

_MESSAGE = "The audit trail is append-only."
_purging = threading.local()

_FUNCTION = f"""
CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND current_setting('audit.purge', true) = 'on' THEN RETURN OLD; END IF;
  RAISE EXCEPTION '{_MESSAGE}' USING ERRCODE = '23001';
END $$
"""
_TRIGGER = """
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()
"""
_REFUSE = f"BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END"
_POSTGRES = (_FUNCTION, _TRIGGER)
_SQLITE = (
    "DROP TRIGGER IF EXISTS {table}_no_update",
    "DROP TRIGGER IF EXISTS {table}_no_delete",
    "CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} " + _REFUSE,
    "CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN NOT audit_purge() " + _REFUSE,
)


def forget(*, keep_days: int, now: datetime) -> int:
    """Delete what is older; how many entries that were."""
    with transaction.atomic(), audit_purge():
        count, _ = AuditEntry.objects.filter(at__lt=now - timedelta(days=keep_days)).delete()
    return count


@contextmanager
def audit_purge() -> Iterator[None]:
    """Within it, this thread may delete entries; on PostgreSQL in a transaction, with which the leave ends too."""
    _set_purge(True)
    try:
        yield
    finally:
        with suppress(DatabaseError):  # in a transaction that has failed: its rollback takes it back
            _set_purge(False)


def install() -> None:
    table = AuditEntry._meta.db_table
    with connection.cursor() as cursor:
        for statement in _POSTGRES if connection.vendor == "postgresql" else _SQLITE:
            cursor.execute(statement.format(table=table))


def _set_purge(on: bool) -> None:  # noqa: FBT001 - it is what it sets
    _purging.on = on
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('audit.purge', %s, true)", ["on" if on else "off"])


def guard_connection(*, connection: Any, **_: Any) -> None:
    """Every new SQLite connection knows who may delete."""
    if connection.vendor == "sqlite":
        connection.connection.create_function("audit_purge", 0, lambda: int(getattr(_purging, "on", False)))
