"""The environment, read in one place. Every name here is explained in `.env.example`.

A value comes from the variable, else from the file that NAME_FILE names (secrets mounted as files), else from `.env`.
Embedded, missing secrets are made once and kept in STATE_DIR with mode 600; in production a missing or weak secret
stops the start with one line.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import environ
from cryptography.fernet import Fernet

from core import vault

BASE_DIR: Path = Path(__file__).resolve().parent.parent
_MIN_SECRET_CHARS = 32
# The specifications' names for settings that have a name of their own here.
_ALIASES = {"PORT": ("AI_SERVICE_PORT", "AI_PROVIDER_PORT"), "REDIS_URL": ("REDIS_ADDR",)}

environ.Env.read_env(BASE_DIR / ".env")
_env = environ.FileAwareEnv()


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
    """The Fernet ring, the encrypting key first; AI_ENCRYPTION_KEY (specification D) is any text."""
    if phrase := text("AI_ENCRYPTION_KEY"):
        derived = [vault.fernet_key_from(phrase)]
        return [*_split(text("ENCRYPTION_KEYS")), *derived]
    return _split(_secret("ENCRYPTION_KEYS", lambda: Fernet.generate_key().decode()))


def redis_url() -> str:
    """REDIS_URL, or specification C's REDIS_ADDR (host:port)."""
    url = text("REDIS_URL")
    return url if not url or "://" in url else f"redis://{url}"


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _secret(name: str, make: Callable[[], str]) -> str:
    value = text(name)
    if PRODUCTION:
        if len(value) < _MIN_SECRET_CHARS:
            raise SystemExit(
                f"{name} is missing or shorter than {_MIN_SECRET_CHARS} characters: set it, or {name}_FILE."
            )
        return value
    return value or _kept(STATE_DIR / "secrets" / name.lower(), make)


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
