"""Secrets at rest: a ring of Fernet keys (the first encrypts, all decrypt) and a model field that hides its value."""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


class Secret:
    """A decrypted secret. It prints as its last four characters; only `reveal()` gives it away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    @property
    def hint(self) -> str:
        """`••••abcd`, or all dots where four characters would be too much of it."""
        return "••••" + (self._value[-4:] if len(self._value) >= 12 else "")

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __str__(self) -> str:
        return self.hint

    __repr__ = __str__


@functools.lru_cache(maxsize=4)
def ring_of(keys: tuple[str, ...]) -> MultiFernet:
    """Raises `ImproperlyConfigured` where one of them is no key, or there is none."""
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise ImproperlyConfigured(
            "ENCRYPTION_KEYS must be comma-separated Fernet keys (32 random bytes in URL-safe base64). To make one: "
            'python3 -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
        ) from error


def ring() -> MultiFernet:
    return ring_of(tuple(settings.ENCRYPTION_KEYS))


def encrypt(plain: str) -> str:
    return ring().encrypt(plain.encode()).decode()


def decrypt(token: str) -> Secret:
    """Raises `UnreadableSecretError` where no key of the ring made the token."""
    try:
        return Secret(ring().decrypt(token.encode()).decode())
    except InvalidToken as error:
        raise UnreadableSecretError from error


def renewed(token: bytes) -> bytes | None:
    """The same secret under the ring's first key; None where it is under it already.

    Raises `UnreadableSecretError` where no key of the ring made the token.
    """
    try:
        Fernet(settings.ENCRYPTION_KEYS[0]).decrypt(token)
    except InvalidToken:
        pass
    else:
        return None
    try:
        return ring().rotate(token)
    except InvalidToken as error:
        raise UnreadableSecretError from error


def fernet_key_from(passphrase: str) -> str:
    """A Fernet key derived from any text (specification D's AI_ENCRYPTION_KEY)."""
    return base64.urlsafe_b64encode(hashlib.sha256(passphrase.encode()).digest()).decode()


class UnreadableSecretError(Exception):
    """A stored secret was encrypted with a key that is no longer in ENCRYPTION_KEYS."""

    def __str__(self) -> str:
        return "A stored key cannot be decrypted: the encryption key that made it is missing from ENCRYPTION_KEYS."


class EncryptedField(models.TextField):  # type: ignore[type-arg]  # TextField is generic only in the stubs
    """Text stored as a Fernet token; its Python value is the token until `decrypt` is asked for.

    Assign a `Secret` to set it. What is read back is the token, so that no query, form or dump shows a secret.
    """

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, Secret) else super().to_python(value)

    def get_prep_value(self, value: Any) -> Any:
        return encrypt(value.reveal()) if isinstance(value, Secret) else super().get_prep_value(value)
