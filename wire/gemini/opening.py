"""The light reading of a caller's body, and its rewriting for a provider that speaks Gemini too.

The model's name, and whether to stream, stand in the URL: who opens a body puts them into the envelope.
In the envelope the members of `generationConfig` are fields of their own, named `generationConfig.temperature` and so
on: where a deployment has defaults, or a bound is imposed, they are found beside the others.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from wire.body import NAME, NUMBER, POSITIVE, Fields, Reader, open_body, text_bytes
from wire.dialect import Envelope
from wire.errors import invalid
from wire.gemini.encoding import BEFORE_GEMINI_3
from wire.gemini.media import surplus_bytes
from wire.gemini.names import camel_keys
from wire.gemini.signatures import with_signed_calls, without_foreign
from wire.hosted import hosted
from wire.standard_price import GEMINI, refuse_other_prices

CONFIG = "generationConfig."
MAX_CHOICES = 128

# What the caller runs itself. All others (`googleSearch`, `codeExecution`, `urlContext` …) run at Google.
CALLER_TOOLS = frozenset({"functionDeclarations", "computerUse"})

_CONFIG = Reader[Fields](Fields | None, "an object")
_CHOICES = Reader[int](
    Annotated[int, msgspec.Meta(ge=1, le=MAX_CHOICES)] | None, f"a whole number from 1 to {MAX_CHOICES}"
)
_TOOLS = Reader[list[Fields] | Fields](list[Fields] | Fields | None)
_NOTHING = (b"", b"null", b"[]", b"{}", b'""')
_NULL = msgspec.Raw(b"null")


def open_chat(body: bytes) -> Envelope:
    """`model` is "" unless the body repeats it from the URL."""
    fields = flat(camel_keys(open_body(body)))
    if bytes(fields.get("contents", b"")) in _NOTHING:
        raise invalid("'contents' must be a non-empty array.", param="contents")
    _refuse_hosted(fields)
    refuse_other_prices(fields, GEMINI)
    size = text_bytes(fields, "contents", "systemInstruction", "tools", *_SCHEMAS)
    return Envelope(
        fields=fields,
        model=(NAME.read(fields, "model") or "").removeprefix("models/"),
        stream=False,
        max_output_tokens=POSITIVE.read(fields, f"{CONFIG}maxOutputTokens"),
        choices=_CHOICES.read(fields, f"{CONFIG}candidateCount") or 1,
        input_bytes=size - surplus_bytes(fields, body),
        end_user=None,
        show_usage=True,
        temperature=NUMBER.read(fields, f"{CONFIG}temperature"),
    )


def _refuse_hosted(fields: Fields) -> None:
    """Google's JSON takes a single tool for a list of one."""
    if "tools" not in fields:
        return
    given = _TOOLS.read(fields, "tools") or []
    for index, tool in enumerate(given if isinstance(given, list) else [given]):
        for name, value in camel_keys(tool).items():
            if name not in CALLER_TOOLS and value != _NULL:
                raise hosted(f"tools[{index}].{name}", f"'{name}'")


_SCHEMAS = (f"{CONFIG}responseSchema", f"{CONFIG}responseJsonSchema")


def rewrite_chat(envelope: Envelope, *, model: str, max_output_tokens: int | None) -> bytes:
    contents = without_foreign(envelope.fields["contents"])
    if not model.startswith(BEFORE_GEMINI_3):
        contents = with_signed_calls(contents)
    fields = envelope.fields | {"contents": contents}
    if "model" in fields:
        fields["model"] = msgspec.Raw(msgspec.json.encode(f"models/{model}"))
    if max_output_tokens is not None:
        fields[f"{CONFIG}maxOutputTokens"] = msgspec.Raw(b"%d" % max_output_tokens)
    return msgspec.json.encode(nested(fields))


def flat(fields: Fields) -> Fields:
    config = _CONFIG.read(fields, "generationConfig")
    others = {name: value for name, value in fields.items() if name != "generationConfig"}
    return others | {CONFIG + name: value for name, value in camel_keys(config or {}).items()}


def nested(fields: Fields) -> dict[str, object]:
    config = {name.removeprefix(CONFIG): value for name, value in fields.items() if name.startswith(CONFIG)}
    others: dict[str, object] = {name: value for name, value in fields.items() if not name.startswith(CONFIG)}
    return others | {"generationConfig": config} if config else others
