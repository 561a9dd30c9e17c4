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
from providers import discovery, health, operations
from providers.api.discovery import AdoptedSerializer, AdoptSerializer, OfferedSerializer
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
from providers.standing import Standing
from providers.tasks import probe_soon


class Providers(mixins.DestroyModelMixin, Resource[Provider]):
    """Providers, each with its key, its main model and that model's price in one flat body."""

    queryset = Provider.objects.all()
    serializer_class = ProviderSerializer
    query_class: ClassVar[type[Query]] = ProviderQuery
    writes = (
        "providers.add_credential",
        "providers.change_credential",
        "providers.add_deployment",
        "providers.change_deployment",
        "providers.add_price",
    )
    calls_out = False

    def get_queryset(self) -> QuerySet[Provider]:
        return flat_providers()

    def perform_destroy(self, instance: Provider) -> None:
        operations.deactivate_provider(instance)

    @extend_schema(responses=HealthSerializer)
    @action(detail=False, url_path="health/check")
    def health(self, _request: Request) -> Response:
        """How each active provider is doing, by the calls of the last minutes, else by its last check."""
        return Response(
            HealthSerializer(_health(Provider.objects.filter(is_active=True).select_related("health"))).data
        )

    @extend_schema(operation_id="ai_providers_offered_list", responses=OfferedSerializer)
    @action(detail=True, calls_out=True)
    def models(self, _request: Request, **_address: str) -> Response:
        """What the provider itself offers, asked now, with published prices."""
        return Response(OfferedSerializer(discovery.discover(self.get_object(), now=timezone.now())).data)

    @extend_schema(operation_id="ai_providers_offered_add", request=AdoptSerializer, responses={201: AdoptedSerializer})
    @models.mapping.post
    def add_models(self, request: Request, **_address: str) -> Response:
        """Set some of them up, priced as published from now on."""
        wanted = AdoptSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        added = discovery.adopt(self.get_object(), wanted.validated_data["models"], now=timezone.now())
        return Response(AdoptedSerializer({"added": added}).data, status=201)

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
    now = timezone.now()
    listed = list(providers)
    standings = health.standings(listed, now=now)
    rows = [_check(provider, standings[provider.pk]) for provider in listed]
    return {"status": _overall({row["status"] for row in rows}), "timestamp": now, "providers": rows}


def _check(provider: Provider, told: Standing) -> dict[str, Any]:
    found: Health | None = getattr(provider, "health", None)
    return {
        "id": provider.pk,
        "name": provider.name,
        "type": provider.kind.upper(),
        "status": told.state,
        "detail": told.why,
        "latency": found.latency_ms if found else None,
        "checked_at": found.checked_at if found else None,
    }


def _overall(found: set[str]) -> str:
    """Degraded: some are healthy, some are not."""
    if "degraded" in found or {"healthy", "unhealthy"} <= found:
        return "degraded"
    return next((state for state in ("unhealthy", "healthy") if state in found), "unknown")


class Credentials(Resource[Credential]):
    """Providers' keys. Several share the calls in turn."""

    queryset = Credential.objects.select_related("provider")
    serializer_class = CredentialSerializer
    query_class: ClassVar[type[Query]] = CredentialQuery

    def perform_create(self, serializer: Any) -> None:
        super().perform_create(serializer)
        probe_soon(serializer.instance.provider_id)

    def perform_update(self, serializer: Any) -> None:
        super().perform_update(serializer)
        probe_soon(serializer.instance.provider_id)


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

    queryset = Route.objects.with_targets()
    writes = ("providers.add_routetarget", "providers.change_routetarget", "providers.delete_routetarget")
    serializer_class = RouteSerializer
    query_class: ClassVar[type[Query]] = RouteQuery
