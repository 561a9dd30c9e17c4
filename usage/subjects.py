"""Whose a new budget may be. One of a client, key or provider that is not there would never refuse a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from accounts.callers import client_names
from accounts.models import ApiKey
from usage.models import Budget


def require_subject(scope: str, subject: str) -> None:
    """Raises ValidationError where nothing of the scope goes by that. End users and tags are nowhere listed."""
    if scope in _LISTED:
        what, names = _LISTED[scope]
        if subject not in names():
            raise ValidationError({"subject": f"There is no {what} {subject!r}."})


def providers() -> QuerySet[Any]:
    """Their rows. By label: `usage` lies below `providers` and must not import it."""
    found: QuerySet[Any] = apps.get_model("providers", "Provider").objects.order_by("name")
    return found


def _key_ids() -> list[str]:
    return [str(key_id) for key_id in ApiKey.objects.values_list("pk", flat=True)]


def _slugs() -> list[str]:
    return list(providers().values_list("slug", flat=True))


_LISTED: Final[dict[str, tuple[str, Callable[[], list[str]]]]] = {
    Budget.Scope.CLIENT: ("client", client_names),
    Budget.Scope.KEY: ("key with the id", _key_ids),
    Budget.Scope.PROVIDER: ("provider with the short name", _slugs),
}
