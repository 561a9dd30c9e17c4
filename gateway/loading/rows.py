"""What is made of the rows of providers, keys, models, prices and routes: the columns that are read, and the values."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import msgspec
import structlog
from django.core.exceptions import ValidationError

from core.vault import UnreadableSecretError, decrypt
from gateway.limits.definitions import COLUMNS, Limit, limits, numbers
from providers import sampling
from providers.kinds import KINDS
from providers.models import Provider
from providers.resilience.breaker import Policy as CircuitPolicy
from providers.specs import CredentialSpec, DeploymentSpec, ProviderSpec, RouteSpec, Strategy
from usage.pricing import RATE_NAMES, ListPrice, Rates, TierPrice

log = structlog.get_logger(__name__)


class Host(msgspec.Struct, frozen=True, gc=False):
    """A provider without its keys, and its limits."""

    spec: ProviderSpec
    limits: tuple[Limit, ...]
    is_active: bool


class Model(msgspec.Struct, frozen=True, gc=False):
    """A deployment's own row."""

    id: UUID
    provider_id: UUID
    name: str
    model: str
    type: str
    max_output_tokens: int | None
    defaults: dict[str, Any]
    context_window: int | None
    capabilities: tuple[str, ...]
    limits: tuple[Limit, ...]
    slots: int | None


_MS = ("connect_timeout_ms", "first_token_timeout_ms", "between_chunks_timeout_ms", "timeout_ms")
_CIRCUIT = ("failure_threshold", "success_threshold", "open_ms", "monitoring_period_ms", "circuits_reset_at")
OF_PROVIDER = (
    *("slug", "kind", "base_url", "organization", "priority", "weight", *_MS, "on_disconnect"),
    *("retry_attempts", "retry_delay_ms", "is_active", *_CIRCUIT, *COLUMNS),
)
OF_CREDENTIAL = ("provider_id", "label", "secret", "weight")
OF_DEPLOYMENT = (
    *("provider_id", "name", "upstream_name", "type", "max_output_tokens", "defaults", "context_window"),
    *("capabilities", "max_concurrent", *COLUMNS),
)
OF_PRICE = ("deployment_id", "valid_from", "currency", "per_request", *RATE_NAMES)
OF_TIER = ("price_id", "above_tokens", *RATE_NAMES)
OF_ROUTE = ("name", "strategy", "sticky", "catch_all")
OF_TARGET = ("route_id", "deployment_id", "priority", "weight")


def host(row: Any) -> Host:
    spec = ProviderSpec(
        id=row.pk,
        slug=row.slug,
        kind=row.kind,
        address=Provider(kind=row.kind, base_url=row.base_url).address if row.kind in KINDS else "",
        organization=row.organization,
        priority=row.priority,
        weight=row.weight,
        connect_timeout_s=row.connect_timeout_ms / 1000,
        first_token_timeout_s=row.first_token_timeout_ms / 1000,
        between_chunks_timeout_s=row.between_chunks_timeout_ms / 1000,
        timeout_s=row.timeout_ms / 1000,
        drains=row.on_disconnect == Provider.OnDisconnect.DRAIN,
        credentials=(),
        retry_attempts=row.retry_attempts,
        retry_delay_s=row.retry_delay_ms / 1000,
        circuit=CircuitPolicy(
            failures=row.failure_threshold,
            successes=row.success_threshold,
            open_s=row.open_ms / 1000,
            window_s=row.monitoring_period_ms / 1000,
        ),
        forgiven_at=row.circuits_reset_at,
    )
    return Host(spec, tuple(limits(f"provider:{row.pk}", f"the provider {row.slug}", numbers(row))), row.is_active)


def credential(row: Any) -> tuple[UUID, CredentialSpec | None]:
    try:
        return row.provider_id, CredentialSpec(row.pk, row.label, decrypt(row.secret), row.weight)
    except UnreadableSecretError as error:
        log.warning("a provider's key is left out", provider_id=str(row.provider_id), label=row.label, error=str(error))
        return row.provider_id, None


def with_keys(parts: tuple[Host, tuple[CredentialSpec, ...]]) -> ProviderSpec:
    its_host, keys = parts
    return msgspec.structs.replace(its_host.spec, credentials=keys)


def model(row: Any) -> Model:
    return Model(
        id=row.pk,
        provider_id=row.provider_id,
        name=row.name,
        model=row.upstream_name or row.name,
        type=row.type,
        max_output_tokens=row.max_output_tokens,
        defaults=_defaults(row),
        context_window=row.context_window,
        capabilities=tuple(row.capabilities),
        limits=tuple(limits(f"model:{row.pk}", f"the model {row.name}", numbers(row))),
        slots=row.max_concurrent,
    )


def _defaults(row: Any) -> dict[str, Any]:
    known = sampling.understood(row.defaults)
    try:
        sampling.check(row.defaults)
    except ValidationError:
        log.warning("no more of a model's defaults can be used", model_id=str(row.pk), model=row.name, used=known)
    return known


def deployment(model: Model, provider: ProviderSpec, rates: tuple[Rates, ...]) -> DeploymentSpec:
    return DeploymentSpec(
        id=model.id,
        name=model.name,
        model=model.model,
        type=model.type,
        provider=provider,
        max_output_tokens=model.max_output_tokens,
        defaults=model.defaults,
        prices=rates,
        context_window=model.context_window,
        capabilities=model.capabilities,
    )


def price(row: Any) -> tuple[UUID, ListPrice]:
    return row.deployment_id, ListPrice(
        price_id=row.pk,
        valid_from=row.valid_from,
        currency=row.currency,
        per_request=row.per_request,
        **{name: getattr(row, name) for name in RATE_NAMES},
    )


def tier(row: Any) -> tuple[UUID, TierPrice]:
    rates = {name: getattr(row, name) for name in RATE_NAMES}
    return row.price_id, TierPrice(above_tokens=row.above_tokens, **rates)


def route(row: Any) -> tuple[RouteSpec, bool]:
    return RouteSpec(row.name, cast("Strategy", row.strategy), row.sticky), row.catch_all


def target(row: Any) -> tuple[UUID, UUID, int, int]:
    return row.route_id, row.deployment_id, row.priority, row.weight
