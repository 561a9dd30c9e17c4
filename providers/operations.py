"""Making and changing providers: provider, key, model and price together, in one transaction.

Everything is validated here, whoever asks (DRF, command line, bootstrap). A refusal is Django's `ValidationError`
whose keys name the field: Provider's and Price's under their own names, a deployment's too, but its name as `model`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict, Unpack

import msgspec
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.utils import timezone
from django.utils.text import slugify

from core.vault import Secret
from providers.kinds import KINDS
from providers.models import Credential, Deployment, Price, PriceTier, Provider, Route, RouteTarget
from providers.prices import list_price, unpriced
from providers.tasks import probe_soon
from usage.pricing import DOLLARS, TierPrice

DEFAULT_ROUTE = "default"
DEMO = "demo"
MAIN_KEY = "main"

fits_in_a_header = RegexValidator(r"^[\x21-\x7e]+\Z", "An API key has no spaces, line breaks or accented letters.")


@dataclass(frozen=True, kw_only=True)
class Rates:
    """US dollars (or `currency`) per million tokens; see `Price` for what an empty rate and `source` mean."""

    input_per_million: Decimal
    output_per_million: Decimal
    cached_input_per_million: Decimal | None = None
    cache_write_5m_per_million: Decimal | None = None
    cache_write_1h_per_million: Decimal | None = None
    audio_input_per_million: Decimal | None = None
    image_input_per_million: Decimal | None = None
    reasoning_per_million: Decimal | None = None
    audio_output_per_million: Decimal | None = None
    image_output_per_million: Decimal | None = None
    per_request: Decimal = Decimal(0)
    currency: str = DOLLARS
    tiers: tuple[TierPrice, ...] = ()
    source: str = field(default="", compare=False)

    @classmethod
    def of(cls, price: Price) -> Rates:
        """What `price` says, without its source: whoever changes it is the source of the change."""
        listed = list_price(price)
        return cls(**{f.name: getattr(listed, f.name) for f in dataclasses.fields(cls) if f.name != "source"})

    @property
    def columns(self) -> dict[str, Any]:
        """What the price's own row holds of this."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "tiers"}


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A deployment as it should be. `rates` None: its price is unknown, or, on an update, stays as it is."""

    name: str
    rates: Rates | None = None
    upstream_name: str = ""
    type: str = Deployment.Type.CHAT
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: Sequence[str] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, deployment: Deployment) -> ModelSpec:
        """What `deployment` is now, to be changed with `dataclasses.replace`."""
        names = [f.name for f in dataclasses.fields(cls) if f.name != "rates"]
        return cls(**{name: getattr(deployment, name) for name in names})

    @property
    def columns(self) -> dict[str, Any]:
        """What the deployment's row holds of this, apart from its name."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in {"name", "rates"}}
        return own | {"capabilities": list(self.capabilities), "defaults": dict(self.defaults)}


class ProviderSettings(TypedDict, total=False):
    """Fields of `Provider` that have a default there."""

    base_url: str
    organization: str
    is_active: bool
    priority: int
    weight: int
    connect_timeout_ms: int
    first_token_timeout_ms: int
    between_chunks_timeout_ms: int
    timeout_ms: int
    on_disconnect: str
    requests_per_minute: int | None
    requests_per_hour: int | None
    tokens_per_minute: int | None
    tokens_per_hour: int | None
    retry_attempts: int
    retry_delay_ms: int
    failure_threshold: int
    success_threshold: int
    open_ms: int
    monitoring_period_ms: int


def add_provider(
    *,
    name: str,
    kind: str,
    models: Sequence[ModelSpec],
    now: datetime,
    slug: str = "",
    api_key: Secret | None = None,
    **settings: Unpack[ProviderSettings],
) -> Provider:
    """A new provider with its key, its models and their prices from `now` on; priced ones join the route `default`.

    `slug` is made from the name where it is empty.
    """
    if not api_key and kind in KINDS and KINDS[kind].needs_key:
        raise ValidationError({"api_key": f"{KINDS[kind].label} needs an API key."})
    with transaction.atomic():
        provider = Provider(name=name, kind=kind, slug=slug or free_slug(name), **settings)
        _save(provider)
        if api_key:
            _set_key(provider, api_key)
        add_models(provider, models, now=now)
        probe_soon(provider.pk)
    return provider


