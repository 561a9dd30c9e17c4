"""JSON Schemas as Anthropic takes them: objects are closed, and bounds are told to the model in words.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations"; Anthropic's own
SDKs tell bounds so too (anthropic-sdk-python 2.12.0, `lib/_parse/_transform.py`).
"""

from __future__ import annotations

import msgspec

from wire.schemas import Schema, closed, rewritten

_BOUNDS = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems",
    "uniqueItems", "minProperties", "maxProperties",
)  # fmt: skip


def sayable(schema: Schema) -> Schema:
    return rewritten(closed(schema), _with_bounds_in_words)


def _with_bounds_in_words(schema: Schema) -> Schema:
    bounds = {name: value for name, value in schema.items() if name in _BOUNDS}
    if schema.get("minItems") not in (None, 0, 1):  # which Anthropic takes
        bounds["minItems"] = schema["minItems"]
    if not bounds:
        return schema
    words = ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in bounds.items())
    said = schema.get("description")
    kept = {name: value for name, value in schema.items() if name not in bounds}
    return kept | {"description": f"{said} ({words})" if said else words}
