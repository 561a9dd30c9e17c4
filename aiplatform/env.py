"""The environment, read in one place. Every name here is explained in `.env.example`.

A value comes from the file that NAME_FILE names (secrets mounted as files), else from the variable, else from `.env`.
Embedded, missing secrets are made once and kept in STATE_DIR with mode 600; in production a missing or weak secret
stops the start with one line.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import environ
import msgspec
from cryptography.fernet import Fernet

from core import egress, vault

BASE_DIR: Path = Path(__file__).resolve().parent.parent
_MIN_SECRET_CHARS = 32
# The specifications' names for settings that have a name of their own here.
_ALIASES = {"PORT": ("AI_SERVICE_PORT", "AI_PROVIDER_PORT"), "REDIS_URL": ("REDIS_ADDR",)}

_MEANINGLESS = ("AI_ENCRYPTION_IV", "AI_MODEL_SERVICE_ADDR")

environ.Env.read_env(BASE_DIR / ".env")
_env = environ.FileAwareEnv()


def meaningless() -> list[str]:
    """Variables of the specifications that are set, and have no meaning here."""
    return [name for name in _MEANINGLESS if name in os.environ]


def text(name: str, default: str = "") -> str:
    for known in (name, *_ALIASES.get(name, ())):
        value: str = _env.str(known, default="")
        if value:
            return value
    return default


def integer(name: str, default: int) -> int:
    value = text(name)
    try:
        return int(value) if value else default
    except ValueError:
        raise SystemExit(f"{name} must be a whole number, not {value!r}.") from None


def path(name: str) -> Path | None:
    value = text(name)
    return Path(value) if value else None


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = text(name, default)
    if value not in allowed:
        raise SystemExit(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


PRODUCTION: bool = choice("DJANGO_ENV", "embedded", ("embedded", "production")) == "production"
STATE_DIR: Path = Path(text("STATE_DIR", str(BASE_DIR / "var"))).resolve()
STATE_DIR.mkdir(parents=True, exist_ok=True)


def secret_key() -> str:
    return _secret("SECRET_KEY", lambda: secrets.token_urlsafe(50))


def encryption_keys() -> list[str]:
    """The Fernet ring, the encrypting key first.

    From AI_ENCRYPTION_KEY (specification D) one is derived; what an earlier key has encrypted stays readable.
    """
    phrase, made = text("AI_ENCRYPTION_KEY"), _file_of("ENCRYPTION_KEYS")
    if not phrase:
        return _split(_secret("ENCRYPTION_KEYS", lambda: Fernet.generate_key().decode()))
    _require_length("AI_ENCRYPTION_KEY", phrase)
    before = _split(made.read_text()) if made.exists() and not PRODUCTION else []
    return [*_split(text("ENCRYPTION_KEYS")), vault.fernet_key_from(phrase), *before]


def redis_url() -> str:
    """REDIS_URL, or specification C's REDIS_ADDR (host:port)."""
    url = text("REDIS_URL")
    return url if not url or "://" in url else f"redis://{url}"


def qdrant_url() -> str:
    """QDRANT_URL, or specification E's QDRANT_HOST and QDRANT_PORT; "" where vectors are kept on disk."""
    url, host = text("QDRANT_URL"), text("QDRANT_HOST")
    if not url and host:
        url = f"{host}:{integer('QDRANT_PORT', 6333)}"
    return url if not url or "://" in url else f"http://{url}"


def qdrant_api_key() -> vault.Secret | None:
    key = text("QDRANT_API_KEY")
    return vault.Secret(key) if key else None


def egress_policy() -> egress.Policy:
    """Embedded, this machine's own addresses are open: a model server beside it is what people try first."""
    networks = text("EGRESS_ALLOWED_NETWORKS", egress.NONE if PRODUCTION else egress.LOOPBACK)
    try:
        return egress.Policy.parse(networks=networks, ports=text("EGRESS_ALLOWED_PORTS", egress.USUAL_PORTS))
    except ValueError as error:
        raise SystemExit(str(error)) from None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """How JSON Web Tokens are checked: HS256 with the secret, or RS256 with the keys at the address."""

    secret: vault.Secret | None
    jwks_url: str
    audience: str
    issuer: str


def tokens() -> Tokens | None:
    """JWT_*; None where tokens are not in use."""
    secret, url = text("JWT_SECRET"), text("JWT_JWKS_URL")
    if not secret and not url:
        return None
    if secret and url:
        raise SystemExit("Set JWT_SECRET (HS256) or JWT_JWKS_URL (RS256), not both.")
    if secret and len(secret) < _MIN_SECRET_CHARS:
        raise SystemExit(f"JWT_SECRET must have at least {_MIN_SECRET_CHARS} characters.")
    used = "HS256" if secret else "RS256"
    if text("JWT_ALGORITHM", used) != used:
        raise SystemExit(f"JWT_ALGORITHM must be {used} with {'JWT_SECRET' if secret else 'JWT_JWKS_URL'}.")
    if missing := [name for name in ("JWT_AUDIENCE", "JWT_ISSUER") if not text(name)]:
        raise SystemExit(f"JSON Web Tokens need {' and '.join(missing)}: which audience and issuer are accepted.")
    return Tokens(
        secret=vault.Secret(secret) if secret else None,
        jwks_url=url,
        audience=text("JWT_AUDIENCE"),
        issuer=text("JWT_ISSUER"),
    )


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """An SMTP server. `security`: "" plain, "tls" STARTTLS, "ssl" from the first byte."""

    host: str
    port: int
    user: str
    password: vault.Secret
    security: str


def mail_server() -> MailServer | None:
    """EMAIL_URL: smtp://, smtp+tls:// or smtps://, with user:password@host:port; None where it is not set."""
    url = text("EMAIL_URL")
    if not url:
        return None
    parts = urlsplit(url)
    try:
        security, usual_port = _MAIL_SCHEMES[parts.scheme]
        host, port = parts.hostname or "", parts.port or usual_port
    except (KeyError, ValueError):
        host = ""
    if not host:  # the address is not repeated: it holds a password
        raise SystemExit("EMAIL_URL must be smtp://, smtp+tls:// or smtps:// with user:password@host:port.")
    return MailServer(
        host=host,
        port=port,
        user=unquote(parts.username or ""),
        password=vault.Secret(unquote(parts.password or "")),
        security=security,
    )


_MAIL_SCHEMES = {"smtp": ("", 25), "smtp+tls": ("tls", 587), "smtps": ("ssl", 465)}


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _secret(name: str, make: Callable[[], str]) -> str:
    value = text(name)
    _require_length(name, value)
    return value or _kept(_file_of(name), make)


def _require_length(name: str, value: str) -> None:
    """Of a secret in production; elsewhere a missing one is made."""
    if PRODUCTION and len(value) < _MIN_SECRET_CHARS:
        raise SystemExit(f"{name} is missing or shorter than {_MIN_SECRET_CHARS} characters: set it, or {name}_FILE.")


def _file_of(name: str) -> Path:
    """Where a secret that was made lies."""
    return STATE_DIR / "secrets" / name.lower()


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`, made now if it is missing; two processes that start together agree on one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(make())
        with contextlib.suppress(FileExistsError):  # another process was first: its secret is the one
            os.link(draft, path)
        draft.unlink()
    return path.read_text()
