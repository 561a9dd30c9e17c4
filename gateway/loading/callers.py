"""Who may call: keys, and what callers without a key of ours are known by."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec

from accounts.models import ApiKey, Client, names_in
from gateway.limits import reading
from gateway.limits.definitions import COLUMNS, Limit, TierLimits, limits, numbers
from gateway.limits.reading import Keyless
from gateway.loading.pace import Pace
from gateway.loading.tables import Table
from gateway.snapshot import Caller

_OF_CLIENT = ("name", "allowed_models", *COLUMNS)
_OF_KEY = (
    *("digest", "prefix", "scope", "expires_at", "client_id", "tier_id", "allowed_models", *COLUMNS),
    *(f"client__{name}" for name in _OF_CLIENT),
)


class _Client(msgspec.Struct, frozen=True, gc=False):
    id: UUID
    name: str
    limits: Sequence[Limit]
    allowed: tuple[str, ...]


class Callers:
    """`by_digest` and `keyless` are new objects after every change."""

    def __init__(self) -> None:
        self.by_digest: dict[str, Caller] = {}
        self.keyless = Keyless()
        self._tiers: dict[UUID, TierLimits] = {}
        self._clients = Table(Client.objects.filter(is_active=True), _OF_CLIENT, _client)
        usable = ApiKey.objects.filter(is_active=True, client__is_active=True).order_by("pk")
        self._keys = Table(usable, _OF_KEY, self._caller)
        self._versions = (0, 0)

    def refresh(self, pace: Pace) -> None:
        """Raises django.db.Error."""
        tiers = reading.tiers()
        if tiers != self._tiers:
            self._tiers = tiers
            self._keys.forget()
            self._clients.forget()
        self._keys.refresh(pace)
        self._clients.refresh(pace)
        versions = (self._keys.version, self._clients.version)
        if versions == self._versions:
            return
        self.by_digest = dict(pace.over(self._keys.made.values()))
        clients = list(self._clients.made.values())
        self.keyless = Keyless(
            clients={each.name: (each.id, each.limits) for each in pace.over(clients)},
            allowed={each.name: each.allowed for each in clients if each.allowed},
            tiers={tier.name: tier for tier in tiers.values()},
        )
        self._versions = versions

    def _caller(self, row: Any) -> tuple[str, Caller]:
        client = SimpleNamespace(**{name: getattr(row, f"client__{name}") for name in _OF_CLIENT})
        lists = (names_in(client.allowed_models), names_in(row.allowed_models))
        row.id, row.client = row.pk, client
        return row.digest, Caller(
            client_id=row.client_id,
            client=client.name,
            key_id=row.pk,
            key_prefix=row.prefix,
            scope=row.scope,
            expires_at=row.expires_at.timestamp() if row.expires_at else None,
            limits=reading.of_key(row, self._tiers),
            allowed=tuple(names for names in lists if names),
        )


def _client(row: Any) -> _Client:
    of_row = limits(f"client:{row.pk}", f"the client {row.name}", numbers(row))
    return _Client(row.pk, row.name, of_row, names_in(row.allowed_models))
