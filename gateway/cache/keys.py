"""Under which key an answer lies: who asks, what, and by which way. No key tells what was asked.

A key is a keyed hash (BLAKE2b), so that who reads the store learns neither prompts nor whether a guessed one was asked.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from uuid import UUID

import msgspec
from django.conf import settings

from gateway.calls import Call
from gateway.catalogue import Caller
from gateway.plans import Way
from wire.body import MALFORMED

_VERSION = 1  # of what is stored under a key
_SCOPE_CHARS = 32
# They change nothing in the answer: whose it is, and what is shown of its usage.
_UNHEARD = frozenset({"user", "safety_identifier", "metadata", "stream_options", "use_cache"})


class Key(msgspec.Struct, frozen=True):
    """`scope` is the client's: its answers are found and cleared together. Both are hexadecimal."""

    scope: str
    digest: str


def scope_of(caller: Caller) -> str:
    """The client's part of its keys. Two clients never share one."""
    return _scope(caller.client_id.hex if caller.client_id else f"name:{caller.client}")


def key_of(call: Call, ways: list[Way]) -> Key | None:
    """None where the call's body cannot be read."""
    try:
        asked = _asked(call, ways)
    except MALFORMED:
        return None
    scope = scope_of(call.caller)
    return Key(scope, _keyed(b"answer", scope.encode() + asked))


def item_key_of(caller: Caller, item_id: str) -> Key:
    """Of an item in an answer. Its scope is apart from that of cached answers, which are counted and cleared by it."""
    scope = f"items:{scope_of(caller)}"
    return Key(scope, _keyed(b"item", scope.encode() + item_id.encode()))


def fingerprint(call: Call) -> str:
    """Tells the bodies apart that come under one idempotency key; what is sent again is sent in the same words."""
    fields = sorted(call.envelope.fields.items())
    envelope = call.envelope
    facts = (call.surface, call.dialect.name, call.provider, envelope.model, envelope.stream)
    return _keyed(b"fingerprint", msgspec.msgpack.encode((facts, [(name, bytes(raw)) for name, raw in fields])))


def _asked(call: Call, ways: list[Way]) -> bytes:
    """All on which the answer depends, in one form however it was written."""
    envelope = call.envelope
    fields = {name: msgspec.json.decode(raw) for name, raw in envelope.fields.items() if name not in _UNHEARD}
    facts = (_VERSION, call.surface, call.dialect.name, envelope.stream, envelope.model, call.provider, call.forwarded)
    return msgspec.json.encode((*facts, _places(ways), fields), order="deterministic")


def _places(ways: list[Way]) -> list[tuple[UUID, str, int, int, bytes]]:
    """Where the call may go, and how that would answer: after a change of the route its answers are others.

    Not in the order of trying, which is chance's.
    """
    places = [_place(way) for way in ways]
    return sorted(places) if len(places) > 1 else places


def _place(way: Way) -> tuple[UUID, str, int, int, bytes]:
    """With the bound that we set: a caller without a hard budget would be told where it cut another's answer off."""
    deployment = way.deployment
    imposed = way.imposed_tokens or 0
    return deployment.id, deployment.model, way.output_tokens, imposed, _defaults(deployment.defaults)


def _defaults(defaults: dict[str, object]) -> bytes:
    return msgspec.json.encode(defaults, order="deterministic") if defaults else b""


@lru_cache(maxsize=1024)
def _scope(client: str) -> str:
    return _keyed(b"client", client.encode())[:_SCOPE_CHARS]


def _keyed(purpose: bytes, content: bytes) -> str:
    return hashlib.blake2b(content, key=_secret(purpose), digest_size=32).hexdigest()


@lru_cache(maxsize=4)
def _secret(purpose: bytes) -> bytes:
    return hashlib.sha256(b"gateway.cache:" + purpose + b":" + settings.SECRET_KEY.encode()).digest()
