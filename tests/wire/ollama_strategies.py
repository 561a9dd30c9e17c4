"""Neutral requests and answers for Hypothesis, as far as Ollama's API can say them."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import msgspec
from hypothesis import strategies as st

from tests.wire.strategies import (
    call_lists,
    counts,
    ids,
    maybe,
    names,
    objects,
    openai_choice,
    plain_texts,
    probabilities,
    texts,
)
from wire.neutral import (
    ChatRequest,
    ChatResponse,
    Image,
    Message,
    Part,
    ResponseFormat,
    Thinking,
    Tool,
    ToolResult,
    Usage,
)

ollama_pictures = st.sampled_from(
    [
        Image(data=b64encode(b"\x89PNG\r\n\x1a\n" + bytes(9)).decode(), media_type="image/png"),
        Image(data=b64encode(b"\xff\xd8\xff\xe0" + bytes(9)).decode(), media_type="image/jpeg"),
    ]
)


def text_then_pictures(*, min_texts: int = 0) -> st.SearchStrategy[tuple[Part, ...]]:
    said = st.lists(plain_texts, min_size=min_texts, max_size=1)
    shown = st.lists(ollama_pictures, min_size=1 - min_texts, max_size=2)
    return st.tuples(said, shown).map(lambda both: (*both[0], *both[1]))


@st.composite
def ollama_answered(draw: st.DrawFn) -> Message:
    made: list[Part] = list(draw(call_lists))
    said: list[Part] = list(draw(st.lists(plain_texts, max_size=1, min_size=0 if made else 1)))
    thought: list[Part] = list(draw(st.lists(st.builds(Thinking, texts), max_size=1)))
    return Message("assistant", (*thought, *said, *made))


ollama_messages = st.one_of(
    plain_texts.map(lambda text: Message("system", (text,))),
    text_then_pictures().map(lambda parts: Message("user", parts)),
    text_then_pictures(min_texts=1).map(lambda parts: Message("user", parts)),
    ollama_answered(),
    st.builds(ToolResult, ids, text_then_pictures(min_texts=1)).map(lambda result: Message("user", (result,))),
)
ollama_formats = st.just(ResponseFormat("json_object")) | objects.filter(bool).map(
    lambda schema: ResponseFormat("json_schema", schema=schema, strict=True)
)


@st.composite
def ollama_requests(draw: st.DrawFn) -> ChatRequest:
    return ChatRequest(
        model=draw(names),
        messages=tuple(draw(st.lists(ollama_messages, min_size=1, max_size=5))),
        max_output_tokens=draw(maybe(st.integers(1, 10**6))),
        temperature=draw(maybe(st.floats(0, 2))),
        top_p=draw(maybe(probabilities)),
        top_k=draw(maybe(counts)),
        frequency_penalty=draw(maybe(st.floats(-2, 2))),
        presence_penalty=draw(maybe(st.floats(-2, 2))),
        seed=draw(maybe(counts)),
        stop=tuple(draw(st.lists(texts, max_size=6))),
        tools=tuple(draw(st.lists(st.builds(Tool, names, maybe(texts), maybe(objects)), max_size=2))),
        response_format=draw(maybe(ollama_formats)),
        reasoning_effort=draw(maybe(st.sampled_from(["none", "low", "medium", "high", "max"]))),
        logprobs=draw(maybe(st.booleans())),
        top_logprobs=draw(maybe(st.integers(0, 20))),
        stream=draw(st.booleans()),
    )


@st.composite
def ollama_responses(draw: st.DrawFn) -> ChatResponse:
    """Its id is made of its time."""
    created = draw(counts)
    time = datetime.fromtimestamp(created, UTC).strftime("%Y%m%dT%H%M%SZ")
    usage = draw(maybe(st.builds(Usage, input_tokens=st.integers(1, 10**9), output_tokens=counts)))
    if usage is not None:
        usage = msgspec.structs.replace(usage, cached_input_tokens=draw(st.integers(0, usage.input_tokens)))
    choice = draw(openai_choice(0))
    return ChatResponse(f"ollama-{time}", draw(names), (choice,), usage, created)
