"""Background work on providers."""

from __future__ import annotations

from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from core.jobs import app
from providers import health

_FIRST_CHECK_EXPIRES_S = 55  # then the round of all providers has made it

log = structlog.get_logger(__name__)


def probe_soon(provider_id: UUID) -> None:
    """Have a provider tested as soon as what is being saved has been committed. The next round does it otherwise."""
    transaction.on_commit(lambda: _ask_for_probe(provider_id))


def _ask_for_probe(provider_id: UUID) -> None:
    try:
        probe_provider.apply_async(
            kwargs={"provider_id": str(provider_id)}, retry=False, expires=_FIRST_CHECK_EXPIRES_S
        )
    except (OperationalError, OSError) as error:
        log.warning("a new provider's check waits for the next round", provider_id=str(provider_id), error=str(error))


@app.task
def probe_provider(*, provider_id: str) -> None:
    """Test one provider's connection. Safe to run twice: the newest finding stays."""
    health.probe(UUID(provider_id), now=timezone.now())


@app.task
def probe_providers() -> None:
    """Test every active provider's connection. Safe to run twice: the newest finding stays."""
    health.probe_active(now=timezone.now())
