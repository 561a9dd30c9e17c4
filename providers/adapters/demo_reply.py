"""What the demo provider says: the same to the same question.

It calls the tool that it is made to call, or whose name the question holds, and never another: nobody's tools are run
by surprise. It fills in arguments and structured answers with an example of their schema, says what a tool's result
and a picture came to, and stops where it is told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

TOKEN = re.compile(r"\w+|[^\w\s]")
_EXCERPT_CHARS = 120
_MOST_COUNTED_CHARS = 100_000  # a moment's work in our own process
_CHARS_A_TOKEN = 4
_MOST_LEVELS = 20
_MOST_BYTES = 100_000
_VALUE_BYTES = 500  # that each value counts for at least, so that there are 200 at most
_SENTENCES = (
    "This is the demo provider, and it needs no key.",
    "Your call went through the same path as one to a real provider: checked, reserved, answered, and accounted for.",
    "You can see it, with its tokens and its cost, under Calls in the admin pages.",
    "Add a provider with a key of your own there, and the same call will reach it.",
)


class Url(msgspec.Struct):
    url: str = ""


class Part(msgspec.Struct):
    text: str = ""
    image_url: Url | None = None


class Message(msgspec.Struct):
    role: str
    content: str | list[Part] | None = None

    @property
    def parts(self) -> list[Part]:
        return [Part(self.content)] if isinstance(self.content, str) else self.content or []

    @property
    def text(self) -> str:
        return " ".join(part.text for part in self.parts if part.text)


class Function(msgspec.Struct):
    name: str = ""
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    function: Function = msgspec.field(default_factory=Function)


class Schema(msgspec.Struct):
    schema: dict[str, Any] | None = None


class Format(msgspec.Struct):
    type: str = "text"
    json_schema: Schema | None = None


class Asked(msgspec.Struct):
    """What is read of OpenAI's body."""

    model: str
    messages: list[Message]
    n: int | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Tool | None = None
    response_format: Format | None = None


decode = msgspec.json.Decoder(Asked).decode


def tokens_in(texts: Sequence[str]) -> int:
    """Words and signs; by the usual length of one where to count them would keep others waiting."""
    chars = sum(map(len, texts))
    if chars > _MOST_COUNTED_CHARS:
        return chars // _CHARS_A_TOKEN
    return sum(len(TOKEN.findall(text)) for text in texts)


def called(asked: Asked) -> Function | None:
    """The tool that is called, if any."""
    functions = [tool.function for tool in asked.tools or () if tool.function.name]
    choice = asked.tool_choice
    if isinstance(choice, Tool):
        return next((function for function in functions if function.name == choice.function.name), None)
    if choice == "none" or not asked.messages or asked.messages[-1].role != "user":
        return None
    words = set(TOKEN.findall(asked.messages[-1].text[:_MOST_COUNTED_CHARS]))
    named = [function for function in functions if function.name in words]
    return next(iter(named or (functions if choice == "required" else ())), None)


def arguments(function: Function) -> str:
    return msgspec.json.encode(_example(function.parameters or {"type": "object"})).decode()


def said(asked: Asked) -> str:
    wanted = asked.response_format
    if wanted is not None and wanted.type != "text":
        schema = wanted.json_schema.schema if wanted.json_schema else None
        return msgspec.json.encode(_example(schema or {"type": "object"})).decode()
    text = " ".join((_opening(asked.messages), *_SENTENCES))
    stops = [asked.stop] if isinstance(asked.stop, str) else asked.stop or []
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]


def _opening(messages: list[Message]) -> str:
    last = messages[-1] if messages else Message("user")
    if last.role == "tool":
        return f"Your tool said: “{_excerpt(last.text)}”."
    question = next((message for message in reversed(messages) if message.role == "user"), Message("user"))
    pictures = [part.image_url.url for part in question.parts if part.image_url]
    text = f"You asked: “{_excerpt(question.text)}”." if question.text else "You asked nothing."
    return f"{text} A picture of {len(pictures[0]):,} characters came along." if pictures else text


def _excerpt(text: str) -> str:
    return " ".join(text[:_MOST_COUNTED_CHARS].split())[:_EXCERPT_CHARS]


def _example(schema: dict[str, Any]) -> Any:
    return _Example(schema).of(schema)


class _Example:
    """The simplest value that fits a JSON Schema, as far as common schemas go.

    A schema may refer to itself, and to others in ways that double at each level: the value is of bounded size.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _MOST_BYTES

    def of(self, schema: Any, level: int = 0) -> Any:
        if not self._has_room(_VALUE_BYTES) or not isinstance(schema, dict) or level > _MOST_LEVELS:
            return None
        for name in ("const", "default"):
            if name in schema:
                return self._given(schema[name])
        choices = schema.get("enum")
        if isinstance(choices, list) and choices:
            return self._given(choices[0])
        inner = self._inner(schema)
        return self._of_type(schema, level) if inner is None else self.of(inner, level + 1)

    def _given(self, value: Any) -> Any:
        """What the schema says itself, and may say in many places."""
        return value if self._has_room(len(msgspec.json.encode(value))) else None

    def _has_room(self, size: int) -> bool:
        self._left -= size
        return self._left > 0

    def _inner(self, schema: dict[str, Any]) -> Any:
        """The schema that this one refers to, or the first that it may be."""
        reference = str(schema.get("$ref", ""))
        if reference.startswith("#"):
            found = self._root
            for step in filter(None, reference[1:].split("/")):
                found = found.get(step) if isinstance(found, dict) else None
            return found
        options = (schema.get(name) for name in ("anyOf", "oneOf", "allOf"))
        return next((option[0] for option in options if isinstance(option, list) and option), None)

    def _of_type(self, schema: dict[str, Any], level: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        match kind[0] if isinstance(kind, list) and kind else kind:
            case "object":
                properties = schema.get("properties")
                inside = properties.items() if isinstance(properties, dict) else ()
                return {name: self.of(inner, level + 1) for name, inner in inside if self._has_room(len(name))}
            case "array":
                return [self.of(schema.get("items", {}), level + 1)]
            case "integer" | "number":
                return self._given(schema.get("minimum", 1))
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return "demo"
