"""JSON Schemas of clients, and what is made of them for providers that would refuse the whole call for one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, Field

from wire import anthropic_messages, gemini, ollama, openai_chat, openai_responses
from wire.dialect import Dialect
from wire.neutral import ChatRequest, Message, ResponseFormat, Text, Tool

OPENAI: Dialect = openai_chat
RESPONSES: Dialect = openai_responses
ANTHROPIC: Dialect = anthropic_messages
GEMINI: Dialect = gemini
OLLAMA: Dialect = ollama


class Street(BaseModel):
    name: str
    number: int = Field(ge=1, le=999)


class Town(BaseModel):
    """A town."""

    streets: list[Street] = Field(min_length=2)
    mayor: str | None


class Mayor(BaseModel):
    home: Street = Field(description="Where the mayor lives")


class Village(Town):
    well: str = "none"


CLOSED_STREET = {
    "properties": {
        "name": {"title": "Name", "type": "string"},
        "number": {"maximum": 999, "minimum": 1, "title": "Number", "type": "integer"},
    },
    "required": ["name", "number"],
    "title": "Street",
    "type": "object",
    "additionalProperties": False,
}


def sent(request: ChatRequest, dialect: Dialect) -> Any:
    return msgspec.json.decode(dialect.encode_chat(request))


def asking(schema: dict[str, Any], *, strict: bool | None = True) -> ChatRequest:
    wanted = ResponseFormat("json_schema", schema=schema, strict=strict)
    return ChatRequest("m", (Message("user", (Text("Hi"),)),), response_format=wanted)


def calling(schema: dict[str, Any], *, strict: bool | None = True) -> ChatRequest:
    return ChatRequest("m", (Message("user", (Text("Hi"),)),), tools=(Tool("f", None, schema, strict),))


def test_openai_is_told_that_objects_are_closed() -> None:
    schema = Town.model_json_schema()

    wanted = sent(asking(schema), OPENAI)["response_format"]["json_schema"]
    newer = sent(asking(schema), RESPONSES)["text"]["format"]
    tool = sent(calling(schema), OPENAI)["tools"][0]["function"]

    assert wanted["schema"] == newer["schema"] == tool["parameters"]
    assert wanted["strict"] is newer["strict"] is tool["strict"] is True
    assert wanted["schema"]["additionalProperties"] is False
    assert wanted["schema"]["$defs"]["Street"] == CLOSED_STREET


def of(member: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": member}, "required": ["a"], "additionalProperties": False}


def test_openai_is_strict_with_what_zod_writes() -> None:
    schema = of({"type": "string"}) | {"$schema": "http://json-schema.org/draft-07/schema#"}

    assert sent(asking(schema), OPENAI)["response_format"]["json_schema"]["strict"] is True
    assert sent(asking(schema), RESPONSES)["text"]["format"] == {
        "type": "json_schema",
        "name": "response",
        "schema": schema,
        "strict": True,
    }


@pytest.mark.parametrize(
    "schema",
    [
        of({"title": "Whatever"}),
        of({"enum": ["a", 1]}),
        of({"type": "array"}),
        of({"type": "array", "items": {}}),
        of({"type": ["object", "null"]}),
        of({"type": "string", "format": "uri"}),
        of({"type": "integer", "format": "int32"}),
        of({"type": "string", "format": ["uri"]}),
        {"type": "array", "items": of({"type": "string"})},
        {"$ref": "#/$defs/A", "$defs": {"A": of({"type": "string"})}},
        {"anyOf": [of({"type": "string"}), of({"type": "integer"})]},
    ],
)
def test_openai_is_not_strict_with_closed_schemas_that_it_would_refuse(schema: dict[str, Any]) -> None:
    wanted = sent(asking(schema), OPENAI)["response_format"]["json_schema"]

    assert (wanted["schema"], wanted["strict"]) == (schema, False)


@pytest.mark.parametrize(
    "schema",
    [
        Village.model_json_schema(),  # a member that need not be there, and a default
        Mayor.model_json_schema(),  # words beside a reference
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"a": {"type": "string", "minLength": 2}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": [["a"]]},
        {"type": "object", "properties": ["a"]},
        {"allOf": [{"type": "object", "properties": {}}]},
        {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
    ],
)
def test_openai_is_not_strict_with_what_it_would_refuse(schema: dict[str, Any]) -> None:
    wanted = sent(asking(schema), OPENAI)["response_format"]["json_schema"]
    tool = sent(calling(schema), RESPONSES)["tools"][0]

    assert (wanted["schema"], wanted["strict"]) == (schema, False)
    assert (tool["parameters"], tool["strict"]) == (schema, False)


@pytest.mark.parametrize("strict", [None, False])
def test_what_is_not_to_be_strict_goes_to_openai_as_it_is(*, strict: bool | None) -> None:
    schema = Town.model_json_schema()

    wanted = sent(asking(schema, strict=strict), OPENAI)["response_format"]["json_schema"]

    assert (wanted["schema"], wanted.get("strict")) == (schema, strict)


def test_anthropic_is_told_bounds_in_words() -> None:
    schema = sent(asking(Village.model_json_schema(), strict=None), ANTHROPIC)["output_config"]["format"]["schema"]

    assert schema["additionalProperties"] is False
    assert schema["properties"]["streets"]["description"] == "minItems: 2"
    assert schema["$defs"]["Street"] == {
        **CLOSED_STREET,
        "properties": {
            "name": {"title": "Name", "type": "string"},
            "number": {"title": "Number", "type": "integer", "description": "maximum: 999, minimum: 1"},
        },
    }


def test_anthropic_takes_a_member_by_the_name_of_a_bound() -> None:
    members = {"minimum": {"type": "integer", "description": "The least", "minimum": 0}}

    schema = sent(calling({"type": "object", "properties": members}), ANTHROPIC)["tools"][0]["input_schema"]

    assert schema["properties"] == {"minimum": {"type": "integer", "description": "The least (minimum: 0)"}}


def test_a_tool_that_is_not_strict_goes_to_anthropic_as_it_is() -> None:
    schema = Town.model_json_schema()

    assert sent(calling(schema, strict=None), ANTHROPIC)["tools"][0]["input_schema"] == schema


def test_gemini_and_ollama_take_schemas_as_they_are() -> None:
    schema = Village.model_json_schema()

    assert sent(asking(schema), GEMINI)["generationConfig"]["responseJsonSchema"] == schema
    assert sent(asking(schema), OLLAMA)["format"] == schema
