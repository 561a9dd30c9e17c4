"""Neutral requests and answers for Hypothesis, as far as OpenAI's Responses API can say them."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from tests.wire.strategies import (
    calls,
    choices,
    counts,
    finish_reasons,
    ids,
    maybe,
    names,
    openai_formats,
    openai_settings,
    pictures,
    plain_texts,
    schemas,
    texts,
    thoughts,
    usages,
)
from wire.neutral import ChatRequest, ChatResponse, Choice, Message, Part, Thinking, Tool, ToolCall, ToolResult

detailed_pictures = st.builds(msgspec.structs.replace, pictures, detail=st.sampled_from([None, "low", "high"]))


@st.composite
def responses_turns(draw: st.DrawFn) -> tuple[Message, ...]:
    """What an assistant does in a row is one message there."""
    shown = st.lists(plain_texts | detailed_pictures, min_size=1, max_size=2).map(tuple)
    asked = st.one_of(
        st.builds(Message, st.just("system"), st.lists(plain_texts, min_size=1, max_size=2).map(tuple)),
        st.builds(Message, st.just("user"), shown),
        st.builds(ToolResult, ids, shown).map(lambda result: Message("user", (result,))),
    )
    answered = st.lists(plain_texts | calls, min_size=1, max_size=3).map(
        lambda parts: Message("assistant", tuple(parts))
    )
    turns = []
    for _ in range(draw(st.integers(1, 3))):
        turns += [*draw(st.lists(asked, min_size=1, max_size=2)), draw(answered)]
    return tuple(turns)


@st.composite
def responses_requests(draw: st.DrawFn) -> ChatRequest:
    tools = tuple(draw(st.lists(st.builds(Tool, names, maybe(texts), maybe(schemas), st.booleans()), max_size=2)))
    return ChatRequest(
        **draw(openai_settings()),
        messages=draw(responses_turns()),
        max_output_tokens=draw(maybe(st.integers(1, 10**6))),
        tools=tools,
        tool_choice=draw(maybe(choices)) if tools else None,
        parallel_tool_calls=draw(maybe(st.booleans())) if tools else None,
        response_format=draw(maybe(openai_formats)),
        logprobs=draw(st.sampled_from([None, True])),
        stream=draw(st.booleans()),
        end_user=draw(maybe(names)),
    )


@st.composite
def distinct_neighbours(draw: st.DrawFn, parts: st.SearchStrategy[Part]) -> tuple[Part, ...]:
    """No two texts or thoughts in a row, which a stream would join; calls have ids of their own."""
    kept: list[Part] = []
    for part in draw(st.lists(parts, max_size=4, unique_by=lambda part: getattr(part, "id", id(part)))):
        if isinstance(part, ToolCall) or not (kept and type(kept[-1]) is type(part)):
            kept.append(part)
    return tuple(kept)


@st.composite
def responses_responses(draw: st.DrawFn) -> ChatResponse:
    parts = draw(distinct_neighbours(thoughts | st.builds(Thinking, texts) | plain_texts | calls))
    usage = draw(maybe(usages(anthropic=True)))
    if usage is not None:  # there is one price for writing to OpenAI's cache
        usage = msgspec.structs.replace(
            usage, cache_write_1h_tokens=0, input_tokens=usage.input_tokens - usage.cache_write_1h_tokens
        )
    choice = Choice(0, parts, draw(finish_reasons(parts)))
    return ChatResponse(draw(ids), draw(names), (choice,), usage, draw(counts))
