"""The filter language becomes Qdrant's."""

from __future__ import annotations

from typing import Any

import pytest

from vectors.bounds import MAX_CHOICES, MAX_CONDITIONS, MAX_FILTER_DEPTH
from vectors.filters import translate
from wire.errors import ApiError, Code


def test_fields_must_all_hold() -> None:
    made = translate({"team": "search", "year": 2024, "open": True, "price.net": 1.5})

    assert made == {
        "must": [
            {"key": "payload.team", "match": {"value": "search"}},
            {"key": "payload.year", "range": {"gte": 2024, "lte": 2024}},
            {"key": "payload.open", "match": {"value": True}},
            {"key": "payload.price.net", "range": {"gte": 1.5, "lte": 1.5}},
        ]
    }


def test_bounds_and_choices_of_one_field() -> None:
    made = translate({"year": {"gte": 2020, "lt": 2025, "in": [2021, 2022]}})

    assert made == {
        "must": [
            {"key": "payload.year", "range": {"gte": 2020, "lt": 2025}},
            {
                "should": [
                    {"key": "payload.year", "range": {"gte": 2021, "lte": 2021}},
                    {"key": "payload.year", "range": {"gte": 2022, "lte": 2022}},
                ]
            },
        ]
    }


def test_choices_of_texts() -> None:
    assert translate({"kind": {"in": ["a", "b"]}}) == {"must": [{"key": "payload.kind", "match": {"any": ["a", "b"]}}]}


def test_what_no_float_tells_from_its_neighbours_must_be_the_same_whole_number() -> None:
    assert translate({"a": 2**53}) == {"must": [{"key": "payload.a", "match": {"value": 2**53}}]}


def test_any_and_must_not_take_filters() -> None:
    made = translate({"any": [{"a": 1}, {"b": 2}], "must_not": [{"c": 3, "d": 4}]})

    def equals(field: str, value: int) -> dict[str, Any]:
        return {"key": f"payload.{field}", "range": {"gte": value, "lte": value}}

    assert made == {
        "must": [{"should": [{"must": [equals("a", 1)]}, {"must": [equals("b", 2)]}]}],
        "must_not": [{"must": [equals("c", 3), equals("d", 4)]}],
    }


def _nested(depth: int) -> dict[str, Any]:
    return {"a": 1} if depth == 1 else {"any": [_nested(depth - 1)]}


def test_nests_as_deep_as_it_may() -> None:
    assert translate(_nested(MAX_FILTER_DEPTH))["must"]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"a": None}, "filter.a"),
        ({"a": [1, 2]}, "filter.a"),
        ({"a": {}}, "filter.a"),
        ({"a": {"like": "x"}}, "filter.a"),
        ({"a": {"gte": "2020"}}, "filter.a.gte"),
        ({"a": {"gte": True}}, "filter.a.gte"),
        ({"a": {"gte": 10**400}}, "filter.a.gte"),
        ({"a": {"in": []}}, "filter.a.in"),
        ({"a": {"in": [1, "x"]}}, "filter.a.in"),
        ({"a": {"in": [1.5]}}, "filter.a.in"),
        ({"a": {"in": list(range(MAX_CHOICES + 1))}}, "filter.a.in"),
        ({"a": 2**63}, "filter.a"),
        ({"a b": 1}, "filter.a b"),
        ({"a[]": 1}, "filter.a[]"),
        ({"": 1}, "filter."),
        ({"any": {"a": 1}}, "filter.any"),
        ({"any": []}, "filter.any"),
        ({"must_not": [{}]}, "filter.must_not"),
        ({"any": [{"b": None}]}, "filter.any[0].b"),
        (_nested(MAX_FILTER_DEPTH + 1), "filter" + ".any[0]" * MAX_FILTER_DEPTH),
        ({f"f{number}": 1 for number in range(MAX_CONDITIONS + 1)}, f"filter.f{MAX_CONDITIONS}"),
    ],
)
def test_what_it_cannot_say_is_named(given: dict[str, Any], place: str) -> None:
    with pytest.raises(ApiError) as caught:
        translate(given)

    assert caught.value.code is Code.INVALID_REQUEST
    assert caught.value.param == place
