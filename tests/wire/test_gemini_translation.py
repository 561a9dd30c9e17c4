"""Gemini's callers at other providers, and others' callers at Google."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from tests.wire import gemini_strategies, strategies, streams
from wire import anthropic_messages, gemini, openai_chat, openai_responses
from wire.dialect import Dialect
from wire.errors import ApiError
from wire.neutral import ChatRequest, ChatResponse, Choice, Message, Part, Text, Thinking, ToolCall

GEMINI: Dialect = gemini
OPENAI: Dialect = openai_chat
ANTHROPIC: Dialect = anthropic_messages
RESPONSES: Dialect = openai_responses

PICTURE = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLOSED = SCHEMA | {"additionalProperties": False}
GOOGLES_SCHEMA = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}

GEMINI_BODY = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "Where is this, and the weather there?"},
                {"inlineData": {"mimeType": "image/png", "data": PICTURE}},
                {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://pictures.example/a.jpg"}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "I look."},
                {"functionCall": {"name": "weather", "args": {"city": "Köln"}}},
                {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"output": "11 °C"}}},
                {"functionResponse": {"name": "weather", "response": {"celsius": 5}}},
                {"text": "And tomorrow?"},
            ],
        },
    ],
    "tools": [{"functionDeclarations": [{"name": "weather", "description": "Now", "parameters": GOOGLES_SCHEMA}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    "generationConfig": {
        "maxOutputTokens": 100,
        "temperature": 0.5,
        "stopSequences": ["END"],
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
        "responseMimeType": "application/json",
        "responseSchema": GOOGLES_SCHEMA,
    },
}

IN_OPENAI = {
    "model": "m",
    "max_tokens": 100,
    "temperature": 0.5,
    "stop": ["END"],
    "reasoning_effort": "low",
    "tool_choice": "auto",
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "response", "strict": True, "schema": CLOSED},
    },
    "tools": [{"type": "function", "function": {"name": "weather", "description": "Now", "parameters": SCHEMA}}],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is this, and the weather there?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
                {"type": "image_url", "image_url": {"url": "https://pictures.example/a.jpg"}},
            ],
        },
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "call_1_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Köln"}'},
                },
                {
                    "id": "call_1_2",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "call_1_1", "content": "11 °C"},
        {"role": "tool", "tool_call_id": "call_1_2", "content": '{"celsius":5}'},
        {"role": "user", "content": "And tomorrow?"},
    ],
}

IN_ANTHROPIC_MESSAGES = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Where is this, and the weather there?"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
            {"type": "image", "source": {"type": "url", "url": "https://pictures.example/a.jpg"}},
        ],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "call_1_1", "name": "weather", "input": {"city": "Köln"}},
            {"type": "tool_use", "id": "call_1_2", "name": "weather", "input": {"city": "Oslo"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "call_1_1", "content": [{"type": "text", "text": "11 °C"}]},
            {"type": "tool_result", "tool_use_id": "call_1_2", "content": [{"type": "text", "text": '{"celsius":5}'}]},
            {"type": "text", "text": "And tomorrow?"},
        ],
    },
]

IN_GEMINI = GEMINI_BODY | {
    "contents": [
        GEMINI_BODY["contents"][0],  # type: ignore[index]  # a list
        {
            "role": "model",
            "parts": [
                {"text": "I look."},
                {
                    "functionCall": {"id": "call_1_1", "name": "weather", "args": {"city": "Köln"}},
                    "thoughtSignature": "skip_thought_signature_validator",
                },
                {"functionCall": {"id": "call_1_2", "name": "weather", "args": {"city": "Oslo"}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "call_1_1", "name": "weather", "response": {"output": "11 °C"}}},
                {"functionResponse": {"id": "call_1_2", "name": "weather", "response": {"celsius": 5}}},
                {"text": "And tomorrow?"},
            ],
        },
    ],
    "tools": [{"functionDeclarations": [{"name": "weather", "description": "Now", "parametersJsonSchema": SCHEMA}]}],
    "generationConfig": {
        "maxOutputTokens": 100,
        "temperature": 0.5,
        "stopSequences": ["END"],
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"},
        "responseMimeType": "application/json",
        "responseJsonSchema": CLOSED,
    },
}


def opened(caller: Dialect, body: dict[str, Any]) -> ChatRequest:
    envelope = caller.open_chat(msgspec.json.encode(body))
    return caller.decode_chat(msgspec.structs.replace(envelope, model="m"))


def translated(caller: Dialect, body: dict[str, Any], provider: Dialect) -> Any:
    return msgspec.json.decode(provider.encode_chat(opened(caller, body)))


def test_gemini_s_caller_at_openai() -> None:
    assert translated(GEMINI, GEMINI_BODY, OPENAI) == IN_OPENAI


def test_gemini_s_caller_at_anthropic() -> None:
    told = translated(GEMINI, GEMINI_BODY, ANTHROPIC)

    assert told["messages"] == IN_ANTHROPIC_MESSAGES
    assert told["system"] == [{"type": "text", "text": "Be brief."}]
    assert told["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": CLOSED}}


def test_openai_s_caller_at_google() -> None:
    assert translated(OPENAI, IN_OPENAI, GEMINI) == IN_GEMINI


def test_anthropic_s_caller_at_google() -> None:
    body = {"model": "m", "max_tokens": 100, "messages": IN_ANTHROPIC_MESSAGES}

    assert translated(ANTHROPIC, body, GEMINI)["contents"] == IN_GEMINI["contents"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"generationConfig": {"topK": 5}}, "top_k"),
        ({"generationConfig": {"stopSequences": list("abcde")}}, "stop"),
    ],
)
def test_gemini_s_callers_hear_what_openai_cannot_do(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError, match=f"'{param}'"):
        translated(GEMINI, {"contents": [{"parts": [{"text": "x"}]}]} | fields, OPENAI)


# --- answers ---


def said(response: ChatResponse) -> list[Part]:
    """What every dialect can say of an answer, in the order that all of them keep."""
    parts = response.choices[0].parts
    text = "".join(part.text for part in parts if isinstance(part, Text))
    thinking = "".join(part.text for part in parts if isinstance(part, Thinking))
    return [Thinking(thinking), Text(text), *(part for part in parts if isinstance(part, ToolCall))]


@settings(max_examples=50)
@given(gemini_strategies.gemini_responses())
def test_gemini_s_answer_to_other_callers(response: ChatResponse) -> None:
    response = msgspec.structs.replace(response, choices=response.choices[:1])

    for caller in (OPENAI, ANTHROPIC):
        plain = caller.decode_response(caller.encode_response(response))
        stream = streams.encoded(caller, streams.events_of(response))
        streamed = streams.assembled(streams.decoded(caller, streams.split(caller, stream)))
        for told in (plain, streamed):
            assert said(told) == said(response)
            assert told.choices[0].finish == response.choices[0].finish


@settings(max_examples=50)
@given(strategies.anthropic_responses() | strategies.openai_responses())
def test_other_models_answers_to_gemini_s_caller(response: ChatResponse) -> None:
    plain = gemini.decode_response(gemini.encode_response(response))
    stream = streams.encoded(GEMINI, streams.events_of(response))
    streamed = streams.assembled(streams.decoded(GEMINI, streams.split(GEMINI, stream)))

    for told in (plain, streamed):
        assert said(told) == said(response)
        assert [choice.finish for choice in told.choices] == [choice.finish for choice in response.choices]
        assert (told.usage and told.usage.output_tokens) == (response.usage and response.usage.output_tokens)


# --- thoughts on their way through a caller and back ---

THOUGHT = ChatResponse(
    "r",
    "m",
    (Choice(0, (Thinking("Hm.", "gemini:c2ln"), ToolCall("c", "f", "{}")), "tool_calls"),),
    None,
)


def test_gemini_s_signature_comes_back_from_anthropic_s_caller() -> None:
    told = msgspec.json.decode(anthropic_messages.encode_response(THOUGHT))
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": told["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "1"}]},
    ]

    again = translated(ANTHROPIC, {"model": "m", "max_tokens": 9, "messages": history}, GEMINI)

    assert again["contents"][1]["parts"] == [
        {"text": "Hm.", "thought": True},
        {"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": "c2ln"},
    ]


def test_gemini_s_signature_comes_back_from_a_caller_of_responses() -> None:
    told = msgspec.json.decode(openai_responses.encode_response(THOUGHT))
    history = [*told["output"], {"type": "function_call_output", "call_id": "c", "output": "1"}]

    again = translated(RESPONSES, {"model": "m", "input": history}, GEMINI)

    call = next(part for part in again["contents"][0]["parts"] if "functionCall" in part)
    assert call["thoughtSignature"] == "c2ln"


@pytest.mark.parametrize("thought", [Thinking("Hm.", "c2ln"), Thinking(redacted="c2VhbGVk")])
def test_claude_s_signatures_come_back_from_gemini_s_caller(thought: Thinking) -> None:
    parts = (thought, ToolCall("c", "f", "{}"))
    told = msgspec.json.decode(gemini.encode_response(ChatResponse("r", "m", (Choice(0, parts, "tool_calls"),), None)))
    content = told["candidates"][0]["content"]
    result = {"role": "user", "parts": [{"functionResponse": {"name": "f", "id": "c", "response": {"output": "1"}}}]}

    request = opened(GEMINI, {"contents": [content, result]})

    assert request.messages[0] == Message("assistant", parts)
    assert gemini.encode_chat(request).count(b"skip_thought_signature_validator") == 1


def test_claude_is_not_shown_what_gemini_signed() -> None:
    history = Message("assistant", (Thinking("Hm.", "gemini:c2ln"), Text("Yes.")))

    told = msgspec.json.decode(anthropic_messages.encode_chat(ChatRequest("m", (history,))))

    assert told["messages"][0]["content"] == [{"type": "text", "text": "Yes."}]


def test_nor_in_the_bytes_that_pass_through_to_it() -> None:
    kept = b'{"type": "thinking", "thinking": "Hm.", "signature": "Claude\'s"}'
    dropped = b'{"type":"thinking","thinking":"Hm.","signature":"gemini:c2ln"}'
    unsigned = b'{"type":"thinking","thinking":"Hm.","signature":""}'
    called = b'{"type":"tool_use","id":"c","name":"f","input":{"n": 1e2}}'
    said, alone = b'{"role":"assistant","content":[%s,%s,%s]}', b'{"role":"assistant","content":[%s]}'
    expected = b'[{"role":"user","content":"Hi"},{"role":"assistant","content":[%s,%s]}]' % (kept, called)

    for foreign in (dropped, unsigned):
        turns = (said % (kept, foreign, called), alone % foreign)
        body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"},%s,%s]}' % turns
        envelope = anthropic_messages.open_chat(body)
        rewritten = anthropic_messages.rewrite_chat(envelope, model="claude-m", max_output_tokens=None)
        assert rewritten == b'{"model":"claude-m","max_tokens":9,"messages":%s}' % expected


def test_other_hosts_get_their_models_unsigned_thinking_back() -> None:
    """Kimi refuses a conversation without it."""
    said = b'[{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":""}]}]'
    envelope = anthropic_messages.open_chat(b'{"model":"m","max_tokens":9,"messages":%s}' % said)

    assert said in anthropic_messages.rewrite_chat(envelope, model="kimi-k2", max_output_tokens=None)