def update_provider(
    provider: Provider,
    *,
    now: datetime,
    name: str | None = None,
    kind: str | None = None,
    api_key: Secret | None = None,
    model: ModelSpec | None = None,
    **settings: Unpack[ProviderSettings],
) -> Provider:
    """Change what is given, and nothing else.

    `model` takes the place of the main deployment, on routes too; a price that differs becomes a new row from `now` on.
    """
    changed = {**settings, **{key: value for key, value in (("name", name), ("kind", kind)) if value is not None}}
    with transaction.atomic():
        provider = Provider.objects.select_for_update().get(pk=provider.pk)
        priority_before = provider.priority
        for key, value in changed.items():
            setattr(provider, key, value)
        _save(provider)
        if api_key:
            _set_key(provider, api_key)
        if model is not None:
            _replace_main_deployment(provider, model, now=now)
        if provider.priority != priority_before:  # else what was set on the route itself stays
            default_targets = RouteTarget.objects.filter(route__name=DEFAULT_ROUTE, deployment__provider=provider)
            default_targets.update(priority=provider.priority)
        probe_soon(provider.pk)
    return provider


def add_models(provider: Provider, models: Sequence[ModelSpec], *, now: datetime) -> list[Deployment]:
    """Make or activate them, priced from `now` on where they have rates; those join the route `default`."""
    with transaction.atomic():
        deployments = [_set_model(provider, model, now=now) for model in models]
        for deployment in deployments:
            join_default_route(deployment)
    return deployments


def deactivate_provider(provider: Provider) -> None:
    """No more calls go there; its history, keys and prices stay."""
    Provider.objects.filter(pk=provider.pk).update(is_active=False)


def main_deployment(provider: Provider) -> Deployment | None:
    """The model that specification D's flat body speaks of: of the active ones that which it named, else the oldest."""
    active = [each for each in provider.deployments.all() if each.is_active]
    return min(active, key=lambda each: (not each.is_main, each.created_at, each.pk), default=None)


def _replace_main_deployment(provider: Provider, model: ModelSpec, *, now: datetime) -> None:
    before = main_deployment(provider)
    after = _set_model(provider, model, now=now)
    if before is None:
        join_default_route(after)
    elif before.pk != after.pk:
        Deployment.objects.filter(pk=before.pk).update(is_active=False)
        already = RouteTarget.objects.filter(deployment=after).values("route")
        before.route_targets.exclude(route__in=already).update(deployment=after)
    if not after.is_main:  # there may be older ones, in use or to be used again
        provider.deployments.filter(is_main=True).update(is_main=False)
        provider.deployments.filter(pk=after.pk).update(is_main=True)
    if model.rates is not None:
        join_with_first_price(after)


def _set_key(provider: Provider, api_key: Secret) -> None:
    try:
        fits_in_a_header(api_key.reveal())
    except ValidationError as error:
        raise ValidationError({"api_key": error.messages}) from error
    credential = provider.credentials.filter(label=MAIN_KEY).first() or Credential(provider=provider, label=MAIN_KEY)
    credential.take(api_key)
    credential.is_active = True
    _save(credential, unchecked={"secret"})  # cleaning it as text would put its hint in its place


def _set_model(provider: Provider, model: ModelSpec, *, now: datetime) -> Deployment:
    """The provider's deployment of that name, made or brought in line, active and priced."""
    deployment = provider.deployments.filter(name=model.name).first() or Deployment(provider=provider, name=model.name)
    for column, value in model.columns.items():
        setattr(deployment, column, value)
    deployment.is_active = True
    _save(deployment, renamed={"name": "model"})
    if model.rates is not None:
        set_price(deployment, model.rates, now=now)
    return deployment


