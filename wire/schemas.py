"""JSON Schemas on their way to providers that refuse a whole call for one that leaves an object open.

That is OpenAI where it is to be `strict`, and Anthropic. Pydantic and Google's clients never close an object: the
providers of their dialects write what is declared, and no more.
https://platform.openai.com/docs/guides/structured-outputs
https://platform.claude.com/docs/en/build-with-claude/structured-outputs
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

# What OpenAI's strict mode knows; it refuses the rest (`default`, `oneOf`, `minLength` …).
_STRICT = frozenset({
    "$schema", "type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const", "$ref",
    "$defs", "definitions", "title", "description", "pattern", "format", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf", "minItems", "maxItems",
})  # fmt: skip
_STRICT_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")

# Where further schemas stand. Not in `allOf`: members that are closed would shut out each other's properties.
_NAMED = frozenset({"properties", "$defs", "definitions"})
_LISTED = frozenset({"anyOf", "oneOf", "prefixItems"})


def closed(schema: Schema) -> Schema:
    """The same, with no further members in objects that name their own and say nothing of others."""
    return rewritten(schema, _closed)


def strictly(schema: Schema | None, *, strict: bool | None) -> tuple[Schema | None, bool | None]:
    """A schema for OpenAI, and how it is to be kept to: not strictly where OpenAI would refuse the call for it."""
    if not strict or schema is None:
        return schema, strict
    whole = closed(schema)
    return (whole, True) if _can_be_strict(whole) else (schema, False)


def rewritten(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """The same with `change` made to it and to each schema inside it, the innermost first."""
    return change({name: _inside(name, value, change) for name, value in schema.items()})


def _can_be_strict(schema: Schema) -> bool:
    """It is an object; every object is closed, and all of its members are required and have a type."""
    found: list[Schema] = []

    def note(each: Schema) -> Schema:
        found.append(each)
        return each

    rewritten(schema, note)
    return schema.get("type") == "object" and all(map(_is_strict, found))


def _inside(name: str, value: Any, change: Callable[[Schema], Schema]) -> Any:
    if name in _NAMED and isinstance(value, dict):
        return {key: _if_schema(each, change) for key, each in value.items()}
    if name in _LISTED and isinstance(value, list):
        return [_if_schema(each, change) for each in value]
    return _if_schema(value, change) if name == "items" else value


def _if_schema(value: Any, change: Callable[[Schema], Schema]) -> Any:
    return rewritten(value, change) if isinstance(value, dict) else value


def _closed(schema: Schema) -> Schema:
    is_open = "properties" in schema and "additionalProperties" not in schema
    return {**schema, "additionalProperties": False} if is_open else schema


def _is_strict(schema: Schema) -> bool:
    if "$ref" in schema:
        return len(schema) == 1
    if not schema.keys() <= _STRICT or schema.get("format", "date") not in _STRICT_FORMATS:
        return False
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "array" in kinds and not isinstance(schema.get("items"), dict):
        return False
    if "object" not in kinds and "properties" not in schema:
        return kind is not None or "anyOf" in schema
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    return schema.get("additionalProperties") is False and all(name in required for name in properties)
