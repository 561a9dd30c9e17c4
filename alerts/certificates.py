"""When the certificates of the providers' addresses expire."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

import structlog
from django.conf import settings

from alerts.models import Certificate
from providers.models import Provider

TIMEOUT_S = 5.0

log = structlog.get_logger(__name__)


def check_all(*, now: datetime) -> None:
    """Look at each active provider's address that speaks TLS, and forget those that are gone."""
    addresses = {row.slug: row.address for row in Provider.objects.filter(is_active=True)}
    secured = {slug: address for slug, address in addresses.items() if address.startswith("https://")}
    Certificate.objects.exclude(provider__in=secured).delete()
    for slug, address in secured.items():
        found: dict[str, datetime] = {"checked_at": now}
        expires_at = expiry(address, ssl.create_default_context())
        if expires_at is not None:  # else the last one known stands: one that has expired is refused too
            found["expires_at"] = expires_at
        Certificate.objects.update_or_create(provider=slug, defaults=found)


def expiry(address: str, trusted: ssl.SSLContext) -> datetime | None:
    """Of the certificate that is shown there; None where none can be verified (calls fail then, and say so)."""
    import httpcore2  # noqa: PLC0415 - as in `core.http`

    from core.blocking_http import GuardedNetwork  # noqa: PLC0415 - likewise

    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        plain = GuardedNetwork(settings.EGRESS).connect_tcp(host, parts.port or 443, timeout=TIMEOUT_S)
        secured = plain.start_tls(trusted, server_hostname=host, timeout=TIMEOUT_S)
    except (OSError, ValueError, httpcore2.NetworkError, httpcore2.TimeoutException) as error:
        log.info("a certificate could not be looked at", host=host, error=type(error).__name__)
        return None
    try:
        shown = secured.get_extra_info("ssl_object").getpeercert()
    finally:
        secured.close()
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC) if shown else None
