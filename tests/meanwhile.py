"""What others do in the middle of a request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.models import Model


@contextmanager
def deleted_once_found(row: Model) -> Iterator[None]:
    """Somebody deletes it, once a request has looked it up and before that asks the database anything else."""
    with deleted_after(f'WHERE "{row._meta.db_table}"."id" = ', row):
        yield


@contextmanager
def deleted_after(words: str, row: Model) -> Iterator[None]:
    """The same, once a statement with these words has been answered."""
    found = deleted = False

    def between(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        nonlocal found, deleted
        if found and not deleted:
            deleted = True
            row._meta.model._base_manager.filter(pk=row.pk).delete()
        found = found or words in sql
        return execute(sql, params, many, context)

    with connection.execute_wrapper(between):
        yield
    assert deleted
