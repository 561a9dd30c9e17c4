"""Puts the tests' database back to what it was once it was migrated.

Django's flush would make every permission, group and trigger anew: a tenth of a second and more, for each test that
commits.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Protocol

from django.db import connection

from tests.servers import PATIENCE_S

_COPIES = "pristine"  # a schema of PostgreSQL's


class Pristine(Protocol):
    def restore(self) -> None: ...


def remember() -> Pristine:
    """What the database holds now."""
    return _OnPostgreSQL() if connection.vendor == "postgresql" else _OnSQLite()


class _OnSQLite:
    """A copy in memory of all that is in the file, triggers too."""

    def __init__(self) -> None:
        self._copy = sqlite3.connect(":memory:", check_same_thread=False)
        connection.ensure_connection()
        connection.connection.backup(self._copy)

    def restore(self) -> None:
        """Raises `TimeoutError` where another connection's transaction is still open: SQLite would wait for ever."""
        until = time.monotonic() + PATIENCE_S

        def be_patient(*_: int) -> None:
            if time.monotonic() > until:
                raise TimeoutError("a test has left a transaction open")

        connection.close()  # with the rows that nobody has read to their end
        connection.ensure_connection()
        self._copy.backup(connection.connection, progress=be_patient)


class _OnPostgreSQL:
    """Copies of the few tables that have rows, and a function that brings them back. Tables stay as tests left them."""

    def __init__(self) -> None:
        with connection.cursor() as cursor:
            tables = connection.introspection.table_names(cursor)
            names = ", ".join(f'public."{table}"' for table in tables)
            statements = [f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE;"]  # whoever still writes is waited for
            statements += [f'DELETE FROM public."{table}";' for table in tables]
            cursor.execute(f"CREATE SCHEMA {_COPIES}")
            for table in tables:
                cursor.execute(f'SELECT EXISTS (SELECT FROM public."{table}")')
                if cursor.fetchone() == (True,):
                    cursor.execute(f'CREATE TABLE {_COPIES}."{table}" AS TABLE public."{table}"')
                    statements.append(f'INSERT INTO public."{table}" TABLE {_COPIES}."{table}";')
            cursor.execute(
                f"CREATE FUNCTION {_COPIES}.restore() RETURNS void LANGUAGE plpgsql "
                # Neither triggers nor foreign keys ask anything then.
                f"SET session_replication_role = replica AS $$BEGIN {' '.join(statements)} END$$"
            )

    def restore(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {_COPIES}.restore()")