def set_price(deployment: Deployment, rates: Rates, *, now: datetime) -> None:
    """History stays true: a changed price is a new row."""
    current = deployment.price_at(now)
    if current is None or Rates.of(current) != rates:
        tiers = [PriceTier(**msgspec.structs.asdict(tier)) for tier in rates.tiers]
        save_price(Price(deployment=deployment, valid_from=now, **rates.columns), tiers=tiers)


def save_price(price: Price, *, tiers: Sequence[PriceTier]) -> Price:
    """A new price row with its tiers, whose `price` is set here."""
    with transaction.atomic():
        _save(price)
        for tier in tiers:
            tier.price = price
            try:
                _save(tier)
            except ValidationError as error:
                raise ValidationError({"tiers": error.messages}) from error
    return price


def join_default_route(deployment: Deployment) -> bool:
    """Callers who name no model reach every priced deployment of the type they need, by their providers' priorities.

    One without a price stays out: it would refuse callers with a hard budget, and cost what nobody knows. The demo
    leaves as soon as a real provider has that type: made-up answers are no failover. Returns whether it joined.
    """
    route = Route.objects.filter(name=DEFAULT_ROUTE).first()
    if route is None or unpriced(Deployment.objects.filter(pk=deployment.pk), now=timezone.now()).exists():
        return False
    place = {"priority": deployment.provider.priority, "weight": deployment.provider.weight}
    _, joined = RouteTarget.objects.get_or_create(route=route, deployment=deployment, defaults=place)
    if deployment.provider.kind != DEMO:
        made_up = RouteTarget.objects.filter(route=route, deployment__provider__kind=DEMO)
        made_up.filter(deployment__type=deployment.type).delete()
    return joined


def join_with_first_price(deployment: Deployment) -> bool:
    """The same for one whose price was just saved, if that is the first in force.

    With a later one it stays out: where it is not in the route, somebody has taken it out.
    """
    prices, now = Price.objects.filter(deployment=deployment), timezone.now()
    is_first = prices.filter(valid_from__lte=now).count() == 1 and prices.latest("created_at").valid_from <= now
    return is_first and join_default_route(deployment)


def free_slug(name: str) -> str:
    """`openai-europe` of `OpenAI (Europe)`; with a number after it where another provider has that."""
    base = slugify(name)[:56] or "provider"
    taken = set(Provider.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    number = 1
    slug = base
    while slug in taken:
        number += 1
        slug = f"{base}-{number}"
    return slug


def _save(row: models.Model, *, renamed: Mapping[str, str] | None = None, unchecked: Collection[str] = ()) -> None:
    """Validate, then write. `renamed` says under which names the row's fields are refused."""
    try:
        row.full_clean(exclude=unchecked)
    except ValidationError as error:
        known = renamed or {}
        raise ValidationError({known.get(key, key): value for key, value in error.error_dict.items()}) from error
    row.save()


def save_route(route: Route, *, targets: Sequence[RouteTarget] | None = None, **columns: Any) -> Route:
    """A new route, or one whose `columns` alone change, whatever `route` says of the others.

    `targets`, where given, replace those it had; their `route` is set here.
    """
    with transaction.atomic():
        if not route._state.adding:
            route = Route.objects.select_for_update().get(pk=route.pk)
        for column, value in columns.items():
            setattr(route, column, value)
        _refuse_second_catch_all(route)
        _save(route)
        if targets is not None:
            _refuse_twice(targets)
            route.targets.all().delete()
            for target in targets:
                target.route = route
            RouteTarget.objects.bulk_create(targets)
    return Route.objects.with_targets().get(pk=route.pk)


def _refuse_second_catch_all(route: Route) -> None:
    other = Route.objects.filter(catch_all=True).exclude(pk=route.pk).first()
    if route.catch_all and other is not None:
        raise ValidationError({"catch_all": f"The route {other} answers unknown names already."})


def _refuse_twice(targets: Sequence[RouteTarget]) -> None:
    seen: set[Any] = set()
    for target in targets:
        if target.deployment_id in seen:
            raise ValidationError({"targets": f"{target.deployment} is in it twice."})
        seen.add(target.deployment_id)
