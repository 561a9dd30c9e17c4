"""`/api/ai-providers`: specification D's providers, and the keys, models, prices and routes that they are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.resources import Listed, Query, Resource, checked_query
from providers import operations
from providers.api.flat import ProviderSerializer, flat_providers
from providers.api.metrics import AllMetricsSerializer, MetricsQuery, MetricsSerializer, provider_metrics
from providers.api.serializers import (
    CredentialQuery,
    CredentialSerializer,
    DeploymentQuery,
    DeploymentSerializer,
    ExchangeRateQuery,
    ExchangeRateSerializer,
    HealthSerializer,
    PriceQuery,
    PriceSerializer,
    ProviderQuery,
    RouteQuery,
    RouteSerializer,
)
from providers.models import Credential, Deployment, ExchangeRate, Health, Price, Provider, Route


class Providers(mixins.DestroyModelMixin, Resource[Provider]):
    """Providers, each with its key, its main model and that model's price in one flat body."""

    queryset = Provider.objects.all()
    serializer_class = ProviderSerializer
    query_class: ClassVar[type[Query]] = ProviderQuery

    def get_queryset(self) -> QuerySet[Provider]:
        return flat_providers()

    def perform_destroy(self, instance: Provider) -> None:
        operations.deactivate_provider(instance)

    @extend_schema(responses=HealthSerializer)
    @action(detail=False, url_path="health/check")
    def health(self, _request: Request) -> Response:
        """What the last probe of each active provider found."""
        return Response(
            HealthSerializer(_health(Provider.objects.filter(is_active=True).select_related("health"))).data
        )

    @extend_schema(operation_id="ai_providers_metrics_list", parameters=[MetricsQuery], responses=AllMetricsSerializer)
    @action(detail=False, url_path="metrics")
    def all_metrics(self, request: Request) -> Response:
        """How every provider has done of late."""
        window = checked_query(MetricsQuery, request).validated_data["window"]
        now = timezone.now()
        rows = provider_metrics(Provider.objects.all(), start=now - window, end=now)
        return Response(AllMetricsSerializer({"window": window, "providers": rows}).data)

    @extend_schema(parameters=[MetricsQuery], responses=MetricsSerializer)
    @action(detail=False, url_path=f"metrics/(?P<pk>{Listed.lookup_value_regex})")
    def metrics(self, request: Request, **_address: str) -> Response:
        """How one provider has done of late."""
        window = checked_query(MetricsQuery, request).validated_data["window"]
        now = timezone.now()
        [figures] = provider_metrics([self.get_object()], start=now - window, end=now)
        return Response(MetricsSerializer(figures).data)


def _health(providers: Iterable[Provider]) -> dict[str, Any]:
    rows = [_check(provider) for provider in providers]
    return {"status": _overall({row["status"] for row in rows}), "timestamp": timezone.now(), "providers": rows}


def _check(provider: Provider) -> dict[str, Any]:
    found: Health | None = getattr(provider, "health", None)
    return {
        "id": provider.pk,
        "name": provider.name,
        "type": provider.kind.upper(),
        "status": found.status if found else "unknown",
        "detail": found.detail if found else "",
        "latency": found.latency_ms if found else None,
        "checked_at": found.checked_at if found else None,
    }


def _overall(found: set[str]) -> str:
    """Degraded: some are healthy, some are not."""
    if Health.Status.UNHEALTHY in found:
        return "degraded" if Health.Status.HEALTHY in found else "unhealthy"
    return "healthy" if Health.Status.HEALTHY in found else "unknown"


class Credentials(Resource[Credential]):
    """Providers' keys. Several share the calls in turn."""

    queryset = Credential.objects.select_related("provider")
    serializer_class = CredentialSerializer
    query_class: ClassVar[type[Query]] = CredentialQuery


class Deployments(Resource[Deployment]):
    """Models at providers."""

    queryset = Deployment.objects.select_related("provider")
    serializer_class = DeploymentSerializer
    query_class: ClassVar[type[Query]] = DeploymentQuery


class Prices(mixins.CreateModelMixin, Listed[Price]):
    """What models cost. Rows are added, never changed: history stays true."""

    queryset = Price.objects.select_related("deployment__provider").prefetch_related("tiers")
    serializer_class = PriceSerializer
    query_class: ClassVar[type[Query]] = PriceQuery


class ExchangeRates(Resource[ExchangeRate]):
    """What currencies are worth, day by day: for prices that are not in dollars."""

    queryset = ExchangeRate.objects.all()
    serializer_class = ExchangeRateSerializer
    query_class: ClassVar[type[Query]] = ExchangeRateQuery


class NamedRoutes(Resource[Route]):
    """Public names and the models behind them."""

    queryset = Route.objects.prefetch_related("targets__deployment__provider")
    serializer_class = RouteSerializer
    query_class: ClassVar[type[Query]] = RouteQuery
