"""The environment, read in one place. Every name here is explained in `.env.example`.

A value comes from the file that NAME_FILE names (secrets mounted as files), else from the variable, else from `.env`.
One that makes no sense ends the start with one line, which names the setting and what is allowed. An address is not
repeated there: it may hold a password. The platform's own secrets: `own_secrets`; what it stands on: `servers`.
"""

from __future__ import annotations

import io
import logging
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import environ
import msgspec

from core import egress, vault

BASE_DIR: Path = Path(__file__).resolve().parent.parent
MIN_SECRET_CHARS = 32
_LEAST_DIFFERENT = 8  # characters of a secret made at random: one with fewer was typed
_MOST = 2**31 - 1  # what a database's column holds, and an option of gRPC's
LAST_PORT = 65_535
WEB_SCHEMES = ("http", "https")
# The specifications' names for settings that have a name of their own here.
_ALIASES = {"PORT": ("AI_SERVICE_PORT", "AI_PROVIDER_PORT"), "REDIS_URL": ("REDIS_ADDR",)}

_MEANINGLESS = ("AI_ENCRYPTION_IV", "AI_MODEL_SERVICE_ADDR")

_LINE = re.compile(
    r"""\s*(?:\#.*|(?:export\s+)?(?P<setting>[A-Za-z_]\w*=(?:'[^\0]*'|"[^\0]*"|(?!['"])(?:(?!\s\#)[^\0])*))\s*)?"""
)


def read_file(file: Path) -> None:
    """The settings of a `.env`, where there is one, for whatever the environment does not name.

    One that is not understood to its last line ends the start: by the defaults of what it says the books might be kept
    elsewhere. The line is not repeated, since it may hold a secret.
    """
    if not file.exists() and not file.is_symlink():
        return
    settings = []
    for number, line in enumerate(_text_of(file, why=f"{file} cannot be read").removeprefix("\ufeff").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if not match:
            raise SystemExit(
                f"{file}, line {number}: must be NAME=value, without spaces beside the =, a comment behind it "
                "or a quote left open; or begin with #."
            )
        settings.append((match["setting"] or "").rstrip())
    environ.Env.read_env(io.StringIO("\n".join(settings)))


def _text_of(file: Path, *, why: str) -> str:
    """`why`: how the line begins that ends the start where it is no text."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise SystemExit(f"{why}: {reason}.") from None


read_file(BASE_DIR / ".env")


def meaningless() -> list[str]:
    """Variables of the specifications that are set, and have no meaning here."""
    return [name for name in _MEANINGLESS if name in os.environ]


def text(name: str, default: str = "") -> str:
    for known in (name, *_ALIASES.get(name, ())):
        if value := _given(known):
            return value
    return default


def _given(name: str) -> str:
    """As it stands, `$` and all; but the line end that closes a file is no part of its value."""
    file = os.environ.get(f"{name}_FILE")
    if not file:
        return os.environ.get(name, "")
    return _text_of(Path(file), why=f"{name}_FILE names {file}, which cannot be read").rstrip("\r\n")


def integer(name: str, default: int, *, least: int = 0, most: int = _MOST) -> int:
    value = text(name)
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        number = None
    if number is None or not least <= number <= most:
        raise SystemExit(f"{name} must be a whole number from {least} to {most}, not {value!r}.")
    return number


def grpc_tls() -> tuple[Path, Path] | None:
    """The files of gRPC's certificate and its key. One without the other would be served without TLS."""
    certificate, key = text("GRPC_TLS_CERTIFICATE"), text("GRPC_TLS_KEY")
    if bool(certificate) != bool(key):
        raise SystemExit("gRPC over TLS needs GRPC_TLS_CERTIFICATE and GRPC_TLS_KEY, not one of them.")
    return (Path(certificate), Path(key)) if certificate else None


def parts(value: str) -> list[str]:
    """What is listed, separated by commas."""
    return [part.strip() for part in value.split(",") if part.strip()]


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    return _one_of(allowed, name, text(name, default))


def _one_of(allowed: tuple[str, ...], name: str, value: str) -> str:
    if value not in allowed:
        raise SystemExit(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def address(name: str, url: str, schemes: tuple[str, ...], form: str) -> str:
    """`url`, where it has one of the schemes, a host, and a port that is one if any; "" where it is not set."""
    try:
        split = urlsplit(url)
        is_usable = split.scheme in schemes and bool(split.hostname) and split.port != 0
    except ValueError:  # the port is no number, or too high
        is_usable = False
    if url and not is_usable:
        raise SystemExit(f"{name} must be {form}.")
    return url


PRODUCTION: bool = choice("DJANGO_ENV", "embedded", ("embedded", "production")) == "production"


def _state_dir() -> Path:
    """Made where it is missing, for its owner alone: an embedded database is in it, with sessions to sign in by."""
    folder = Path(text("STATE_DIR", str(BASE_DIR / "var"))).resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise SystemExit(
            f"STATE_DIR must be a folder that can be written to, not {folder}: {error.strerror}."
        ) from None
    return folder


STATE_DIR: Path = _state_dir()


def log_level() -> str:
    """LOG_LEVEL, in small letters or capitals."""
    return _one_of(tuple(logging.getLevelNamesMapping()), "LOG_LEVEL", text("LOG_LEVEL", "INFO").upper())


def time_zone() -> str:
    name = text("TIME_ZONE", "UTC")
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such file, a path that leads elsewhere, a folder
        raise SystemExit(f"TIME_ZONE must be a zone's name, for example Europe/Berlin or UTC, not {name!r}.") from None
    return name


def trusted_origins() -> list[str]:
    """CSRF_TRUSTED_ORIGINS, in Django's form: without the slash that an address bar shows at the end."""
    form = "addresses such as https://ai.example.com, separated by commas"
    origins = [part.rstrip("/") for part in parts(text("CSRF_TRUSTED_ORIGINS"))]
    return [address("CSRF_TRUSTED_ORIGINS", origin, WEB_SCHEMES, form) for origin in origins]


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


def require_variety(name: str, value: str) -> None:
    """Of a secret in production."""
    if PRODUCTION and len(set(value)) < _LEAST_DIFFERENT:
        raise SystemExit(f"{name} has fewer than {_LEAST_DIFFERENT} different characters: make it at random.")


def tokens() -> Tokens | None:
    """JWT_*; None where tokens are not in use."""
    secret, url = text("JWT_SECRET"), text("JWT_JWKS_URL")
    address("JWT_JWKS_URL", url, WEB_SCHEMES, "an address such as https://id.example.com/.well-known/jwks.json")
    if not secret and not url:
        return None
    if secret and url:
        raise SystemExit("Set JWT_SECRET (HS256) or JWT_JWKS_URL (RS256), not both.")
    if secret and len(secret) < MIN_SECRET_CHARS:
        raise SystemExit(f"JWT_SECRET must have at least {MIN_SECRET_CHARS} characters.")
    if secret:
        require_variety("JWT_SECRET", secret)
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
