"""What docs/dialects.md says of the way to a provider, and back, tried on each encoder."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.matrix import page
from wire import (
    anthropic_messages,
    gemini,
    gemini_embeddings,
    ollama,
    ollama_embeddings,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from wire.dialect import Dialect, EmbeddingDialect
from wire.errors import ApiError
from wire.neutral import (
    ChatRequest,
    ChatResponse,
    Choice,
    EmbeddingRequest,
    FinishReason,
    Image,
    Message,
    Part,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)
from wire.signatures import GEMINI

DIALECTS: dict[str, Dialect] = {
    "OpenAI chat": openai_chat,
    "OpenAI Responses": openai_responses,
    "Anthropic": anthropic_messages,
    "Gemini": gemini,
    "Ollama": ollama,
}
EMBEDDINGS: dict[str, EmbeddingDialect] = {
    "OpenAI embeddings": openai_embeddings,
    "Gemini embeddings": gemini_embeddings,
    "Ollama embeddings": ollama_embeddings,
}
HELLO = (Message("user", (Text("Hello"),)),)
TOOLS = (Tool("f", parameters={"type": "object"}),)
SETTINGS: dict[str, dict[str, Any]] = {
    "max_output_tokens": {"max_output_tokens": 77},
    "choices": {"choices": 2},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.5},
    "top_k": {"top_k": 5},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "presence_penalty": {"presence_penalty": 0.5},
    "seed": {"seed": 5},
    "stop": {"stop": ("END",)},
    "tools": {"tools": TOOLS},
    "tool_choice": {"tools": TOOLS, "tool_choice": ToolChoice("required")},
    "parallel_tool_calls": {"tools": TOOLS, "parallel_tool_calls": False},
    "response_format": {"response_format": ResponseFormat("json_schema", "x", {"type": "object"}, strict=True)},
    "reasoning_effort": {"reasoning_effort": "low"},
    "thinking_budget_tokens": {"thinking_budget_tokens": 2_000},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"top_logprobs": 3},
    "stream": {"stream": True},
    "end_user": {"end_user": "erin"},
    "model": {"model": "other"},
    "messages": {"messages": (Message("system", (Text("Be brief."),)), *HELLO)},
}
REFUSED: dict[str, dict[str, Any]] = {
    "top_k": {"top_k": 5},
    "stop": {"stop": ("a", "b", "c", "d", "e", " ")},
    "n": {"choices": 2},
    "temperature": {"temperature": 1.5},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "presence_penalty": {"presence_penalty": 0.5},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"top_logprobs": 3},
    "seed": {"seed": 5},
    "response_format": {"response_format": ResponseFormat("json_object")},
    "reasoning_effort": {"reasoning_effort": "feverish"},
    "parallel_tool_calls": {"tools": TOOLS, "parallel_tool_calls": False},
    "tool_choice": {"tools": TOOLS, "tool_choice": ToolChoice("required")},
    "messages": {"messages": (Message("system", (Text("Be brief."),)),)},
    "messages[0]": {"messages": (Message("user", (Image(url="https://pictures.example/a.png"),)),)},
    "messages[0].name": {"messages": (Message("user", (Text("Hello"),), name="erin"),)},
}
PARTS: dict[str, Part] = {
    "a text": Text("Hello"),
    "a picture's bytes": Image(data="aGk=", media_type="image/png"),
    "a picture's address": Image(url="https://pictures.example/a.png"),
    "a tool's call": ToolCall("call_1", "f", "{}"),
    "a tool's result": ToolResult("call_1", (Text("Rain"),)),
    "thinking, signed by Anthropic": Thinking("Hm", signature="c2lnbmVk"),
    "thinking, signed by Google": Thinking("Hm", signature=f"{GEMINI}c2lnbmVk"),
    "thinking before a call, unsigned": Thinking("Hm"),
}
CALL = ToolCall("call_1", "f", "{}")
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


def _refusals() -> list[page.Line]:
    """Without that of providers that have no embeddings, which the matrix shows."""
    rows = page.table("Refused on the way to a provider")
    return [row for row in rows if not row["To a provider of"].startswith("none")]


def _asked(**changes: Any) -> ChatRequest:
    return ChatRequest(**{"model": "m", "messages": HELLO} | changes)


def _written(dialect: str, request: ChatRequest) -> dict[str, Any]:
    """The body, with the members of `generationConfig` and `options` as fields named after them."""
    body: dict[str, Any] = msgspec.json.decode(DIALECTS[dialect].encode_chat(request))
    for holder in ("generationConfig", "options"):
        body |= {f"{holder}.{name}": value for name, value in body.pop(holder, {}).items()}
    return body


@every_dialect
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_goes_where_the_page_says(dialect: str, setting: str) -> None:
    (row,) = [row for row in page.table("Settings") if page.names(row["Neutral"]) == [setting]]
    cell = row[dialect]
    if cell == "—" or cell.startswith("*read*"):
        with pytest.raises(ApiError):
            _written(dialect, _asked(**SETTINGS[setting]))
        return
    without = {name: value for name, value in SETTINGS[setting].items() if name == "tools" and setting != "tools"}
    before, after = _written(dialect, _asked(**without)), _written(dialect, _asked(**SETTINGS[setting]))
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    if cell == "*left out*" or "in the URL" in cell:
        assert not changed
    else:
        assert changed
        assert changed <= set(page.names(cell))


@pytest.mark.parametrize("row", _refusals(), ids=lambda row: f"{row['To a provider of']} {row['Field']}")
def test_what_the_page_says_is_refused_is(row: page.Line) -> None:
    field = page.name(row["Field"])
    with pytest.raises(ApiError) as refused:
        _ask_for(row["To a provider of"], field)
    assert refused.value.param == field


def _ask_for(dialect: str, field: str) -> None:
    if dialect in EMBEDDINGS:
        texts = ("Hello",) * 101 if field == "texts" else ("Hello",)
        hint: dict[str, Any] = {} if field == "texts" else {field: "RETRIEVAL_QUERY"}
        EMBEDDINGS[dialect].encode_embeddings(EmbeddingRequest(model="m", texts=texts, **hint))
    else:
        DIALECTS[dialect].encode_chat(_asked(**REFUSED[field]))


@every_dialect
@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_said_as_the_page_says(dialect: str, part: str) -> None:
    (row,) = [row for row in page.table("Parts of messages") if row["Part"] == part]
    request = _asked(messages=_conversation(PARTS[part]))
    if row[dialect] == "—":
        with pytest.raises(ApiError):
            _written(dialect, request)
        return
    written = msgspec.json.encode(_written(dialect, request)).decode()
    if row[dialect] == "*left out*":
        assert "Hm" not in written
    else:
        assert f'"{page.name(row[dialect])}"' in written


def _conversation(part: Part) -> tuple[Message, ...]:
    match part:
        case Thinking():
            said: tuple[Part, ...] = (part, CALL)
        case ToolResult():
            return (*HELLO, Message("assistant", (CALL,)), Message("user", (part,)))
        case ToolCall():
            said = (part,)
        case _:
            return (Message("user", (part,)),)
    return (*HELLO, Message("assistant", said), Message("user", (ToolResult("call_1", (Text("Rain"),)),)))


@every_dialect
@pytest.mark.parametrize("at", range(len(page.table("Answers"))))
def test_an_answer_is_told_as_the_page_says(dialect: str, at: int) -> None:
    row = page.table("Answers")[at]
    finish: FinishReason = _finish(row[""])
    parts: tuple[Part, ...] = (Thinking("Hm"), Text("Hello"))
    usage = Usage(
        input_tokens=50, cached_input_tokens=20, cache_write_5m_tokens=10, output_tokens=9, reasoning_tokens=4
    )
    if finish == "tool_calls" or row[""] == "a tool's call":
        parts = (*parts, CALL)
    choices = (Choice(0, parts, finish),)
    written = DIALECTS[dialect].encode_response(ChatResponse("id-1", "m", choices, usage)).decode()
    if row[dialect] == "not told":
        assert row[""] in ("`cache_write_5m_tokens`", "`reasoning_tokens`")
        return
    told = page.name(row[dialect])
    assert f'"{told}"' in written


def _finish(line: str) -> FinishReason:
    """Of a line such as "cut by its bound (`length`)"; other lines are of an answer that ended by itself."""
    reasons: tuple[FinishReason, ...] = ("length", "tool_calls", "content_filter")
    return next((reason for reason in reasons if line.endswith(f"(`{reason}`)")), "stop")
