"""Neutral requests and answers for Hypothesis, as far as Gemini's dialect can say them."""

from __future__ import annotations

from base64 import b64decode

import msgspec
from hypothesis import strategies as st

from tests.wire.strategies import (
    arguments,
    base64,
    calls,
    choices,
    counts,
    finish_reasons,
    ids,
    maybe,
    names,
    objects,
    pictures,
    plain_texts,
    probabilities,
    texts,
    usages,
)
from wire.neutral import (
    ChatRequest,
    ChatResponse,
    Choice,
    Image,
    Message,
    Part,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)

words = texts | st.just("")
# In base64, as all bytes are: what begins as our own marks do (`wire.gemini.signatures`) is no signature of Gemini's.
own_signatures = base64.filter(lambda text: not b64decode(text).startswith((b"elsewhere", b"sealed-by")))
gemini_thoughts = st.builds(Thinking, words, own_signatures.map(lambda signature: f"gemini:{signature}"))
foreign_thoughts = st.builds(Thinking, words, names) | st.builds(Thinking, redacted=names)
formats = st.sampled_from([ResponseFormat("text"), ResponseFormat("json_object")]) | objects.map(
    lambda schema: ResponseFormat("json_schema", schema=schema, strict=True)
)
results = (texts | arguments).filter(lambda text: not text.startswith(('{"output', '{"error')))
inline_pictures = pictures.filter(lambda picture: picture.url is None)


@st.composite
def result_of(draw: st.DrawFn, call: ToolCall) -> ToolResult:
    if draw(st.booleans()):
        return ToolResult(call.id, (Text(draw(texts)),), is_error=True)
    shown: list[Image] = draw(st.lists(inline_pictures, max_size=1))
    return ToolResult(call.id, (Text(draw(results)), *shown))


@st.composite
def gemini_turns(draw: st.DrawFn) -> tuple[Message, ...]:
    turns: list[Message] = []
    if draw(st.booleans()):
        turns.append(Message("system", tuple(draw(st.lists(plain_texts, min_size=1, max_size=2)))))
    asked: list[ToolCall] = []
    made = draw(st.lists(calls, max_size=6, unique_by=lambda call: call.id))
    for _ in range(draw(st.integers(1, 3))):
        answered = [draw(result_of(call)) for call in asked]
        said = draw(st.lists(plain_texts | pictures, min_size=0 if answered else 1, max_size=2))
        asked, made = made[:2], made[2:]
        thought = draw(st.lists(gemini_thoughts | plain_texts, min_size=0 if asked else 1, max_size=2))
        turns += [Message("user", (*answered, *said)), Message("assistant", (*thought, *asked))]
    return tuple(turns)


@st.composite
def gemini_requests(draw: st.DrawFn) -> ChatRequest:
    tools = tuple(draw(st.lists(st.builds(Tool, names, maybe(texts), maybe(objects)), max_size=2)))
    effort = draw(maybe(st.sampled_from(["low", "medium", "high", "xhigh"])))  # less may become "low"
    return ChatRequest(
        model=draw(names.map(lambda name: f"newer-{name}")),  # older ones have budgets for efforts
        messages=draw(gemini_turns()),
        max_output_tokens=draw(maybe(st.integers(1, 10**6))),
        choices=draw(st.integers(1, 5)),
        temperature=draw(maybe(st.floats(0, 2))),
        top_p=draw(maybe(probabilities)),
        top_k=draw(maybe(counts)),
        frequency_penalty=draw(maybe(st.floats(-2, 2))),
        presence_penalty=draw(maybe(st.floats(-2, 2))),
        seed=draw(maybe(counts)),
        stop=tuple(draw(st.lists(texts, max_size=5))),
        tools=tools,
        tool_choice=draw(maybe(choices)) if tools else None,
        response_format=draw(maybe(formats)),
        reasoning_effort=effort,
        thinking_budget_tokens=draw(maybe(st.integers(1, 10**5))) if effort is None else None,
        logprobs=draw(maybe(st.booleans())),
        top_logprobs=draw(maybe(st.integers(0, 20))),
        stream=draw(st.booleans()),
    )


@st.composite
def gemini_choice(draw: st.DrawFn, index: int) -> Choice:
    """No two texts in a row, which a stream would join, and nothing behind an open thought that would end it."""
    parts: list[Part] = []
    said = plain_texts | st.builds(Thinking, texts) | gemini_thoughts | foreign_thoughts | calls
    for part in draw(st.lists(said, max_size=4, unique_by=id)):
        last = parts[-1] if parts else None
        joins = isinstance(part, Text) and isinstance(last, Text)
        ends = isinstance(part, Thinking) and isinstance(last, Thinking) and last.signature is last.redacted is None
        if not joins and not ends:
            parts.append(part)
    return Choice(index, tuple(parts), draw(finish_reasons(parts)))


def _without_writes(usage: Usage) -> Usage:
    """Gemini has no price for writing to its cache."""
    written = usage.cache_write_5m_tokens
    return msgspec.structs.replace(usage, cache_write_5m_tokens=0, input_tokens=usage.input_tokens - written)


@st.composite
def gemini_responses(draw: st.DrawFn) -> ChatResponse:
    made = tuple(draw(gemini_choice(index)) for index in range(draw(st.integers(1, 3))))
    usage = draw(maybe(usages(anthropic=False).map(_without_writes)))
    return ChatResponse(draw(ids), draw(names), made, usage)
