"""The groups with which an installation begins: what most people who sign in are there for."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

_APPS = ("accounts", "alerts", "auth", "providers", "usage", "vectors")


def _of(app: str, *models: str) -> Q:
    """All permissions of these models, or of the whole app."""
    which = Q(content_type__app_label=app)
    return which & Q(content_type__model__in=models) if models else which


_SEE = Q(codename__startswith="view_")
_SEE_USE = _SEE & (_of("usage") | _of("alerts", "channel", "delivery", "attempt") | _of("accounts", "client", "apikey"))
_GROUPS: Mapping[str, Q] = {
    "May see everything": _SEE & Q(content_type__app_label__in=_APPS),
    "Finance": _SEE_USE
    | _SEE & _of("providers", "price", "pricetier", "exchangerate")
    | _of("usage", "budget")
    | _of("alerts", "reportschedule"),
    "Operator": _SEE_USE
    | _SEE & _of("accounts", "auditentry")
    | _of("providers")
    | _of("alerts")
    | _of("vectors")
    | _of("accounts", "client", "apikey", "tier", "endpointlimit"),
}


def make_first_groups() -> None:
    """Where there is no group yet: what is changed afterwards stays so."""
    if Group.objects.exists():
        return
    for name, permissions in _GROUPS.items():
        group = Group.objects.create(name=name)
        group.permissions.set(Permission.objects.filter(permissions))
