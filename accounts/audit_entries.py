"""The audit trail's entries, and what they say of a row before and after."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from accounts.acting import Actor
from core import calling
from core.models import Identified
from core.vault import EncryptedField

Facts = dict[str, Any]

HIDDEN = "hidden"  # what the trail says of a secret; that it was changed shows all the same
_SECRET_COLUMNS = {"digest"}
_EMPTY: tuple[Any, ...] = (None, "", [], {})
_MOST_CHARACTERS = 1_000  # of a value; the rest is cut off


class AuditEntry(Identified):
    """What somebody did to a row, or was refused. `changes`: `[{"field", "before", "after"}]`, without secrets."""

    class Action(models.TextChoices):
        ADDED = "added", "Added"
        CHANGED = "changed", "Changed"
        DELETED = "deleted", "Deleted"
        REFUSED = "refused", "Refused"

    class ActorKind(models.TextChoices):
        ADMINISTRATOR = "administrator", "Administrator"
        KEY = "key", "API key or token"
        COMMAND = "command", "manage.py"
        STRANGER = "stranger", "Not signed in"

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


def compared(actor: Actor, before: models.Model | None, after: models.Model | None) -> AuditEntry | None:
    """None where nothing has changed."""
    changes = _changes(before, after)
    if after is None:
        assert before is not None
        return entry(actor, AuditEntry.Action.DELETED, before, changes)
    if before is None:
        return entry(actor, AuditEntry.Action.ADDED, after, changes)
    return entry(actor, AuditEntry.Action.CHANGED, after, changes) if changes else None


def _changes(before: models.Model | None, after: models.Model | None) -> list[Facts]:
    row = after or before
    assert row is not None
    told = (field for field in row._meta.concrete_fields if field.name not in getattr(row, "untold_fields", ()))
    return [change for field in told if (change := _change(field, before, after)) is not None]


def _change(field: models.Field[Any, Any], before: models.Model | None, after: models.Model | None) -> Facts | None:
    was, is_now = (field.value_from_object(row) if row is not None else None for row in (before, after))
    if field.primary_key or was == is_now or (was in _EMPTY and is_now in _EMPTY):
        return None
    if isinstance(field, EncryptedField) or field.name in _SECRET_COLUMNS:
        return {"field": field.name, "before": was and HIDDEN, "after": is_now and HIDDEN}
    return {"field": field.name, "before": _plain(field, before), "after": _plain(field, after)}


def _plain(field: models.Field[Any, Any], row: models.Model | None) -> Any:
    """What JSON can hold: another row by its name, a number or a truth as it is, all else as text."""
    if row is None:
        return None
    value = getattr(row, field.name)
    if value is None or isinstance(value, bool | int | float):
        return value
    tell = getattr(row, "told_as", {}).get(field.name, str)
    return shortened(tell(value))


def shortened(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"


def entry(actor: Actor, action: str, row: models.Model, changes: list[Facts]) -> AuditEntry:
    return entry_of(actor, action, kind=str(row._meta.verbose_name), key=str(row.pk), name=str(row), changes=changes)


def entry_of(actor: Actor, action: str, *, kind: str, key: str = "", name: str, changes: list[Facts]) -> AuditEntry:
    """Of what is no single row: `kind` and `name` say what it is."""
    serving = calling.current()
    return AuditEntry(
        actor_kind=actor.kind,
        actor=actor.name[:200],
        action=action,
        object_type=kind[:64],
        object_id=key,
        object_name=name[:200],
        changes=changes,
        request_id=serving.request_id if serving is not None else "",
    )
