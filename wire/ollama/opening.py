"""The light reading of a caller's body, and its rewriting for a provider that speaks Ollama too."""

from __future__ import annotations

import msgspec

from wire.body import FLAG, MALFORMED, NAME, NUMBER, Fields, open_body, require_array, text_bytes
from wire.dialect import Envelope
from wire.images import IMAGE_TEXT_BYTES
from wire.ollama.options import bound, read_options, with_options


def open_chat(body: bytes) -> Envelope:
    """`model` is "" where the body has none: the gateway then takes its default route."""
    fields = open_body(body)
    require_array(fields, "messages")
    return envelope_of(fields, input_bytes=text_bytes(fields, "messages", "tools", "format") - _surplus_bytes(fields))


def envelope_of(fields: Fields, *, input_bytes: int) -> Envelope:
    """Ollama streams unless it is told not to."""
    stream, options = FLAG.read(fields, "stream"), read_options(fields)
    return Envelope(
        fields=fields,
        model=NAME.read(fields, "model") or "",
        stream=True if stream is None else stream,
        max_output_tokens=bound(options),
        choices=1,
        input_bytes=input_bytes,
        end_user=None,
        show_usage=True,
        temperature=NUMBER.read(options, "options.temperature"),
    )


def rewrite_chat(envelope: Envelope, *, model: str, max_output_tokens: int | None) -> bytes:
    fields = with_options(envelope.fields, max_output_tokens)
    return msgspec.json.encode({**fields, "model": msgspec.Raw(msgspec.json.encode(model))})


def surplus_of(images: list[msgspec.Raw]) -> int:
    """By how much the bytes of these images overstate what the model reads."""
    return sum(len(image) - IMAGE_TEXT_BYTES for image in images if len(image) > IMAGE_TEXT_BYTES)


class _Message(msgspec.Struct, gc=False):
    images: list[msgspec.Raw] | None = None


_MESSAGES: msgspec.json.Decoder[list[_Message]] = msgspec.json.Decoder(list[_Message])


def _surplus_bytes(fields: Fields) -> int:
    messages = fields["messages"]
    if len(messages) <= IMAGE_TEXT_BYTES:
        return 0
    try:
        decoded = _MESSAGES.decode(messages)
    except MALFORMED:  # what only a provider can make sense of
        return 0
    return sum(surplus_of(message.images or []) for message in decoded)
