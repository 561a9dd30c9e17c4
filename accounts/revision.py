"""The catalogue's revision: a number that grows in the very transaction that changes the configuration.

Database triggers do it, so that bulk updates, the admin, raw SQL and another host are all seen. They are installed
after every `migrate`, because SQLite silently drops the triggers of a table that a migration remakes.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection, models

from accounts.models import Revision

_POSTGRES_FUNCTION = """
CREATE OR REPLACE FUNCTION bump_catalogue_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE catalogue_revision SET number = number + 1; RETURN NULL; END $$
"""
_BUMP = "UPDATE catalogue_revision SET number = number + 1"


def current() -> int:
    """The newest committed revision."""
    with connection.cursor() as cursor:  # asked for ever and ever: a query set would cost several times as much
        cursor.execute("SELECT number FROM catalogue_revision")
        (number,) = cursor.fetchone() or (0,)
    return int(number)


def watch(watched: Iterable[type[models.Model]], *, ignoring: Iterable[str] = ()) -> None:
    """Bump the revision on every change of these models' tables, except updates of the columns in `ignoring` alone."""
    tables = set(connection.introspection.table_names())
    if Revision._meta.db_table not in tables:
        return  # only some apps were migrated
    Revision.objects.get_or_create(pk=1)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRES_FUNCTION)
        for model in (model for model in watched if model._meta.db_table in tables):
            columns = [str(f.column) for f in model._meta.local_concrete_fields if f.name not in ignoring]
            for statement in _triggers(model._meta.db_table, columns):
                cursor.execute(statement)


def _triggers(table: str, columns: list[str]) -> list[str]:
    listed = ", ".join(f'"{column}"' for column in columns)
    events = {"ins": "INSERT", "upd": f"UPDATE OF {listed}", "del": "DELETE"}
    if connection.vendor == "postgresql":
        return [
            f'CREATE OR REPLACE TRIGGER bump_{event} AFTER {what} ON "{table}" '
            "FOR EACH STATEMENT EXECUTE FUNCTION bump_catalogue_revision()"
            for event, what in events.items()
        ]
    return [
        statement
        for event, what in events.items()
        for statement in (
            f'DROP TRIGGER IF EXISTS "bump_{table}_{event}"',
            f'CREATE TRIGGER "bump_{table}_{event}" AFTER {what} ON "{table}" BEGIN {_BUMP}; END',
        )
    ]
