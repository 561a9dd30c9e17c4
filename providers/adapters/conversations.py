"""Changes to a conversation in OpenAI's dialect, whoever said it: what single hosts want of calls that others made."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from wire.body import MALFORMED, Fields

_decode = msgspec.json.Decoder(Fields).decode
_decode_many = msgspec.json.Decoder(list[Fields]).decode
_NOTHING = (b"", b"null", b"[]")


def with_calls_changed(body: bytes, change: Callable[[Fields], Fields]) -> bytes:
    """The body with what `change` says of each message put into it."""
    return with_conversation_changed(body, lambda messages: [message | change(message) for message in messages])


def with_conversation_changed(body: bytes, change: Callable[[list[Fields]], list[Fields]]) -> bytes:
    """The body with the messages that `change` makes of its own.

    It stays as it is where nobody has called a tool, and where it is malformed, as the host will say.
    """
    if b'"tool_call' not in body:
        return body
    fields = _decode(body)
    try:
        messages = change(_decode_many(fields["messages"]))
    except MALFORMED:
        return body
    return msgspec.json.encode(fields | {"messages": messages})


def calls_of(message: Fields) -> list[Fields]:
    raw = message.get("tool_calls", msgspec.Raw(b"null"))
    return [] if bytes(raw) in _NOTHING else _decode_many(raw)
