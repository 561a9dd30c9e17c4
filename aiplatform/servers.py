"""The servers that the platform stands on, by the environment: database, Redis, Qdrant, mail."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import environ
import msgspec

from aiplatform import env
from core import vault

_ENGINES = ("django.db.backends.postgresql", "django.db.backends.sqlite3")
# IMMEDIATE: a deferred transaction that reads and then writes fails at once, whatever the timeout.
_SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}
# A partner that is gone without a word is noticed within seconds, not by the kernel's patience of hours.
_POSTGRESQL_OPTIONS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_REDIS_VERIFIES = ("required", "optional", "none")  # redis-py's words, which Celery understands too
# What secures the connection, and the usual port.
_MAIL_SCHEMES = {"smtp": ("", 25), "smtp+tls": ("tls", 587), "smtps": ("ssl", 465)}


def database() -> dict[str, Any]:
    """DATABASE_URL in the form of Django's DATABASES; without it an SQLite file in STATE_DIR.

    No CONN_MAX_AGE: under ASGI each thread would keep a connection of its own open.
    """
    url = env.text("DATABASE_URL", f"sqlite:///{env.STATE_DIR / 'platform.sqlite3'}")
    engine = environ.Env.DB_SCHEMES.get(url.partition(":")[0].lower())
    try:
        config = environ.Env.db_url_config(url) if engine in _ENGINES else {}
    except ValueError:  # the port is no number
        config = {}
    if not config.get("NAME"):
        raise SystemExit(
            "DATABASE_URL must be postgres://user:password@host:5432/name, with the password percent-encoded, "
            "or sqlite:////path/to/file."
        )
    is_sqlite = config["ENGINE"].endswith("sqlite3")
    config["OPTIONS"] = (_sqlite_options if is_sqlite else _postgresql_options)(config.get("OPTIONS", {}))
    return config


def _sqlite_options(given: dict[str, Any]) -> dict[str, Any]:
    """Ours alone: the ledger relies on each of them."""
    if given:
        raise SystemExit(f"DATABASE_URL must have nothing after its ? for an SQLite file, not {', '.join(given)}.")
    return dict(_SQLITE_OPTIONS)


def _postgresql_options(given: dict[str, Any]) -> dict[str, Any]:
    """Those of the address, TLS say, win over ours."""
    from psycopg.pq import Conninfo  # noqa: PLC0415 - an embedded installation has no use for it

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    if unknown := given.keys() - known:
        raise SystemExit(
            "DATABASE_URL must have options of PostgreSQL's libpq after its ?, such as sslmode=verify-full, "
            f"not {', '.join(sorted(unknown))}."
        )
    return _POSTGRESQL_OPTIONS | given


def redis_url() -> str:
    """REDIS_URL, or specification C's REDIS_ADDR (host:port)."""
    url = env.text("REDIS_URL")
    full = url if not url or "://" in url else f"redis://{url}"
    form = "redis://user:password@host:6379/0, or the same with rediss:// (REDIS_ADDR: host:6379)"
    env.address("REDIS_URL", full, ("redis", "rediss"), form)
    if not set(parse_qs(urlsplit(full).query).get("ssl_cert_reqs", [])) <= set(_REDIS_VERIFIES):
        raise SystemExit(
            f"REDIS_URL must have one of {', '.join(_REDIS_VERIFIES)} as its ssl_cert_reqs, if it has any."
        )
    return full


def broker_tls(url: str) -> dict[str, Any] | None:
    """How Celery's connections to Redis are secured where the address says no more than rediss://.

    As redis-py does it everywhere else: kombu alone would take any certificate. What the address says wins.
    """
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED} if url.startswith("rediss:") else None


def qdrant_url() -> str:
    """QDRANT_URL, or specification E's QDRANT_HOST and QDRANT_PORT; "" where vectors are kept on disk."""
    url, host = env.text("QDRANT_URL"), env.text("QDRANT_HOST")
    if not url and host:
        port = env.integer("QDRANT_PORT", 6333, least=1, most=env.LAST_PORT)
        url = f"{host}:{port}"
    full = url if not url or "://" in url else f"http://{url}"
    return env.address("QDRANT_URL", full, env.WEB_SCHEMES, "an address such as http://localhost:6333")


def qdrant_api_key() -> vault.Secret | None:
    key = env.text("QDRANT_API_KEY")
    return vault.Secret(key) if key else None


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """An SMTP server. `security`: "" plain, "tls" STARTTLS, "ssl" from the first byte."""

    host: str
    port: int
    user: str
    password: vault.Secret
    security: str


def mail_server() -> MailServer | None:
    """EMAIL_URL: smtp://, smtp+tls:// or smtps://, with user:password@host:port; None where it is not set."""
    form = "smtp://, smtp+tls:// or smtps:// with user:password@host:port"
    url = env.address("EMAIL_URL", env.text("EMAIL_URL"), tuple(_MAIL_SCHEMES), form)
    if not url:
        return None
    parts = urlsplit(url)
    security, usual_port = _MAIL_SCHEMES[parts.scheme]
    return MailServer(
        host=parts.hostname or "",
        port=parts.port or usual_port,
        user=unquote(parts.username or ""),
        password=vault.Secret(unquote(parts.password or "")),
        security=security,
    )
