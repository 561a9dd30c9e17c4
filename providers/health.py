"""The health of providers: checks that run side by side, and what the last one found."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from uuid import UUID

from django.db import transaction

from providers import connection
from providers.connection import Finding
from providers.models import Health, Provider

PROBE_DEADLINE_S = 45.0  # of a whole round; the beat starts one a minute
_SIDE_BY_SIDE = 8
_DETAIL_CHARS = 300


def check(provider: Provider, *, now: datetime) -> Finding:
    """Test one provider's connection and store what was found, as of `now`."""
    finding = connection.check(connection.target_of(provider))
    store(provider_id=provider.pk, finding=finding, now=now)
    return finding


def check_all(providers: Iterable[Provider], *, now: datetime) -> list[tuple[Provider, Finding]]:
    """Test several side by side, within PROBE_DEADLINE_S, and store what was found. In the order given."""
    targets = [(provider, connection.target_of(provider)) for provider in providers]
    if not targets:
        return []
    pool = ThreadPoolExecutor(max_workers=min(_SIDE_BY_SIDE, len(targets)), thread_name_prefix="probe")
    try:
        checks = [(provider, pool.submit(connection.check, target)) for provider, target in targets]
        wait([check for _, check in checks], timeout=PROBE_DEADLINE_S)
        findings = [(provider, _result(check)) for provider, check in checks]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    for provider, finding in findings:
        store(provider_id=provider.pk, finding=finding, now=now)
    return findings


def probe_active(*, now: datetime) -> list[tuple[Provider, Finding]]:
    """Test every active provider."""
    active = Provider.objects.filter(is_active=True).prefetch_related("credentials", "deployments")
    return check_all(active, now=now)


def store(*, provider_id: UUID, finding: Finding, now: datetime) -> None:
    """Keep the newest finding. A provider that has gone meanwhile has no health."""
    found = {
        "status": Health.Status.HEALTHY if finding.ok else Health.Status.UNHEALTHY,
        "detail": finding.text[:_DETAIL_CHARS],
        "latency_ms": finding.latency_ms,
        "checked_at": now,
    }
    with transaction.atomic():
        if not Provider.objects.filter(pk=provider_id).exists():
            return
        if not Health.objects.filter(provider_id=provider_id, checked_at__lte=now).update(**found):
            Health.objects.get_or_create(provider_id=provider_id, defaults=found)


def _result(check: Future[Finding]) -> Finding:
    if check.done():
        return check.result()
    slow = connection.Trouble.TOO_SLOW
    return Finding(ok=False, summary=slow.value, trouble=slow)
