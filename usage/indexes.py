"""New indexes of the partitioned table, made beside running writers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import migrations

from usage.immutability import partition_names


class AddPartitionedIndex(migrations.AddIndex):
    """An index of every partition, in a migration that is not atomic.

    PostgreSQL makes none of a partitioned table CONCURRENTLY: so each partition gets its own, and the table's is made
    of these. A month that is made meanwhile brings its own along. After a failure it begins anew.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        table, name = schema_editor.quote_name(model._meta.db_table), self.index.name
        statement = str(self.index.create_sql(model, schema_editor))
        what = statement.partition(f" ON {table} ")[2]
        schema_editor.execute(f"DROP INDEX IF EXISTS {name}")
        schema_editor.execute(f"CREATE INDEX {name} ON ONLY {table} {what}")
        with schema_editor.connection.cursor() as cursor:
            partitions = partition_names(cursor)
        for partition in partitions:
            own = f"{partition}_{name}"
            schema_editor.execute(f"DROP INDEX IF EXISTS {own}")
            with _patient(schema_editor):
                schema_editor.execute(f"CREATE INDEX CONCURRENTLY {own} ON {partition} {what}")
            schema_editor.execute(f"ALTER INDEX {name} ATTACH PARTITION {own}")


@contextmanager
def _patient(schema_editor: Any) -> Iterator[None]:
    """For what waits until all who read at its beginning have ended, and holds up nobody meanwhile."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        (usual,) = cursor.fetchone()
    schema_editor.execute("SET lock_timeout = 0")
    yield
    schema_editor.execute(f"SET lock_timeout = '{usual}'")
