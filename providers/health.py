"""The health of providers: checks that run side by side, what the last one found, and what live calls met since."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet

from providers import connection
from providers.connection import Finding
from providers.models import Health, Provider
from providers.standing import LIVE_WINDOW, Check, Live, Standing, standing
from usage.attempts import outcomes_by_provider

PROBE_DEADLINE_S = 45.0  # of a whole round; the beat starts one a minute
_SIDE_BY_SIDE = 8
_DETAIL_CHARS = 300


def check(provider: Provider, *, now: datetime) -> Finding:
    """Test one provider's connection and store what was found, as of `now`."""
    finding = connection.check(connection.target_of(provider))
    store(provider_id=provider.pk, finding=finding, now=now)
    return finding


def check_all(providers: Iterable[Provider], *, now: datetime) -> list[tuple[Provider, Finding]]:
    """Test several side by side, within PROBE_DEADLINE_S, and store what was found. In the order given.

    Of one whose turn did not come nothing is stored: its finding's trouble is NOT_BEGUN.
    """
    targets = [(provider, connection.target_of(provider)) for provider in providers]
    if not targets:
        return []
    pool = ThreadPoolExecutor(max_workers=min(_SIDE_BY_SIDE, len(targets)), thread_name_prefix="probe")
    try:
        checks = [(provider, pool.submit(connection.check, target)) for provider, target in targets]
        wait([check for _, check in checks], timeout=PROBE_DEADLINE_S)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    findings = [(provider, _result(check)) for provider, check in checks]
    for provider, finding in findings:
        if finding.trouble is not connection.Trouble.NOT_BEGUN:
            store(provider_id=provider.pk, finding=finding, now=now)
    return findings


def probe(provider_id: UUID, *, now: datetime) -> None:
    """Test one provider, if it is there and active."""
    provider = _active().filter(pk=provider_id).first()
    if provider is not None:
        check(provider, now=now)


def probe_active(*, now: datetime) -> list[tuple[Provider, Finding]]:
    """Test every active provider, beginning with those that the last rounds did not reach."""
    return check_all(_active().order_by(F("health__checked_at").asc(nulls_first=True), "name"), now=now)


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


def standings(providers: Iterable[Provider], *, now: datetime) -> dict[UUID, Standing]:
    """How each is doing, by its last check and by the calls of the last minutes."""
    live = {
        provider_id: Live(met.sent, met.failed, met.failed_at)
        for provider_id, met in outcomes_by_provider(now - LIVE_WINDOW, now).items()
    }
    return {each.pk: standing(_last_check(each), live.get(each.pk), now=now) for each in providers}


def _last_check(provider: Provider) -> Check | None:
    found: Health | None = getattr(provider, "health", None)
    return Check(found.status == Health.Status.HEALTHY, found.detail, found.checked_at) if found else None


def _active() -> QuerySet[Provider]:
    return Provider.objects.filter(is_active=True).prefetch_related("credentials", "deployments")


def _result(check: Future[Finding]) -> Finding:
    """Of a round that is over: what had not begun is cancelled."""
    if check.done() and not check.cancelled():
        return check.result()
    trouble = connection.Trouble.NOT_BEGUN if check.cancelled() else connection.Trouble.TOO_SLOW
    return Finding(ok=False, summary=trouble.value, trouble=trouble)
