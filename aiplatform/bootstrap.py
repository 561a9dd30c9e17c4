"""What a new installation needs before its first call: an administrator, groups, providers, the route `default`, a key.

All of it is idempotent: what exists is left as it is, so that after the first start the database rules.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, DecimalException

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import ApiKey, Client
from accounts.tiers import make_first_tiers
from aiplatform import env
from aiplatform.first_groups import make_first_groups
from core.vault import Secret
from providers.kinds import KINDS
from providers.models import Deployment, Price, Provider, Route, RouteTarget
from providers.operations import DEFAULT_ROUTE, ModelSpec, Rates, add_provider, fits_in_a_header
from providers.published import find

ADMIN = "admin"
FIRST_CLIENT = "default"
_DEMO_PRIORITY = 0  # below Provider.priority's default: a real provider is tried first
_PASSWORD_BYTES = 12
_ADVISORY_LOCK = 0x61_69_70  # "aip": two hosts that start together must not both make the first key


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was made just now and cannot be shown again; None where it existed."""

    admin_password: str | None = field(repr=False)
    key: str | None = field(repr=False)

    def shown_once(self) -> str:
        """For the operator's screen alone."""
        lines = []
        if self.admin_password:
            lines += [f"administrator: {ADMIN}", f"password: {self.admin_password}"]
        if self.key:
            lines.append(f"client key ({FIRST_CLIENT}): {self.key}")
        return "\n".join(lines) or "Nothing to do: this installation has its administrator and keys."


@dataclass(frozen=True, kw_only=True)
class NewProvider:
    """A provider to be made where its slug is not known yet."""

    slug: str
    api_key: Secret
    models: Sequence[ModelSpec]
    organization: str = ""


def bootstrap(*, now: datetime, demo: bool, providers: Sequence[NewProvider]) -> Outcome:
    """Make what is missing, in one transaction."""
    with transaction.atomic():
        _one_at_a_time()
        _make_default_route(catch_all=demo)
        make_first_tiers()
        make_first_groups()
        if demo and not Provider.objects.exists():
            _add_demo_provider(now)
        for new in providers:
            _add_provider(new, now)
        return Outcome(admin_password=_make_admin(), key=_make_first_key())


def _one_at_a_time() -> None:
    """SQLite's transactions are serial already (IMMEDIATE)."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])


def _make_default_route(*, catch_all: bool) -> None:
    """Over the active models there are; those added later join it (`providers.operations`)."""
    if Route.objects.exists():
        return
    route = Route.objects.create(name=DEFAULT_ROUTE, catch_all=catch_all)
    active = Deployment.objects.filter(is_active=True).select_related("provider")
    RouteTarget.objects.bulk_create(
        RouteTarget(route=route, deployment=each, priority=each.provider.priority, weight=each.provider.weight)
        for each in active
    )


def _add_demo_provider(now: datetime) -> None:
    """Priced, so that costs, budgets and reports can be seen without an account anywhere."""
    rates = Rates(input_per_million=Decimal(1), output_per_million=Decimal(2))
    models = [
        ModelSpec(name="demo", rates=rates),
        ModelSpec(name="demo-embedding", type=Deployment.Type.EMBEDDING, rates=rates),
    ]
    add_provider(name="Demo", slug="demo", kind="demo", models=models, priority=_DEMO_PRIORITY, now=now)


def _add_provider(new: NewProvider, now: datetime) -> None:
    if Provider.objects.filter(slug=new.slug).exists():
        return
    add_provider(
        name=KINDS[new.slug].label,
        slug=new.slug,
        kind=new.slug,
        api_key=new.api_key,
        models=new.models,
        organization=new.organization,
        now=now,
    )


def _make_admin() -> str | None:
    if User.objects.filter(is_superuser=True).exists() or User.objects.filter(username=ADMIN).exists():
        return None
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    User.objects.create_superuser(ADMIN, password=password)
    return password


def _make_first_key() -> str | None:
    if ApiKey.objects.exists():
        return None
    client, _ = Client.objects.get_or_create(name=FIRST_CLIENT)
    return ApiKey.mint(client=client, name="first")[1]


def providers_from_environment() -> list[NewProvider]:
    """OPENAI_API_KEY and its like (specification B): the kinds whose key is set."""
    variables = {"openai": "OPENAI", "anthropic": "ANTHROPIC", "google": "GOOGLE_AI", "deepseek": "DEEPSEEK"}
    return [
        NewProvider(
            slug=slug,
            api_key=_key(f"{prefix}_API_KEY", key),
            models=[_as_configured(model, slug, prefix) for model in _MODELS[slug]],
            organization=_organization() if slug == "openai" else "",
        )
        for slug, prefix in variables.items()
        if (key := env.text(f"{prefix}_API_KEY").strip())
    ]


def _organization() -> str:
    name = env.text("OPENAI_ORGANIZATION").strip()
    try:
        Provider._meta.get_field("organization").clean(name, None)
    except ValidationError as error:
        raise SystemExit(f"OPENAI_ORGANIZATION is none. {error.messages[0]}") from None
    return name


def _key(variable: str, value: str) -> Secret:
    try:
        fits_in_a_header(value)
    except ValidationError as error:
        raise SystemExit(f"{variable} is no key. {error.message}") from None
    return Secret(value)


def _as_configured(model: ModelSpec, slug: str, prefix: str) -> ModelSpec:
    """Specification B's *_MAX_TOKENS, and its *_COST_PER_TOKEN: US dollars for a token of either kind."""
    model = _with_published_price(model, slug, timezone.now())
    if model.type != Deployment.Type.CHAT:
        return model
    if most := env.integer(f"{prefix}_MAX_TOKENS", 0):
        model = dataclasses.replace(model, max_output_tokens=most)
    if cost := env.text(f"{prefix}_COST_PER_TOKEN"):
        per_million = _per_million(f"{prefix}_COST_PER_TOKEN", cost)
        rates = Rates(input_per_million=per_million, output_per_million=per_million)
        model = dataclasses.replace(model, rates=rates)
    return model


def _per_million(variable: str, value: str) -> Decimal:
    """US dollars for a million tokens, from those for one: what a price can keep."""
    try:
        amount = Decimal(value) * 1_000_000
        Price._meta.get_field("input_per_million").clean(amount, None)
    except (DecimalException, ValidationError):
        raise SystemExit(
            f"{variable} must be US dollars per token, for example 0.00002: from 0 to below 10000, with 15 digits and "
            f"16 decimals at most, not {value!r}."
        ) from None
    return amount


def _with_published_price(model: ModelSpec, slug: str, now: datetime) -> ModelSpec:
    published = find(address=KINDS[slug].base_url or "", model=model.name, now=now)
    return dataclasses.replace(model, rates=published.rates if published else None)


# What a key in the environment brings with it: current models of each provider, at the published price of the day.
_MODELS: Mapping[str, Sequence[ModelSpec]] = {
    "openai": [
        ModelSpec(name="gpt-5.4-mini", context_window=400_000),
        ModelSpec(name="text-embedding-3-small", type=Deployment.Type.EMBEDDING),
    ],
    "anthropic": [
        ModelSpec(name="claude-sonnet-5-5", context_window=1_000_000),
        ModelSpec(name="claude-haiku-4-5", context_window=200_000),
    ],
    "google": [
        ModelSpec(name="gemini-3.8-flash", context_window=1_000_000),
        ModelSpec(name="gemini-embedding-001", type=Deployment.Type.EMBEDDING),
    ],
    "deepseek": [ModelSpec(name="deepseek-v4-flash", context_window=1_000_000)],
}
