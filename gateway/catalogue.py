"""All configuration that a call needs, as one immutable snapshot in memory.

It is built in a thread and swapped whole; a revision number, bumped in the changing transaction, tells when. When the
database is away the last good snapshot serves.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import msgspec
import structlog
from django.db import DatabaseError, InterfaceError, connection

from accounts import revision
from accounts.models import ApiKey
from core.vault import UnreadableSecretError
from gateway.limits import reading
from gateway.limits.definitions import UNLIMITED, CallerLimits
from gateway.limits.reading import Capacity, Keyless
from providers import allowed
from providers.kinds import KINDS
from providers.models import Credential, Deployment, Provider, Route, RouteTarget
from providers.prices import histories
from providers.resilience.breaker import Policy as CircuitPolicy
from providers.specs import CredentialSpec, DeploymentSpec, ProviderSpec, RouteSpec, Strategy, TargetSpec, Topology
from usage.budgets import Budgets, BudgetSpec
from usage.models import Budget
from usage.periods import Period
from usage.pricing import Rates

POLL_S = 0.25
_STILL_OF_USE = timedelta(days=1)  # rates that ended before are nobody's: calls are priced as of now

log = structlog.get_logger(__name__)


AllowedModels = tuple[tuple[str, ...], ...]  # lists of names, each of which a model must be in; none: every model


class Caller(msgspec.Struct, frozen=True):
    """Whose call it is. `expires_at` is in Unix seconds. An administrator's session has neither client row nor key.

    `end_user` is who a token was given to: no call of it can name another.
    """

    client_id: UUID | None
    client: str
    key_id: UUID | None
    key_prefix: str
    scope: str
    expires_at: float | None
    limits: CallerLimits = UNLIMITED
    end_user: str = ""
    allowed: AllowedModels = ()


class Snapshot(msgspec.Struct, frozen=True):
    """`callers` are found by their key's digest."""

    revision: int
    callers: dict[str, Caller]
    topology: Topology
    budgets: Budgets
    capacity: Capacity = Capacity()
    keyless: Keyless = Keyless()
    narrowed: dict[AllowedModels, Topology] = {}

    def seen_by(self, caller: Caller) -> Topology:
        """What there is for `caller`: everything, or what its lists of models leave."""
        if not caller.allowed:
            return self.topology
        known = self.narrowed.get(caller.allowed)  # None: its list is an older snapshot's
        return allowed.narrowed(self.topology, caller.allowed) if known is None else known


