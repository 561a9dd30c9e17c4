"""The clients that calls can be of."""

from __future__ import annotations

from accounts.models import Client

ADMIN_CLIENT = "admin"  # of calls from an administrator's session, as *Try a model* makes them; it needs no row


def client_names() -> list[str]:
    """By which usage rows, budgets, rules and reports name them."""
    return sorted({ADMIN_CLIENT, *Client.objects.values_list("name", flat=True)})
