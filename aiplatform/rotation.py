"""Turning the ring of encryption keys: whatever is stored under an older key is written again under the first.

A row is replaced only if it is still what was read, so that traffic, the admin and another run may go on beside it.
What was rotated before is left alone, so that a run that was cut short is simply made again. Nothing else is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db import models, transaction

from core import vault
from core.vault import EncryptedField, UnreadableSecretError
from usage.models import IdempotencyKey

BATCH_ROWS = 100  # read, and written in one transaction: an answer may be a megabyte

Stored = models.QuerySet[Any]


class Column(NamedTuple):
    model: type[models.Model]
    field: str

    def __str__(self) -> str:
        return f"{self.model._meta.verbose_name}: {self.field}"


class Turned(NamedTuple):
    """How many of a column's secrets were written again, were under the first key already, or no key can read."""

    renewed: int
    current: int
    unreadable: int


def columns() -> list[Column]:
    """All that the ring encrypts: the encrypted fields of all models, and the answers under idempotency keys."""
    fields = [
        Column(model, field.name)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, EncryptedField)
    ]
    return [*fields, Column(IdempotencyKey, "answer")]


def rotate(column: Column) -> Turned:
    """Batch by batch, in the order of the primary key."""
    counts = {"renewed": 0, "current": 0, "unreadable": 0}
    for batch in _batches(column):
        with transaction.atomic():
            for key, stored in batch:
                counts[_renew(column, key, stored)] += 1
    return Turned(**counts)


def _batches(column: Column) -> Iterator[list[tuple[Any, Any]]]:
    rows = _rows(column).exclude(**{column.field: None})
    if column.model is not IdempotencyKey:
        rows = rows.exclude(**{column.field: ""})
    last = None
    while True:
        further = rows if last is None else rows.filter(pk__gt=last)
        batch = list(further.order_by("pk").values_list("pk", column.field)[:BATCH_ROWS])
        if not batch:
            return
        yield batch
        last = batch[-1][0]


def _renew(column: Column, key: Any, stored: Any) -> str:
    """The name of the count it belongs to."""
    is_text = isinstance(stored, str)
    try:
        renewed = vault.renewed(stored.encode() if is_text else bytes(stored))
    except UnreadableSecretError:
        return "unreadable"
    if renewed is None:
        return "current"
    written = {column.field: renewed.decode() if is_text else renewed}
    # Nobody's change is lost: where another has written meanwhile, that is under the first key, or for the next run.
    replaced = _rows(column).filter(pk=key, **{column.field: stored}).update(**written)
    return "renewed" if replaced else "current"


def _rows(column: Column) -> Stored:
    return column.model._base_manager.all()  # noqa: SLF001 - Django's own way to rows that no manager hides