class Catalogue:
    """The current snapshot, kept fresh by `run`."""

    def __init__(self, first: Snapshot) -> None:
        self.current = first
        # One thread, so that it is one connection: the loop's own pool would keep one in each of its threads.
        self._reader = ThreadPoolExecutor(1, "catalogue")

    async def run(self) -> None:
        """Until cancelled: look at the revision four times a second, and reload when it has moved."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(POLL_S)
            try:
                newer = await loop.run_in_executor(self._reader, _newer_than, self.current.revision)
            except (DatabaseError, InterfaceError) as error:
                log.warning("the configuration cannot be read; the last one serves", error=str(error))
                continue
            except Exception:  # whatever one row's fault is, later changes must still come into force
                log.exception("the configuration is not understood; the last one serves")
                continue
            if newer:
                self.current = newer


def load() -> Snapshot:
    """The whole configuration, read from the database in this thread."""
    try:
        # The number first: a change in between is then seen again, never missed.
        number = revision.current()
        callers, topology, keyless = _callers(), _topology(), reading.keyless()
        lists = {caller.allowed for caller in callers.values()} | {(names,) for names in keyless.allowed.values()}
        return Snapshot(
            revision=number,
            callers=callers,
            topology=topology,
            budgets=_budgets(),
            capacity=reading.capacity(),
            keyless=keyless,
            narrowed={each: allowed.narrowed(topology, each) for each in lists if each},
        )
    finally:
        connection.close()


def _newer_than(known: int) -> Snapshot | None:
    try:
        newest = revision.current()
    except (DatabaseError, InterfaceError):
        connection.close()
        raise
    return load() if newest != known else None


def _callers() -> dict[str, Caller]:
    tiers = reading.tiers()
    usable = ApiKey.objects.filter(is_active=True, client__is_active=True).select_related("client")
    return {
        key.digest: Caller(
            client_id=key.client_id,
            client=key.client.name,
            key_id=key.id,
            key_prefix=key.prefix,
            scope=key.scope,
            expires_at=key.expires_at.timestamp() if key.expires_at else None,
            limits=reading.of_key(key, tiers),
            allowed=tuple(names for names in (key.client.allowed_names, key.allowed_names) if names),
        )
        for key in usable
    }


def _budgets() -> Budgets:
    return Budgets(
        BudgetSpec(
            id=row.id,
            name=row.name,
            scope=row.scope,
            subject=row.subject,
            cap_pico=row.cap_pico,
            period=cast("Period", row.period),
            time_zone=row.time_zone,
            hard=row.hard and row.is_active,  # one that is switched off goes on counting
        )
        for row in Budget.objects.all()
    )


def _topology() -> Topology:
    """Each read sees a later moment than the one before, so a row may belong to one that was not there yet.

    Such a row is left out: its revision is newer than the one that this snapshot goes by, and the next has it.
    """
    providers = _providers()
    prices = histories(since=datetime.now(UTC) - _STILL_OF_USE)
    deployments = [
        _deployment(row, providers[row.provider_id], prices.get(row.id, ()))
        for row in Deployment.objects.filter(is_active=True)
        if row.provider_id in providers and _is_callable(providers[row.provider_id])
    ]
    names: dict[str, list[TargetSpec]] = defaultdict(list)
    for deployment in deployments:
        target = TargetSpec(deployment, deployment.provider.priority, deployment.provider.weight)
        names[deployment.name].append(target)
        names[deployment.full_name].append(target)
    routes = list(Route.objects.filter(is_active=True))
    names |= _routes(routes, {deployment.id: deployment for deployment in deployments})
    return Topology(
        names={name: tuple(targets) for name, targets in names.items()},
        deployments=tuple(deployments),
        routes=tuple(route.name for route in routes),
        catch_all=next((route.name for route in routes if route.catch_all), None),
        sharing={route.name: RouteSpec(route.name, cast("Strategy", route.strategy), route.sticky) for route in routes},
    )


def _is_callable(provider: ProviderSpec) -> bool:
    """A provider that wants a key and has none would only cost each call an attempt."""
    kind = KINDS.get(provider.kind)
    return kind is not None and (bool(provider.credentials) or not kind.needs_key)


def _routes(routes: Iterable[Route], deployments: dict[UUID, DeploymentSpec]) -> dict[str, list[TargetSpec]]:
    """A route shadows a deployment of its name."""
    targets: dict[str, list[TargetSpec]] = {route.name: [] for route in routes}
    for row in RouteTarget.objects.filter(route__is_active=True).select_related("route"):
        if row.deployment_id in deployments and row.route.name in targets:
            targets[row.route.name].append(TargetSpec(deployments[row.deployment_id], row.priority, row.weight))
    return targets


def _providers() -> dict[UUID, ProviderSpec]:
    credentials: dict[UUID, list[CredentialSpec]] = defaultdict(list)
    for row in Credential.objects.filter(is_active=True):
        try:
            credentials[row.provider_id].append(CredentialSpec(row.id, row.label, row.reveal(), row.weight))
        except UnreadableSecretError as error:
            log.warning(
                "a provider's key is left out", provider_id=str(row.provider_id), label=row.label, error=str(error)
            )
    return {
        row.id: ProviderSpec(
            id=row.id,
            slug=row.slug,
            kind=row.kind,
            address=row.address,
            organization=row.organization,
            priority=row.priority,
            weight=row.weight,
            connect_timeout_s=row.connect_timeout_ms / 1000,
            first_token_timeout_s=row.first_token_timeout_ms / 1000,
            between_chunks_timeout_s=row.between_chunks_timeout_ms / 1000,
            timeout_s=row.timeout_ms / 1000,
            drains=row.on_disconnect == Provider.OnDisconnect.DRAIN,
            credentials=tuple(credentials[row.id]),
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
        for row in Provider.objects.filter(is_active=True)
    }


def _deployment(row: Deployment, provider: ProviderSpec, prices: tuple[Rates, ...]) -> DeploymentSpec:
    return DeploymentSpec(
        id=row.id,
        name=row.name,
        model=row.model_at_provider,
        type=row.type,
        provider=provider,
        max_output_tokens=row.max_output_tokens,
        defaults=row.defaults,
        prices=prices,
        context_window=row.context_window,
        capabilities=tuple(row.capabilities),
    )
