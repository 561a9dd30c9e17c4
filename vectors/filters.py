"""Our small language of filters -> Qdrant's. Pure (docs/vectors.md says it for callers).

`{"field": value}` and `{"field": {"gte": 5}}`, all of which must hold; `any` and `must_not` take lists of filters.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from vectors.bounds import MAX_CHOICES, MAX_CONDITIONS, MAX_FILTER_DEPTH
from wire.errors import ApiError, invalid

Condition = dict[str, Any]
PAYLOAD = "payload"  # where a point keeps what its caller gave it
_FIELD = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_BOUNDS = ("gt", "gte", "lt", "lte")
_LARGEST_WHOLE = 2**63 - 1
_EXACT = 2**53  # below it, floats tell all whole numbers apart
_LARGEST = sys.float_info.max


def translate(given: dict[str, Any]) -> Condition:
    """A filter in the form of Qdrant's REST API. Raises `ApiError` INVALID_REQUEST, naming the place in `filter`."""
    return _Translation().filter(given, "filter", 1)


class _Translation:
    """Counts conditions on its way."""

    def __init__(self) -> None:
        self._conditions = 0

    def filter(self, given: dict[str, Any], place: str, depth: int) -> Condition:
        if depth > MAX_FILTER_DEPTH:
            raise invalid(f"Filters nest at most {MAX_FILTER_DEPTH} deep.", param=place)
        made: Condition = {"must": []}
        for name, value in given.items():
            where = f"{place}.{name}"
            if name == "any":
                made["must"].append({"should": self._filters(value, where, depth)})
            elif name == "must_not":
                made["must_not"] = self._filters(value, where, depth)
            else:
                made["must"] += self._field(name, value, where)
        return made

    def _filters(self, given: Any, place: str, depth: int) -> list[Condition]:
        if not isinstance(given, list) or not given or not all(isinstance(each, dict) and each for each in given):
            raise invalid(f"'{place}' must be a list of filters.", param=place)
        return [self.filter(each, f"{place}[{number}]", depth + 1) for number, each in enumerate(given)]

    def _field(self, name: str, value: Any, place: str) -> list[Condition]:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise invalid(f"A filter has at most {MAX_CONDITIONS} conditions.", param=place)
        if not _FIELD.fullmatch(name):
            raise invalid(
                "Fields that a filter can name have letters, digits, dashes and underscores; dots lead inside.",
                param=place,
            )
        return _conditions(f"{PAYLOAD}.{name}", value, place)


def _conditions(key: str, value: Any, place: str) -> list[Condition]:
    if not isinstance(value, dict):
        return [_equals(key, value, place)]
    if not value or not set(value) <= {*_BOUNDS, "in"}:
        raise invalid(f"'{place}' must be a value, or some of gt, gte, lt, lte and in.", param=place)
    bounds = {word: _number(value[word], f"{place}.{word}") for word in _BOUNDS if word in value}
    found: list[Condition] = [{"key": key, "range": bounds}] if bounds else []
    if "in" in value:
        found.append(_one_of(key, _choices(value["in"], f"{place}.in")))
    return found


def _one_of(key: str, choices: list[Any]) -> Condition:
    if isinstance(choices[0], str):
        return {"key": key, "match": {"any": choices}}
    return {"should": [_is(key, each) for each in choices]}


def _equals(key: str, value: Any, place: str) -> Condition:
    if isinstance(value, bool | str | float) or _is_whole(value):
        return _is(key, value)
    raise _not_a_value(place)


def _is(key: str, value: Any) -> Condition:
    """Qdrant's match knows no floats, and takes 2024 and 2024.0 for two; its ranges compare both as floats."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and (isinstance(value, float) or abs(value) < _EXACT):
        return {"key": key, "range": {"gte": value, "lte": value}}
    return {"key": key, "match": {"value": value}}


def _choices(given: Any, place: str) -> list[Any]:
    if not isinstance(given, list) or not 0 < len(given) <= MAX_CHOICES:
        raise invalid(f"'{place}' must be a list of 1 to {MAX_CHOICES} values.", param=place)
    if not (all(isinstance(each, str) for each in given) or all(_is_whole(each) for each in given)):
        raise invalid(f"'{place}' must be texts, or whole numbers, and not both.", param=place)
    return given


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
        raise invalid(f"'{place}' must be a number.", param=place)
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_WHOLE


def _not_a_value(place: str) -> ApiError:
    return invalid(f"'{place}' must be a text, a number, true or false.", param=place)
