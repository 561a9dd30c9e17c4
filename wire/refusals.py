"""What msgspec says against a whole body of ours -> a refusal that names the field, and says what is allowed there.

For bodies whose every field is ours: the specifications' own doors. Dialects read field by field (`wire.body.Reader`).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import inspect

from wire.errors import ApiError, invalid

_PLACE = re.compile(r" - at `\$\.?(.*)`$")
_FIELD = re.compile(r"(unknown|missing required) field `(.*)`")
_STEP = re.compile(r"\[.*?\]|[^.\[]+")


def refusal(error: msgspec.ValidationError, kind: Any) -> ApiError:
    """Of a body that was to be a `kind`: "Expected `int` >= 1 - at `$.max_tokens`" in our words."""
    message = str(error)
    place = _PLACE.search(message)
    path = place[1] if place else ""
    reason = message[: place.start()] if place else message
    named = _FIELD.search(reason)
    if named is None:
        told = f"'{path}'" if path else "The body"
        return invalid(f"{told}{_wanted(reason, _at(kind, path))}.", param=path or None)
    field = f"{path}.{named[2]}".lstrip(".")
    if named[1] == "missing required":
        return invalid(f"'{field}' is missing.", param=field)
    fields = ", ".join(each.encode_name for each in _fields(_at(kind, path)))
    return invalid(f"'{field}' is not known here. There is: {fields}.", param=field)


def _wanted(reason: str, kind: inspect.Type) -> str:
    """A field's type may say in words what it allows, by a description."""
    if isinstance(kind, inspect.Metadata) and kind.extra_json_schema:
        return f" must be {kind.extra_json_schema['description']}"
    if isinstance(kind, inspect.LiteralType):
        return f" must be one of {', '.join(map(str, kind.values))}"
    return f": {reason[0].lower()}{reason[1:]}"


def _at(kind: Any, path: str) -> inspect.Type:
    """The type at a place, as msgspec writes places: `messages[0].role`."""
    found = _present(inspect.type_info(kind))
    for step in _STEP.findall(path):
        found = _present(_inside(found, step))
    return found


def _inside(kind: inspect.Type, step: str) -> inspect.Type:
    if isinstance(kind, inspect.DictType):
        return kind.value_type
    if isinstance(kind, inspect.ListType):
        return kind.item_type
    return next((each.type for each in _fields(kind) if each.encode_name == step), kind)


def _fields(kind: inspect.Type) -> tuple[inspect.Field, ...]:
    return kind.fields if isinstance(kind, inspect.StructType) else ()


def _present(kind: inspect.Type) -> inspect.Type:
    """Of a type that may be null as well, the other one."""
    if not isinstance(kind, inspect.UnionType):
        return kind
    return next(each for each in kind.types if not isinstance(each, inspect.NoneType))
