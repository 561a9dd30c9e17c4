"""The audit trail: who changed what, written in the transaction that changes it.

A model that inherits `Audited` is written through here whichever way it goes: by the admin, by the management API, row
by row or many at once. Only what somebody did is kept (`accounts.acting`): the platform's own upkeep is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from django.db import connection, models, transaction
from django.utils import timezone

from accounts import acting
from accounts.acting import Actor
from core import calling
from core.models import Identified
from core.vault import EncryptedField

RowT = TypeVar("RowT", bound=models.Model)
Facts = dict[str, Any]

HIDDEN = "hidden"  # what the trail says of a secret; that it was changed shows all the same
_SECRET_COLUMNS = {"digest"}
_MOST_CHARACTERS = 1_000  # of a value; the rest is cut off
_MESSAGE = "The audit trail is append-only."


class AuditEntry(Identified):
    """One row that was added, changed or deleted. `changes`: `[{"field", "before", "after"}]`, without secrets."""

    class Action(models.TextChoices):
        ADDED = "added", "Added"
        CHANGED = "changed", "Changed"
        DELETED = "deleted", "Deleted"

    class ActorKind(models.TextChoices):
        ADMINISTRATOR = "administrator", "Administrator"
        KEY = "key", "API key or token"

    at = models.DateTimeField("when", default=timezone.now, db_index=True)
    actor_kind = models.CharField(max_length=16, choices=ActorKind.choices)
    actor = models.CharField("who", max_length=200)
    action = models.CharField(max_length=8, choices=Action.choices)
    object_type = models.CharField("kind of thing", max_length=64)
    object_id = models.CharField(max_length=64)
    object_name = models.CharField("which one", max_length=200)
    changes = models.JSONField(default=list)
    request_id = models.CharField(max_length=128, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = "change"
        verbose_name_plural = "audit trail"
        indexes: ClassVar = [models.Index(fields=["object_type", "object_id"], name="audit_by_object")]

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.object_type} {self.object_name}"


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

    update.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        actor = acting.current()
        if actor is None:
            return super().delete()
        with transaction.atomic():
            before = _locked(self.model, self.values_list("pk", flat=True))
            _note_all(actor, before, {})
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

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
            _note_all(actor, _locked(type(self), [self.pk]), {})
            return super().delete(*args, **options)


def note(row: models.Model, action: str, fields: Sequence[str] = ()) -> None:
    """An entry for a model that is not ours to inherit from: the names of its fields, without their values."""
    actor = acting.current()
    if actor is not None:
        changes = [{"field": name, "before": None, "after": None} for name in fields]
        _entry(actor, action, row, changes).save(force_insert=True)


def install() -> None:
    """The triggers by which the database refuses to change or delete an entry."""
    table = AuditEntry._meta.db_table
    with connection.cursor() as cursor:
        for statement in _POSTGRES if connection.vendor == "postgresql" else _SQLITE:
            cursor.execute(statement.format(table=table))


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
        entry
        for key in dict.fromkeys((*before, *after))
        if (entry := _compared(actor, before.get(key), after.get(key))) is not None
    ]
    AuditEntry.objects.bulk_create(entries)


def _compared(actor: Actor, before: models.Model | None, after: models.Model | None) -> AuditEntry | None:
    """None where nothing has changed."""
    changes = _changes(before, after)
    if after is None:
        assert before is not None
        return _entry(actor, AuditEntry.Action.DELETED, before, changes)
    if before is None:
        return _entry(actor, AuditEntry.Action.ADDED, after, changes)
    return _entry(actor, AuditEntry.Action.CHANGED, after, changes) if changes else None


def _changes(before: models.Model | None, after: models.Model | None) -> list[Facts]:
    row = after or before
    assert row is not None
    return [change for field in row._meta.concrete_fields if (change := _change(field, before, after)) is not None]


def _change(field: models.Field[Any, Any], before: models.Model | None, after: models.Model | None) -> Facts | None:
    was, is_now = (field.value_from_object(row) if row is not None else None for row in (before, after))
    if field.primary_key or was == is_now or (was in _EMPTY and is_now in _EMPTY):
        return None
    if isinstance(field, EncryptedField) or field.name in _SECRET_COLUMNS:
        return {"field": field.name, "before": was and HIDDEN, "after": is_now and HIDDEN}
    return {"field": field.name, "before": _plain(field, before), "after": _plain(field, after)}


_EMPTY: tuple[Any, ...] = (None, "", [], {})


def _plain(field: models.Field[Any, Any], row: models.Model | None) -> Any:
    """What JSON can hold: another row by its name, a number or a truth as it is, all else as text."""
    if row is None:
        return None
    value = getattr(row, field.name)
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"


def _entry(actor: Actor, action: str, row: models.Model, changes: list[Facts]) -> AuditEntry:
    serving = calling.current()
    return AuditEntry(
        actor_kind=actor.kind,
        actor=actor.name[:200],
        action=action,
        object_type=str(row._meta.verbose_name)[:64],
        object_id=str(row.pk),
        object_name=str(row)[:200],
        changes=changes,
        request_id=serving.request_id if serving is not None else "",
    )


_FUNCTION = f"""
CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{_MESSAGE}' USING ERRCODE = '23001'; END $$
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
    "CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} " + _REFUSE,
)
