"""A model's thinking, as the `encrypted_content` of a reasoning item, and back.

What Anthropic signs or seals goes through a caller unharmed, in a form of our own: OpenAI's own sealed reasoning means
nothing to anyone else, and Anthropic refuses what it has not signed.
"""

from __future__ import annotations

from wire.neutral import Thinking

_SIGNED = "platform.signed:"
_SEALED = "platform.sealed:"


def is_ours(encrypted: str) -> bool:
    return encrypted.startswith((_SIGNED, _SEALED))


def encrypted_content(thinking: Thinking) -> str | None:
    if thinking.redacted is not None:
        return _SEALED + thinking.redacted
    return None if thinking.signature is None else _SIGNED + thinking.signature


def thinking_of(text: str, encrypted: str | None) -> Thinking | None:
    """None where nothing is left of it that another provider could read."""
    if encrypted and encrypted.startswith(_SEALED):
        return Thinking(redacted=encrypted.removeprefix(_SEALED))
    signature = encrypted.removeprefix(_SIGNED) if encrypted and encrypted.startswith(_SIGNED) else None
    return Thinking(text, signature) if text or signature else None
