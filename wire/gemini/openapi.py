"""Google's `Schema`, a subset of OpenAPI 3.0, -> JSON Schema.

Source: google-genai 3.4.0, `types.py` (`Schema`). Counts are 64-bit integers, which Google's JSON writes as strings.
Towards Gemini nothing is turned back: it takes JSON Schema too (`parametersJsonSchema`, `responseJsonSchema`).
"""

from __future__ import annotations

from typing import Any

from wire.errors import invalid, unsupported

_SAME = frozenset({
    "title", "description", "format", "pattern", "default", "enum", "required", "minimum", "maximum",
})  # fmt: skip
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_RENAMED = {"ref": "$ref", "$ref": "$ref", "additionalProperties": "additionalProperties"}
_SNAKE = {
    "any_of": "anyOf", "min_items": "minItems", "max_items": "maxItems", "min_length": "minLength",
    "max_length": "maxLength", "min_properties": "minProperties", "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering", "additional_properties": "additionalProperties",
}  # fmt: skip


def json_schema(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """Raises `ApiError`, naming what is not of the subset."""
    converted: dict[str, Any] = {}
    nullable = False
    for given, value in schema.items():
        name = _SNAKE.get(given, given)
        if value is None or name == "propertyOrdering":  # an order of writing, which JSON Schema has not
            continue
        if name == "nullable":
            nullable = bool(value)
        else:
            converted |= _member(name, value, path)
    return _nullable(converted) if nullable else converted


def _member(name: str, value: Any, path: str) -> dict[str, Any]:
    if name in _SAME:
        return {name: value}
    if name in _COUNTS:
        return {name: _count(value, f"{path}.{name}")}
    if name in _RENAMED:
        return {_RENAMED[name]: value}
    if name == "type":
        return {} if value == "TYPE_UNSPECIFIED" else {"type": str(value).lower()}
    if name == "example":
        return {"examples": [value]}
    return _nested(name, value, path)


def _nested(name: str, value: Any, path: str) -> dict[str, Any]:
    inside = f"{path}.{name}"
    if name == "items":
        return {"items": json_schema(_object(value, inside), inside)}
    if name in ("properties", "defs", "$defs"):
        members = _object(value, inside).items()
        renamed = "properties" if name == "properties" else "$defs"
        return {renamed: {key: json_schema(_object(each, inside), f"{inside}.{key}") for key, each in members}}
    if name == "anyOf" and isinstance(value, list):
        return {"anyOf": [json_schema(_object(each, inside), f"{inside}[{at}]") for at, each in enumerate(value)]}
    raise unsupported(inside, "is not known in Google's subset of OpenAPI schemas.")


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if "type" not in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    allowed = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": [schema["type"], "null"]} | allowed


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"'{path}' must be an object.", param=path)
    return value


def _count(value: Any, path: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise invalid(f"'{path}' must be a whole number.", param=path) from None
