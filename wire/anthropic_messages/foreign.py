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


def without_foreign(messages: msgspec.Raw) -> msgspec.Raw:
    """The same messages without the thinking that Gemini has signed, or nobody; all else byte for byte."""
    if not _FOREIGN.search(messages):
        return messages
    try:
        kept = [message | _content(message) for message in _MESSAGES.decode(messages)]
    except MALFORMED:  # Anthropic will say what is wrong with it
        return messages
    return msgspec.Raw(msgspec.json.encode([message for message in kept if message.get("content") != _NOTHING]))


def _content(message: Fields) -> Fields:
    content = message.get("content", _NULL)
    if bytes(memoryview(content)[:1]) != b"[":
        return {}
    blocks = [block for block in _BLOCKS.decode(content) if not _is_foreign(block)]
    return {"content": msgspec.Raw(msgspec.json.encode(blocks))}


def _is_foreign(block: msgspec.Raw) -> bool:
    kind = _KIND.decode(block)
    return kind.type == "thinking" and (not kind.signature or kind.signature.startswith(GEMINI))
