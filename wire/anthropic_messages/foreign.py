"""Thoughts of others in a conversation that goes on at Anthropic, which refuses what it has not signed."""

from __future__ import annotations

import re

import msgspec

from wire.body import MALFORMED, Fields
from wire.signatures import GEMINI

_FOREIGN = re.compile(rb'"signature"\s*:\s*"(?:%s|")' % GEMINI.encode())
_NOTHING, _NULL = msgspec.Raw(b"[]"), msgspec.Raw(b"null")
_MESSAGES: msgspec.json.Decoder[list[Fields]] = msgspec.json.Decoder(list[Fields])
_BLOCKS: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


class _Kind(msgspec.Struct):
    type: str = ""
    signature: str = ""


_KIND: msgspec.json.Decoder[_Kind] = msgspec.json.Decoder(_Kind)


def without_foreign(messages: msgspec.Raw, *, model: str) -> msgspec.Raw:
    """The same messages without the thinking that Gemini has signed, or nobody; all else byte for byte.

    Other hosts of the dialect sign nothing, and some want unsigned thinking back: Claude alone refuses it.
    """
    if not _FOREIGN.search(messages):
        return messages
    must_be_signed = "claude" in model
    try:
        kept = [message | _content(message, must_be_signed=must_be_signed) for message in _MESSAGES.decode(messages)]
    except MALFORMED:  # Anthropic will say what is wrong with it
        return messages
    return msgspec.Raw(msgspec.json.encode([message for message in kept if message.get("content") != _NOTHING]))


def _content(message: Fields, *, must_be_signed: bool) -> Fields:
    content = message.get("content", _NULL)
    if bytes(memoryview(content)[:1]) != b"[":
        return {}
    blocks = [block for block in _BLOCKS.decode(content) if not _is_foreign(block, must_be_signed=must_be_signed)]
    return {"content": msgspec.Raw(msgspec.json.encode(blocks))}


def _is_foreign(block: msgspec.Raw, *, must_be_signed: bool) -> bool:
    kind = _KIND.decode(block)
    if kind.type != "thinking":
        return False
    return kind.signature.startswith(GEMINI) if kind.signature else must_be_signed
