"""What the audit trail says of many-to-many fields, which are no columns of their row.

Django tells of them by a signal alone: a form's `save_m2m`, `add`, `set` and `clear` write past the model's `save`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models

from accounts import acting
from accounts.audit import Audited
from accounts.audit_entries import AuditEntry, entry, shortened


def note(*, sender: type[models.Model], instance: models.Model, action: str, pk_set: set[Any] | None, **_: Any) -> None:
    """A receiver of `m2m_changed`, which comes in the transaction of the change."""
    actor = acting.current()
    if actor is None or action not in ("post_add", "pre_remove", "pre_clear") or not isinstance(instance, Audited):
        return
    name = _field(sender, instance)
    linked: dict[Any, str] = {row.pk: str(row) for row in getattr(instance, name).all()}
    added = pk_set or set() if action == "post_add" else set()
    removed = linked.keys() & (linked.keys() if pk_set is None else pk_set) if action != "post_add" else set()
    before, after = (_names(linked, without=gone) for gone in (added, removed))
    if before != after:
        changes = [{"field": name, "before": before, "after": after}]
        entry(actor, AuditEntry.Action.CHANGED, instance, changes).save(force_insert=True)


def _field(through: type[models.Model], row: models.Model) -> str:
    """What the row calls its links through that table."""
    for field in row._meta.many_to_many:
        if field.remote_field.through is through:
            return field.name
    relations = (each for each in row._meta.related_objects if isinstance(each, models.ManyToManyRel))
    return next(str(each.get_accessor_name()) for each in relations if each.through is through)


def _names(linked: dict[Any, str], *, without: Iterable[Any]) -> str:
    return shortened(", ".join(sorted(name for key, name in linked.items() if key not in without)))
