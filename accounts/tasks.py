"""Background work on the audit trail."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone

from accounts import audit_keeping
from core.jobs import app


@app.task
def forget_old_changes() -> None:
    """Take entries out of the audit trail that are past keeping. Safe to run twice."""
    if settings.AUDIT_RETENTION_DAYS > 0:
        audit_keeping.forget(keep_days=settings.AUDIT_RETENTION_DAYS, now=timezone.now())
