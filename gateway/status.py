"""How each provider is doing, for programs: its circuit, and the calls of late, of all processes together."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from providers.resilience.reports import Seen, together

if TYPE_CHECKING:
    from uuid import UUID

    from gateway.asgi import Gateway

_MOSTLY = 0.5


class ProviderStatus(msgspec.Struct, frozen=True):
    """`circuit_state` is the worst of its models: closed, open or half_open. Where nothing was called of late the rate
    is 1 and the latency 0, and a probe says whether it is healthy.
    """

    name: str
    kind: str
    circuit_state: str
    healthy: bool
    success_rate: float
    avg_latency_ms: float


def provider_statuses(gateway: Gateway) -> list[ProviderStatus]:
    """Of all active providers that can be called, by name."""
    pipeline = gateway.pipeline
    by_provider: dict[UUID, list[Seen]] = defaultdict(list)
    deployments = pipeline.catalogue.current.topology.deployments
    reports = gateway.circuits.reports()
    for deployment in deployments:
        by_provider[deployment.provider.id] += [report[deployment.id] for report in reports if deployment.id in report]
    providers = {each.provider.id: each.provider for each in deployments}
    return [
        _status(
            provider.slug, provider.kind, together(by_provider[key]), probed_well=key not in pipeline.board.unhealthy
        )
        for key, provider in sorted(providers.items(), key=lambda each: each[1].slug)
    ]


def _status(name: str, kind: str, found: Seen, *, probed_well: bool) -> ProviderStatus:
    share = found.success_share
    well = probed_well if share is None else share >= _MOSTLY
    return ProviderStatus(
        name=name,
        kind=kind,
        circuit_state=found.circuit_state,
        healthy=well and found.circuit_state == "closed",
        success_rate=1.0 if share is None else round(share, 4),
        avg_latency_ms=round(found.latency_ms or 0.0, 1),
    )
