"""The light reading of a caller's body, and its rewriting for a provider that speaks Anthropic too."""

from __future__ import annotations

import msgspec

from wire import images
from wire.anthropic_messages import schema
from wire.body import COUNT, FLAG, MOST, NAME, Reader, open_body, require_array, text_bytes
from wire.dialect import Envelope
from wire.errors import invalid

_METADATA = Reader[schema.Metadata](schema.Metadata | None, "an object whose user_id is a string")


def open_chat(body: bytes) -> Envelope:
    """`max_tokens` must be there, as Anthropic has it; 0 warms the prompt cache and generates nothing."""
    fields = open_body(body)
    require_array(fields, "messages")
    model = NAME.read(fields, "model")
    max_tokens = COUNT.read(fields, "max_tokens")
    if model is None:
        raise invalid("'model' must be a non-empty string.", param="model")
    if max_tokens is None:
        raise invalid(f"'max_tokens' must be a whole number from 0 to {MOST}.", param="max_tokens")
    metadata = _METADATA.read(fields, "metadata")
    return Envelope(
        fields=fields,
        model=model,
        stream=FLAG.read(fields, "stream") or False,
        max_output_tokens=max_tokens,
        choices=1,
        input_bytes=text_bytes(fields, "messages", "system", "tools") - images.surplus_bytes(fields, body),
        end_user=metadata.user_id if metadata else None,
        show_usage=True,
    )


def rewrite_chat(envelope: Envelope, *, model: str, max_output_tokens: int | None) -> bytes:
    fields = dict(envelope.fields)
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    if max_output_tokens is not None:
        fields["max_tokens"] = msgspec.Raw(b"%d" % max_output_tokens)
    return msgspec.json.encode(fields)
