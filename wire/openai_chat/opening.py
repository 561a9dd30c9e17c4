"""The light reading of a caller's chat body, and its rewriting for a provider that speaks OpenAI too."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wire import images
from wire.body import FLAG, NAME, NUMBER, POSITIVE, TEXT, Fields, Reader, open_body, require_array, text_bytes
from wire.dialect import Envelope
from wire.hosted import refuse_hosted, refuse_unbounded
from wire.standard_price import OPENAI, refuse_other_prices

BoundField = Literal["max_tokens", "max_completion_tokens"]

MAX_CHOICES = 128

# Tools that the caller runs itself. Some hosts of the dialect have others (Groq's `browser_search`).
CALLER_TOOLS = frozenset({"function", "custom"})

# What no hold could bound: OpenAI's search, and OpenRouter's lists of other models and of plug-ins.
UNBOUNDED = {
    "web_search_options": "asks for a search that runs at the provider: its cost cannot be bounded.",
    "models": "names other models, whose permission and cost are not seen to here: use a route that has several.",
    "plugins": "asks for searches and the like that run at the provider: their cost cannot be bounded.",
}

_CHOICES = Reader[int](
    Annotated[int, msgspec.Meta(ge=1, le=MAX_CHOICES)] | None, f"a whole number from 1 to {MAX_CHOICES}"
)
_OBJECT = Reader[Fields](Fields | None, "an object")
_INCLUDE_USAGE = msgspec.Raw(b'{"include_usage":true}')


def open_chat(body: bytes) -> Envelope:
    """`model` is "" where the body has none: the gateway then takes its default route."""
    fields = open_body(body)
    require_array(fields, "messages")
    refuse_hosted(fields, is_callers=CALLER_TOOLS.__contains__)
    refuse_unbounded(fields, UNBOUNDED)
    refuse_other_prices(fields, OPENAI)
    stream = FLAG.read(fields, "stream") or False
    return Envelope(
        fields=fields,
        model=NAME.read(fields, "model") or "",
        stream=stream,
        max_output_tokens=_bound(fields),
        choices=_CHOICES.read(fields, "n") or 1,
        input_bytes=_input_bytes(fields, body),
        end_user=_end_user(fields),
        show_usage=not stream or _asks_for_usage(fields),
        temperature=NUMBER.read(fields, "temperature"),
    )


def rewrite_chat(
    envelope: Envelope,
    *,
    model: str,
    max_output_tokens: int | None,
    bound_field: BoundField = "max_tokens",
) -> bytes:
    """A bound is imposed on the fields that the caller uses for it; where it uses none, on `bound_field`.

    That is `max_tokens` by default, because every OpenAI-compatible host knows it, while many ignore or refuse
    `max_completion_tokens`, or both at once: there the caller's own bound goes by that name too. OpenAI's own reasoning
    models (and Azure's) take the latter alone.
    """
    fields = dict(envelope.fields)
    fields["model"] = _raw(model)
    bound = max_output_tokens
    if bound_field == "max_tokens" and fields.pop("max_completion_tokens", None) is not None and bound is None:
        bound = envelope.max_output_tokens
    if bound is not None:
        used = [name for name in ("max_completion_tokens", "max_tokens") if _number_said(fields, name)]
        fields.update(dict.fromkeys(used or [bound_field], _raw(bound)))
    if envelope.stream:
        fields["stream_options"] = _with_usage(fields)
    return msgspec.json.encode(fields)


def _bound(fields: Fields) -> int | None:
    """The smaller one, should both be there: no host will generate more."""
    bound = POSITIVE.read(fields, "max_completion_tokens")
    older = POSITIVE.read(fields, "max_tokens")
    if bound is None or older is None:
        return older if bound is None else bound
    return min(bound, older)


def _end_user(fields: Fields) -> str | None:
    """`safety_identifier` has replaced `user` in OpenAI's newer interface."""
    return TEXT.read(fields, "user") or TEXT.read(fields, "safety_identifier")


def _input_bytes(fields: Fields, body: bytes) -> int:
    size = text_bytes(fields, "messages", "tools", "functions", "response_format")
    return size - images.surplus_bytes(fields, body)


def _asks_for_usage(fields: Fields) -> bool:
    options = _OBJECT.read(fields, "stream_options") or {}
    return FLAG.read(options, "include_usage") or False


def _with_usage(fields: Fields) -> msgspec.Raw:
    options = _OBJECT.read(fields, "stream_options")
    return _raw({**options, "include_usage": True}) if options else _INCLUDE_USAGE


def _number_said(fields: Fields, name: str) -> bool:
    return name in fields and fields[name] != _NULL


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


_NULL = msgspec.Raw(b"null")
