"""`/api/accounts`: clients, keys and tiers. `/api/audit`: who changed what."""

from __future__ import annotations

from typing import ClassVar

from rest_framework.serializers import BaseSerializer

from accounts.api.resources import Listed, Query, Resource
from accounts.api.serializers import (
    AuditQuery,
    AuditSerializer,
    ClientQuery,
    ClientSerializer,
    KeyQuery,
    KeySerializer,
    NewKeySerializer,
    TierQuery,
    TierSerializer,
)
from accounts.models import ApiKey, AuditEntry, Client, Tier


class Tiers(Resource[Tier]):
    """Bounds that many keys share."""

    queryset = Tier.objects.prefetch_related("endpoints")
    writes = ("accounts.add_endpointlimit", "accounts.change_endpointlimit", "accounts.delete_endpointlimit")
    serializer_class = TierSerializer
    query_class: ClassVar[type[Query]] = TierQuery


class Clients(Resource[Client]):
    """The products and teams that call."""

    queryset = Client.objects.all()
    serializer_class = ClientSerializer
    query_class: ClassVar[type[Query]] = ClientQuery


class Keys(Resource[ApiKey]):
    """API keys. The secret is in the answer to the creation, and nowhere else."""

    queryset = ApiKey.objects.select_related("client", "tier")
    serializer_class = KeySerializer
    query_class: ClassVar[type[Query]] = KeyQuery

    def get_serializer_class(self) -> type[BaseSerializer[ApiKey]]:
        return NewKeySerializer if self.action == "create" else KeySerializer


class Audit(Listed[AuditEntry]):
    """Who changed what: rows that are written with the change itself, and that nobody can change."""

    queryset = AuditEntry.objects.all()
    serializer_class = AuditSerializer
    query_class: ClassVar[type[Query]] = AuditQuery
