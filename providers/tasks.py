"""Periodic work on providers."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from providers import health


@shared_task
def probe_providers() -> None:
    """Test every active provider's connection. Safe to run twice: the newest finding stays."""
    health.probe_active(now=timezone.now())
