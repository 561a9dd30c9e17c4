"""Where calls can go: providers with their keys, models with their prices, routes, and what all of these can take.

Each read sees a later moment than the one before, so a row may belong to one that was not there yet. Such a row is
left out: its revision is newer than the one that the snapshot goes by, and the next has it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from gateway.limits.definitions import Limit, LimitSet
from gateway.limits.reading import Capacity
from gateway.loading import rows
from gateway.loading.pace import Pace
from gateway.loading.tables import Table, made_of, remade
from providers import prices
from providers.kinds import KINDS
from providers.models import Credential, Deployment, Price, PriceTier, Provider, Route, RouteTarget
from providers.specs import CredentialSpec, DeploymentSpec, ProviderSpec, TargetSpec, Topology
from usage import pricing
from usage.pricing import Exchange, ListPrice, Rates, TierPrice

_STILL_OF_USE = timedelta(days=1)  # rates that ended before are nobody's: calls are priced as of now


_Priced = tuple[tuple[ListPrice, ...], tuple[Exchange, ...]]
_Parts = tuple[rows.Model, ProviderSpec, tuple[Rates, ...]]
_Bounds = tuple[tuple[Limit, ...], tuple[Limit, ...]]


class Deployments:
    """`topology` and `capacity` are new objects after every change."""

    def __init__(self) -> None:
        self.topology = Topology(names={}, deployments=(), routes=(), catch_all=None)
        self.capacity = Capacity()
        self._tables: dict[str, Table[Any]] = {
            "hosts": Table(Provider.objects.all(), rows.OF_PROVIDER, rows.host),
            "keys": Table(Credential.objects.filter(is_active=True), rows.OF_CREDENTIAL, rows.credential),
            "models": Table(
                Deployment.objects.filter(is_active=True).order_by("name", "pk"), rows.OF_DEPLOYMENT, rows.model
            ),
            "prices": Table(Price.objects.order_by("pk"), rows.OF_PRICE, rows.price),
            "tiers": Table(PriceTier.objects.order_by("pk"), rows.OF_TIER, rows.tier),
            "routes": Table(Route.objects.filter(is_active=True), rows.OF_ROUTE, rows.route),
            "targets": Table(RouteTarget.objects.filter(route__is_active=True), rows.OF_TARGET, rows.target),
        }
        self._listed: dict[UUID, tuple[ListPrice, ...]] = {}
        self._listed_of = (0, 0)
        self._exchanges: tuple[Exchange, ...] = ()
        self._providers: dict[UUID, tuple[tuple[rows.Host, tuple[CredentialSpec, ...]], ProviderSpec]] = {}
        self._histories: dict[UUID, tuple[_Priced, tuple[Rates, ...]]] = {}
        self._specs: dict[UUID, tuple[_Parts, DeploymentSpec]] = {}
        self._bounds: dict[UUID, tuple[_Bounds, LimitSet]] = {}
        self._seen: tuple[Any, ...] = ()

    def refresh(self, pace: Pace) -> None:
        """Raises django.db.Error."""
        for table in self._tables.values():
            table.refresh(pace)
        self._list_prices(pace)
        exchanges = tuple(prices.exchanges({price.currency for each in self._listed.values() for price in each}))
        if exchanges != self._exchanges:  # else the same object, which is compared with itself in no time
            self._exchanges = exchanges
        seen = (*(table.version for table in self._tables.values()), self._exchanges)
        if seen == self._seen:
            return
        models: list[rows.Model] = list(self._tables["models"].made.values())
        specs = self._deployments(models, pace)
        self.topology = self._topology(specs, pace)
        self.capacity = self._capacity(models, pace)
        self._seen = seen

    def _list_prices(self, pace: Pace) -> None:
        """Every deployment's, if any has changed."""
        versions = (self._tables["prices"].version, self._tables["tiers"].version)
        if versions == self._listed_of:
            return
        tiers: dict[UUID, list[TierPrice]] = defaultdict(list)
        for price_id, tier in self._tables["tiers"].made.values():
            tiers[price_id].append(tier)
        found: dict[UUID, tuple[ListPrice, ...]] = {}
        for deployment_id, price in pace.over(self._tables["prices"].made.values()):
            mine = tuple(tiers.get(price.price_id, ()))
            whole = msgspec.structs.replace(price, tiers=mine) if mine else price
            found[deployment_id] = (*found.get(deployment_id, ()), whole)
        self._listed, self._listed_of = found, versions

    def _deployments(self, models: Iterable[rows.Model], pace: Pace) -> list[DeploymentSpec]:
        since = datetime.now(UTC) - _STILL_OF_USE
        priced = ((key, (each, self._exchanges)) for key, each in pace.over(self._listed.items()))
        self._histories = remade(self._histories, priced, lambda its: pricing.timeline(its[0], its[1], since=since))
        self._providers = remade(self._providers, self._hosts(), rows.with_keys)
        self._specs = remade(self._specs, pace.over(self._parts(models)), lambda its: rows.deployment(*its))
        return [spec for _, spec in self._specs.values()]

    def _hosts(self) -> Iterator[tuple[UUID, tuple[rows.Host, tuple[CredentialSpec, ...]]]]:
        """Those that can be called: one that wants a key and has none would only cost each call an attempt."""
        keys: dict[UUID, list[CredentialSpec]] = defaultdict(list)
        for provider_id, key in self._tables["keys"].made.values():
            if key is not None:
                keys[provider_id].append(key)
        for provider_id, host in self._tables["hosts"].made.items():
            kind = KINDS.get(host.spec.kind)
            if host.is_active and kind is not None and (provider_id in keys or not kind.needs_key):
                yield provider_id, (host, tuple(keys[provider_id]))

    def _parts(self, models: Iterable[rows.Model]) -> Iterator[tuple[UUID, _Parts]]:
        for model in models:
            if model.provider_id in self._providers:
                _, provider = self._providers[model.provider_id]
                _, rates = self._histories.get(model.id, (None, ()))
                yield model.id, (model, provider, rates)

    def _topology(self, deployments: list[DeploymentSpec], pace: Pace) -> Topology:
        names: dict[str, list[TargetSpec]] = defaultdict(list)
        for deployment in pace.over(deployments):
            target = TargetSpec(deployment, deployment.provider.priority, deployment.provider.weight)
            names[deployment.name].append(target)
            names[deployment.full_name].append(target)
        names |= self._routes({deployment.id: deployment for deployment in deployments}, pace)
        routes = self._tables["routes"].made.values()
        topology = Topology(
            names={name: tuple(targets) for name, targets in pace.over(names.items())},
            deployments=tuple(deployments),
            routes=tuple(spec.name for spec, _ in routes),
            catch_all=next((spec.name for spec, catch_all in routes if catch_all), None),
            sharing={spec.name: spec for spec, _ in routes},
            providers=frozenset(
                name
                for key, host in self._tables["hosts"].made.items()
                for name in (str(key), host.spec.slug, host.spec.kind)
            ),
        )
        _work_out(topology, pace)
        return topology

    def _routes(self, deployments: dict[UUID, DeploymentSpec], pace: Pace) -> dict[str, list[TargetSpec]]:
        """A route shadows a deployment of its name."""
        names = {route_id: spec.name for route_id, (spec, _) in self._tables["routes"].made.items()}
        targets: dict[str, list[TargetSpec]] = {name: [] for name in names.values()}
        for route_id, deployment_id, priority, weight in pace.over(self._tables["targets"].made.values()):
            if deployment_id in deployments and route_id in names:
                targets[names[route_id]].append(TargetSpec(deployments[deployment_id], priority, weight))
        return targets

    def _capacity(self, models: Iterable[rows.Model], pace: Pace) -> Capacity:
        hosts = {key: host for key, host in self._tables["hosts"].made.items() if host.is_active}
        bounds = (
            (each.id, (each.limits, hosts[each.provider_id].limits))
            for each in pace.over(models)
            if each.provider_id in hosts and (each.limits or hosts[each.provider_id].limits)
        )
        self._bounds = remade(self._bounds, bounds, lambda its: LimitSet.of((*its[0], *its[1])))
        return Capacity(dict(made_of(self._bounds)), {each.id: each.slots for each in models if each.slots})


def _work_out(topology: Topology, pace: Pace) -> None:
    """Here, and not on the event loop, by the first call that asks."""
    for name in ("listed", "listed_by_type", "by_id", "by_provider", "by_kind"):
        getattr(topology, name)
        pace.rest()
