"""What the demo says: the same to the same question, and never a tool that it was not asked for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from providers.adapters import demo_reply, demo_vectors
from providers.adapters.demo_reply import Asked

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"properties": {"town": {"enum": ["Ulm"]}}}}}
    for name in ("get_time", "get_weather")
]


def _asked(**fields: Any) -> Asked:
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]} | fields
    return demo_reply.decode(msgspec.json.encode(body))


def _called(text: str, choice: Any = "auto") -> str | None:
    function = demo_reply.called(_asked(messages=[{"role": "user", "content": text}], tools=TOOLS, tool_choice=choice))
    return function.name if function else None


@pytest.mark.parametrize(
    ("text", "choice", "name"),
    [
        ("Hello", "auto", None),
        ("Hello", None, None),
        ("Please get_weather.", "auto", "get_weather"),
        ("Please get_weather.", "none", None),
        ("Hello", "required", "get_time"),
        ("Hello", {"type": "function", "function": {"name": "get_weather"}}, "get_weather"),
    ],
)
def test_it_calls_the_tool_that_it_is_asked_for_alone(text: str, choice: Any, name: str | None) -> None:
    assert _called(text, choice) == name


def test_it_answers_after_a_tools_result() -> None:
    asked = _asked(tools=TOOLS, messages=[{"role": "tool", "content": "It rains."}])
    assert demo_reply.called(asked) is None
    assert "It rains." in demo_reply.said(asked)


@pytest.mark.parametrize(
    ("schema", "example"),
    [
        ({"properties": {"a": {"type": "integer", "minimum": 3}, "b": {"type": "array"}}}, {"a": 3, "b": ["demo"]}),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"const": 5}}}, 5),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, True),
        ({"type": ["number", "null"]}, 1),
        ({"$ref": "#/nowhere"}, "demo"),
    ],
)
def test_it_fills_in_an_example_of_a_schema(schema: dict[str, Any], example: Any) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert msgspec.json.decode(demo_reply.said(_asked(response_format=wanted))) == example


@pytest.mark.parametrize("width", [1, 2, 30])
def test_a_schema_that_holds_itself_comes_to_an_end(width: int) -> None:
    """The answer is no longer for each further place in which it does."""
    schema = {"properties": {f"next{number}": {"$ref": "#"} for number in range(width)}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    said = demo_reply.said(_asked(response_format=wanted))
    assert said.startswith('{"next0":')
    assert len(said) < 10_000


@pytest.mark.parametrize(
    "long",
    [
        {"const": "x" * 50_000},
        {"enum": ["x" * 50_000]},
        {"type": "integer", "minimum": "x" * 50_000},
        {"properties": {"x" * 50_000: {}}},
    ],
)
def test_nor_where_it_refers_to_something_long_from_many_places(long: dict[str, Any]) -> None:
    properties = {f"place{number}": {"$ref": "#/$defs/long"} for number in range(150)}
    schema = {"properties": properties, "$defs": {"long": long}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert len(demo_reply.said(_asked(response_format=wanted))) < 200_000


@pytest.mark.parametrize(("texts", "dimensions"), [(2_049, 1), (257, 4_096)])
def test_nobody_has_it_count_for_minutes(texts: int, dimensions: int) -> None:
    """It counts in our own process, and others wait."""
    body = {"model": "demo", "input": ["a"] * texts, "dimensions": dimensions}
    with pytest.raises(msgspec.ValidationError):
        demo_vectors.decode(msgspec.json.encode(body))
    asked = demo_vectors.decode(msgspec.json.encode(body | {"input": ["a"] * (texts - 1)}))
    assert len(asked.texts) == texts - 1


@pytest.mark.parametrize("texts", [1, 1_000])
def test_nor_count_the_words_of_long_texts(texts: int) -> None:
    """Ten megabytes of them took seconds of our own process."""
    long = ["plum " * (2_000_000 // texts)] * texts
    asked = demo_vectors.decode(msgspec.json.encode({"model": "demo", "input": long}))
    told = msgspec.json.decode(demo_vectors.answer(asked))
    short = msgspec.json.decode(demo_vectors.answer(demo_vectors.decode(b'{"model": "demo", "input": "plum"}')))
    assert told["data"][0]["embedding"] == pytest.approx(short["data"][0]["embedding"])
    assert told["usage"]["prompt_tokens"] == 2_500_000 == demo_reply.tokens_in(long)


def test_texts_that_share_words_lie_close_together() -> None:
    """However they are written; and all vectors are of one length, of no words too."""
    asked = demo_vectors.decode(b'{"model": "demo", "input": ["Plums and figs", "figs, plums", "Tax returns", ""]}')
    told = msgspec.json.decode(demo_vectors.answer(asked))
    plums, figs, taxes, nothing = (each["embedding"] for each in told["data"])
    assert [sum(number**2 for number in each) for each in (plums, taxes, nothing)] == pytest.approx([1, 1, 1])
    assert _likeness(plums, figs) > 0.5 > _likeness(plums, taxes)


def _likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_null_says_nothing() -> None:
    unsaid = dict.fromkeys(("n", "max_tokens", "stop", "tools", "tool_choice", "response_format"))
    assert _asked(**unsaid) == _asked()


def test_it_stops_where_it_is_told() -> None:
    assert demo_reply.said(_asked(stop=["never said", "no key", "demo provider"])).endswith("This is the ")
