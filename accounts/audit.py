"""The audit trail: who changed what, written in the transaction that changes it.

A model that inherits `Audited` is written through here whichever way it goes: by the admin, by the management API, row
by row or many at once. Only what somebody did is kept (`accounts.acting`): the platform's own upkeep is not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from django.db import models, router, transaction
from django.db.models.deletion import Collector

from accounts import acting
from accounts.acting import Actor
from accounts.audit_entries import AuditEntry, compared, entry, entry_of

RowT = TypeVar("RowT", bound=models.Model)
Rows = dict[Any, models.Model]  # by their keys


class AuditedRows(models.QuerySet[RowT]):
    """Changes of many rows at once leave an entry for each."""

    def update(self, **changes: Any) -> int:
        actor = acting.current()
        if actor is None:
            return super().update(**changes)
        with transaction.atomic():
            before = _locked(self.model, self.values_list("pk", flat=True))
            count = super().update(**changes)
            _note_all(actor, before, _stored(self.model, before))
        return count

    update.alters_data = True  # type: ignore[attr-defined]  # Django looks for it there

    def delete(self) -> tuple[int, dict[str, int]]:
        actor = acting.current()
        if actor is None:
            return super().delete()
        with transaction.atomic():
            _note_deletion(actor, _locked(self.model, self.values_list("pk", flat=True)))
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]  # as above
    delete.queryset_only = True  # type: ignore[attr-defined]  # as above

    def bulk_create(self, objs: Iterable[RowT], *args: Any, **options: Any) -> list[RowT]:
        actor = acting.current()
        if actor is None:
            return super().bulk_create(objs, *args, **options)
        with transaction.atomic():
            given = list(objs)
            before = _stored(self.model, _keys(given))  # some may be there already, and be left as they are
            made = super().bulk_create(given, *args, **options)
            _note_all(actor, before, _stored(self.model, _keys(made)))
        return made


class AuditedManager(models.Manager[RowT]):
    """A class with a name of its own, which the type checker finds for related rows too."""

    def get_queryset(self) -> AuditedRows[RowT]:
        return AuditedRows(self.model, using=self._db)


class Audited(models.Model):
    """Whatever somebody does to a row of it leaves an entry in the audit trail."""

    untold_fields: ClassVar[Collection[str]] = ()  # of which the trail says nothing
    told_as: ClassVar[Mapping[str, Callable[[Any], str]]] = {}  # how it says those that may hold a secret

    objects = AuditedManager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **options: Any) -> None:
        actor = acting.current()
        if actor is None:
            super().save(*args, **options)
            return
        with transaction.atomic():
            before = _locked(type(self), [self.pk])
            super().save(*args, **options)
            _note_all(actor, before, _stored(type(self), [self.pk]))

    def delete(self, *args: Any, **options: Any) -> tuple[int, dict[str, int]]:
        actor = acting.current()
        if actor is None:
            return super().delete(*args, **options)
        with transaction.atomic():
            _note_deletion(actor, _locked(type(self), [self.pk]))
            return super().delete(*args, **options)


def note(row: models.Model, action: str, fields: Sequence[str] = ()) -> None:
    """An entry for a model that is not ours to inherit from: the names of its fields, without their values."""
    actor = acting.current()
    if actor is not None:
        changes = [{"field": name, "before": None, "after": None} for name in fields]
        entry(actor, action, row, changes).save(force_insert=True)


def note_count(kind: str, name: str, what: str, count: int) -> None:
    """One entry for what was done to many rows at once, where no row has anything else to tell than that."""
    actor = acting.current()
    if actor is not None:
        changes = [{"field": what, "before": None, "after": count}]
        entry_of(actor, AuditEntry.Action.CHANGED, kind=kind, name=name, changes=changes).save(force_insert=True)


# --- what was before, and what is now ----------------------------------------------------------------------------


def _rows(model: type[models.Model]) -> models.QuerySet[Any]:
    return model._base_manager.all()  # noqa: SLF001 - Django's own way to rows that no manager hides


def _keys(rows: Iterable[models.Model]) -> list[Any]:
    return [row.pk for row in rows if row.pk is not None]


def _locked(model: type[models.Model], keys: Iterable[Any]) -> dict[Any, models.Model]:
    """As they are before the change, which nobody else can make until it is over."""
    rows = _rows(model).select_for_update().filter(pk__in=list(keys))
    return {row.pk: row for row in rows}


def _stored(model: type[models.Model], keys: Iterable[Any]) -> dict[Any, models.Model]:
    return {row.pk: row for row in _rows(model).filter(pk__in=list(keys))}


def _note_all(actor: Actor, before: dict[Any, Any], after: dict[Any, Any]) -> None:
    entries = [
        found
        for key in dict.fromkeys((*before, *after))
        if (found := compared(actor, before.get(key), after.get(key))) is not None
    ]
    AuditEntry.objects.bulk_create(entries)


def _note_deletion(actor: Actor, rows: Rows) -> None:
    """Entries for rows of one model that are about to go, and for those that go with them."""
    if not rows:
        return
    model = type(next(iter(rows.values())))
    collector = Collector(using=router.db_for_write(model))
    collector.collect(list(rows.values()))
    _note_all(actor, rows, {})
    others: list[Iterable[models.Model]] = [*collector.data.values(), *collector.fast_deletes]
    for going in others:
        for other, keys in _audited(going).items():
            _note_all(actor, _locked(other, keys - rows.keys() if other is model else keys), {})


def _audited(rows: Iterable[models.Model]) -> dict[type[models.Model], set[Any]]:
    """The keys of those that the trail tells of, by their models."""
    found: dict[type[models.Model], set[Any]] = {}
    for row in rows:
        if isinstance(row, Audited):
            found.setdefault(type(row), set()).add(row.pk)
    return found
