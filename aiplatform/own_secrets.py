"""The platform's own secrets, by the environment: what signs and hashes, and the ring that encrypts.

Embedded, missing ones are made once and kept in STATE_DIR with mode 600; in production a missing or weak one stops the
start with one line.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from aiplatform import env
from core import vault


def secret_key() -> str:
    key = _secret("SECRET_KEY", lambda: secrets.token_urlsafe(50))
    env.require_variety("SECRET_KEY", key)
    return key


def encryption_keys() -> list[str]:
    """The Fernet ring, the encrypting key first. Ends the start where one of the keys is none.

    From AI_ENCRYPTION_KEY (specification D) one is derived; what an earlier key has encrypted stays readable.
    """
    keys = _ring()
    try:
        vault.ring_of(tuple(keys))
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from None
    for key in keys:
        env.require_variety("ENCRYPTION_KEYS", key)
    return keys


def _ring() -> list[str]:
    phrase, made = env.text("AI_ENCRYPTION_KEY"), _file_of("ENCRYPTION_KEYS")
    if not phrase:
        return env.parts(_secret("ENCRYPTION_KEYS", lambda: Fernet.generate_key().decode()))
    _require_length("AI_ENCRYPTION_KEY", phrase)
    env.require_variety("AI_ENCRYPTION_KEY", phrase)
    before = env.parts(made.read_text()) if made.exists() and not env.PRODUCTION else []
    return [*env.parts(env.text("ENCRYPTION_KEYS")), vault.fernet_key_from(phrase), *before]


def _secret(name: str, make: Callable[[], str]) -> str:
    value = env.text(name)
    _require_length(name, value)
    return value or _kept(_file_of(name), make)


def _require_length(name: str, value: str) -> None:
    """Of a secret in production; elsewhere a missing one is made."""
    if env.PRODUCTION and len(value) < env.MIN_SECRET_CHARS:
        raise SystemExit(
            f"{name} is missing or shorter than {env.MIN_SECRET_CHARS} characters: set it, or {name}_FILE."
        )


def _file_of(name: str) -> Path:
    """Where a secret that was made lies."""
    return env.STATE_DIR / "secrets" / name.lower()


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
