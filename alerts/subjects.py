"""Whom rules and reports name: a slip of the pen would watch nobody, and say nothing."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.exceptions import ValidationError

from accounts.callers import client_names
from providers.models import Deployment, Provider
from usage.models import Budget

_MOST_NAMED = 10


def must_be_known(scope: str, name: str, *, field: str) -> None:
    """Raises ValidationError at `field` where nobody is called that.

    Keys and routes are not looked up: tokens are no keys, and callers may name models that are made later.
    """
    known = _names(scope) if name else None
    if known is None or name in (there := sorted(known)):
        return
    named = ", ".join(there[:_MOST_NAMED]) + (" …" if len(there) > _MOST_NAMED else "")
    raise ValidationError({field: f"There is no {scope} “{name}”. There is: {named or 'none yet'}."})


def _names(scope: str) -> Iterable[str] | None:
    """As figures have them; None where any name may come."""
    if scope == "provider":
        return Provider.objects.values_list("slug", flat=True)
    if scope == "client":
        return client_names()
    if scope == "budget":
        return Budget.objects.values_list("name", flat=True)
    if scope == "model":
        pairs = Deployment.objects.values_list("provider__slug", "name")
        return [f"{provider}/{model}" for provider, model in pairs]
    return None
