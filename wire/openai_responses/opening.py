"""The light reading of a caller's body, and its rewriting for a provider that speaks Responses too."""

from __future__ import annotations

from typing import Any

import msgspec

from wire import images
from wire.body import ANY, FLAG, MALFORMED, NAME, NUMBER, POSITIVE, TEXT, Fields, Reader, open_body, text_bytes
from wire.dialect import Envelope
from wire.errors import invalid, unsupported
from wire.openai_responses import schema
from wire.openai_responses.reasoning import is_ours
from wire.standard_price import OPENAI, refuse_other_prices

# Tools that the caller runs itself. All others run at OpenAI, in rounds and at prices that no bound of ours covers.
CALLER_TOOLS = frozenset({"function", "custom", "namespace", "apply_patch", "local_shell"})

_UNBOUNDED: dict[str, tuple[Any, str]] = {
    "previous_response_id": (None, "refers to a stored response, and this platform stores none: send the whole input."),
    "conversation": (None, "refers to a stored conversation, and this platform stores none: send the whole input."),
    "prompt": (None, "refers to a template at OpenAI, whose cost cannot be bounded: send its text as instructions."),
    "background": (False, "is not served: its answer would be fetched later, and this platform stores none."),
}
_KINDS = Reader[list[schema.Kind]](list[schema.Kind] | None)
_INPUT = Reader[str | list[msgspec.Raw]](str | list[msgspec.Raw] | None, "a string or a non-empty array")
_RAW_ITEMS: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_SEALS: msgspec.json.Decoder[list[schema.Seal]] = msgspec.json.Decoder(list[schema.Seal])
_NOT_STORED = msgspec.Raw(b"false")


def open_chat(body: bytes) -> Envelope:
    """`model` is "" where the body has none: the gateway then takes its default route.

    Items that are named in `input` stand there still: `references` puts them in.
    """
    fields = open_body(body)
    _refuse_unbounded(fields)
    refuse_other_prices(fields, OPENAI)
    _require_input(fields)
    return Envelope(
        fields=fields,
        model=NAME.read(fields, "model") or "",
        stream=FLAG.read(fields, "stream") or False,
        max_output_tokens=POSITIVE.read(fields, "max_output_tokens"),
        choices=1,
        input_bytes=text_bytes(fields, "input", "instructions", "tools", "text")
        - images.surplus_bytes(fields, body, "input"),
        end_user=TEXT.read(fields, "user") or TEXT.read(fields, "safety_identifier"),
        show_usage=True,
        temperature=NUMBER.read(fields, "temperature"),
    )


def rewrite_chat(envelope: Envelope, *, model: str, max_output_tokens: int | None) -> bytes:
    """OpenAI would store an answer for 30 days unless it is told not to, where others of its account could read it."""
    fields = dict(envelope.fields)
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    fields["store"] = _NOT_STORED
    if b'"reasoning"' in bytes(fields["input"]):
        fields["input"] = _without_foreign_reasoning(fields["input"])
    if max_output_tokens is not None:
        fields["max_output_tokens"] = msgspec.Raw(b"%d" % max_output_tokens)
    return msgspec.json.encode(fields)


def _without_foreign_reasoning(raw: msgspec.Raw) -> msgspec.Raw:
    """Without what OpenAI has not sealed: another provider's, and its own too, as nothing of that is stored there."""
    try:
        items = zip(_RAW_ITEMS.decode(raw), _SEALS.decode(raw), strict=True)
    except MALFORMED:  # a plain text that says so
        return raw
    return msgspec.Raw(msgspec.json.encode([item for item, seal in items if not _is_foreign(seal)]))


def _is_foreign(seal: schema.Seal) -> bool:
    return seal.type == "reasoning" and (not seal.encrypted_content or is_ours(seal.encrypted_content))


def _refuse_unbounded(fields: Fields) -> None:
    for name, (harmless, reason) in _UNBOUNDED.items():
        if name in fields and ANY.read(fields, name) not in (None, harmless):
            raise unsupported(name, reason)
    for index, tool in enumerate(_KINDS.read(fields, "tools") or ()):
        if tool.type not in CALLER_TOOLS:
            raise unsupported(f"tools[{index}]", f"of type '{tool.type}' runs at OpenAI: its cost cannot be bounded.")


def _require_input(fields: Fields) -> None:
    if not _INPUT.read(fields, "input"):
        raise invalid("'input' must be a string or a non-empty array.", param="input")
