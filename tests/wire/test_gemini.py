"""Gemini's requests, opened, decoded and encoded: what is particular to them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
import pytest
from google.genai import types as google
from hypothesis import given, settings

from tests.wire import gemini_strategies
from wire import gemini
from wire.dialect import Dialect
from wire.errors import ApiError, Code
from wire.neutral import (
    ChatRequest,
    Image,
    Message,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

DIALECT: Dialect = gemini
HELLO = [{"role": "user", "parts": [{"text": "Hello"}]}]
PICTURE = "iVBORw0KGgo="


def body(**fields: Any) -> bytes:
    return msgspec.json.encode({"contents": HELLO} | fields)


def decoded(**fields: Any) -> ChatRequest:
    return gemini.decode_chat(gemini.open_chat(body(**fields)))


def configured(**config: Any) -> ChatRequest:
    return decoded(generationConfig=config)


def encoded(*messages: Message, **fields: Any) -> Any:
    request = ChatRequest("gemini-3.8-flash", messages or (Message("user", (Text("Hello"),)),), **fields)
    return msgspec.json.decode(gemini.encode_chat(request))


# --- opening ---


def test_an_envelope_holds_what_routing_and_the_books_need() -> None:
    config = {"maxOutputTokens": 9, "candidateCount": 2, "temperature": 0}
    raw = body(systemInstruction={"parts": [{"text": "Be kind."}]}, generationConfig=config)

    envelope = gemini.open_chat(raw)

    assert (envelope.max_output_tokens, envelope.choices, envelope.temperature) == (9, 2, 0)
    assert (envelope.model, envelope.stream, envelope.show_usage) == ("", False, True)
    assert envelope.input_bytes == len(msgspec.json.encode(HELLO)) + len('{"parts":[{"text":"Be kind."}]}')


def test_names_may_be_in_snake_case() -> None:
    fields = {
        "system_instruction": {"parts": {"text": "Be kind."}},
        "generation_config": {"max_output_tokens": 9, "top_k": 40.0, "thinking_config": {"thinking_budget": 100}},
        "tools": {"function_declarations": [{"name": "f", "parameters_json_schema": {"snake_case": 1}}]},
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
        "contents": {"parts": {"inline_data": {"mime_type": "image/png", "data": PICTURE}}},
    }
    envelope = gemini.open_chat(msgspec.json.encode(fields))

    request = gemini.decode_chat(envelope)

    assert envelope.max_output_tokens == 9
    assert request.top_k == 40
    assert request.thinking_budget_tokens == 100
    assert request.tools == (Tool("f", parameters={"snake_case": 1}),)
    assert request.tool_choice == ToolChoice("tool", "f")
    assert request.messages == (
        Message("system", (Text("Be kind."),)),
        Message("user", (Image(data=PICTURE, media_type="image/png"),)),
    )


def test_what_callers_name_themselves_keeps_its_names_and_numbers() -> None:
    args = b'{"snake_case": 1e2, "big": 12345678901234567890}'
    raw = b'{"contents":[{"role":"model","parts":[{"function_call":{"name":"f","args":%s}}]}]}' % args

    (message,) = gemini.decode_chat(gemini.open_chat(raw)).messages

    assert message.parts == (ToolCall("call_0_0", "f", args.decode()),)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"contents": []}, "contents"),
        ({"contents": None}, "contents"),
        ({"generationConfig": []}, "generationConfig"),
        ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"candidateCount": 0}}, "generationConfig.candidateCount"),
        ({"generation_config": {"candidate_count": 1.5}}, "generationConfig.candidateCount"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        gemini.open_chat(body(**fields))

    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


@pytest.mark.parametrize(("media_type", "most"), [("image/png", 16_500), ("audio/mp3", 7_000), ("video/mp4", 7_000)])
def test_media_count_by_what_a_model_makes_of_them(media_type: str, most: int) -> None:
    blob = {"inlineData": {"mimeType": media_type, "data": "A" * 100_000}}

    assert gemini.open_chat(body(contents=[{"parts": [blob]}])).input_bytes < most


def test_a_document_counts_as_text() -> None:
    blob = {"inline_data": {"mime_type": "application/pdf", "data": "A" * 100_000}}

    assert gemini.open_chat(body(contents=[{"parts": [blob]}])).input_bytes > 100_000


# --- passing on ---


def test_a_bound_is_imposed_and_all_else_stays() -> None:
    raw = body(generationConfig={"temperature": 1, "responseSchema": {"x": 1.0}}, unknown={"a": [1, 2.50]})

    rewritten = gemini.rewrite_chat(gemini.open_chat(raw), model="other", max_output_tokens=77)

    config = b'"generationConfig":{"temperature":1,"responseSchema":{"x":1.0},"maxOutputTokens":77}'
    assert config in rewritten
    assert b'"unknown":{"a":[1,2.5]}' in rewritten
    assert msgspec.json.decode(rewritten)["contents"] == HELLO


def test_a_bound_given_twice_goes_on_once() -> None:
    raw = b'{"contents":[{}],"generationConfig":{"maxOutputTokens":9,"max_output_tokens":5,"maxOutputTokens":7}}'
    envelope = gemini.open_chat(raw)

    rewritten = gemini.rewrite_chat(envelope, model="m", max_output_tokens=None)

    assert rewritten.count(b"utputTokens") == 1
    assert msgspec.json.decode(rewritten)["generationConfig"] == {"maxOutputTokens": envelope.max_output_tokens}


def test_a_model_in_the_body_is_replaced_too() -> None:
    envelope = gemini.open_chat(body(model="models/mine"))

    rewritten = gemini.rewrite_chat(envelope, model="theirs", max_output_tokens=None)

    assert envelope.model == "mine"
    assert msgspec.json.decode(rewritten)["model"] == "models/theirs"


@pytest.mark.parametrize("name", ["thoughtSignature", "thought_signature"])
def test_google_is_not_shown_what_others_signed(name: str) -> None:
    signatures = ["bWluZQ==", *(b64encode(mark + b"~~~").decode() for mark in (b"elsewhere", b"sealed-by"))]
    parts = [{"functionCall": {"name": "f"}, name: signature} for signature in signatures]

    rewritten = gemini.rewrite_chat(
        gemini.open_chat(body(contents=[{"role": "model", "parts": parts}])), model="m", max_output_tokens=None
    )

    (content,) = msgspec.json.decode(rewritten)["contents"]
    unsigned = "skip_thought_signature_validator"
    assert [part[name] for part in content["parts"]] == ["bWluZQ==", unsigned, unsigned]


@pytest.mark.parametrize("empty", [b"", b', "thoughtSignature": null', b', "thoughtSignature": ""'])
@pytest.mark.parametrize("name", ["functionCall", "function_call"])
def test_gemini_3_gets_a_signature_on_the_first_call_of_a_step(name: str, empty: bytes) -> None:
    """Of others' calls too, which have none: it refuses them. What it said itself stays as it came."""
    own = b'{"role": "model", "parts": [{"%s": {"name": "f"}, "thoughtSignature": "c2ln"}, {"%s": {"name": "g"}}]}'
    made = b'{"role": "model", "parts": [{"text": "So."},{"%s": {"args": {"n": 1e2}}EMPTY},{"%s": {"name": "g"}}]}'
    made = made.replace(b"EMPTY", empty)
    asked = b'{"parts": [{"text": "functionCall"}]}'
    contents = b"[%s]" % b",".join((asked, *(turn.replace(b"%s", name.encode()) for turn in (own, made))))
    envelope = gemini.open_chat(b'{"contents":%s}' % contents)

    newer, older = (
        gemini.rewrite_chat(envelope, model=f"gemini-{n}", max_output_tokens=None) for n in ("3-pro", "2.5")
    )

    assert older == b'{"contents":%s}' % contents
    signed = msgspec.json.decode(contents)
    signed[2]["parts"][1]["thoughtSignature"] = "skip_thought_signature_validator"
    assert msgspec.json.decode(newer) == {"contents": signed}
    assert b'{"n": 1e2}' in newer


# --- decoding ---


def test_settings_are_understood() -> None:
    request = configured(
        temperature=0.5,
        topP=0.9,
        topK=40,
        seed=7,
        stopSequences=["END"],
        presencePenalty=0.1,
        frequencyPenalty=0.2,
        responseLogprobs=True,
        logprobs=3,
        mediaResolution="MEDIA_RESOLUTION_LOW",
        responseModalities=["TEXT"],
    )

    assert (request.temperature, request.top_p, request.top_k, request.seed) == (0.5, 0.9, 40, 7)
    assert (request.presence_penalty, request.frequency_penalty, request.stop) == (0.1, 0.2, ("END",))
    assert (request.logprobs, request.top_logprobs) == (True, 3)


@pytest.mark.parametrize(
    ("thinking", "effort", "budget"),
    [
        *(({"thinkingLevel": level}, level.lower(), None) for level in ("MINIMAL", "MEDIUM", "HIGH", "XHIGH")),
        ({"thinkingLevel": "low", "includeThoughts": True}, "low", None),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, None, None),
        ({"thinkingBudget": 0}, "none", None),
        ({"thinkingBudget": -1}, None, None),
        ({"thinkingBudget": 1}, None, 1),
        ({"thinkingBudget": 500}, None, 500),
    ],
)
def test_thinking_is_understood(thinking: dict[str, Any], effort: str | None, budget: int | None) -> None:
    request = configured(thinkingConfig=thinking)

    assert (request.reasoning_effort, request.thinking_budget_tokens) == (effort, budget)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"responseMimeType": "text/plain"}, ResponseFormat("text")),
        ({"responseMimeType": "application/json"}, ResponseFormat("json_object")),
        (
            {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}},
            ResponseFormat("json_schema", None, {"type": "object"}, strict=True),
        ),
        (
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
            ResponseFormat("json_schema", None, {"type": "object"}, strict=True),
        ),
    ],
)
def test_formats_are_understood(config: dict[str, Any], expected: ResponseFormat) -> None:
    assert configured(**config).response_format == expected


def test_google_s_schemas_become_json_schemas() -> None:
    schema = {
        "type": "OBJECT",
        "nullable": True,
        "required": ["city"],
        "propertyOrdering": ["city"],
        "properties": {
            "city": {"type": "STRING", "minLength": "1", "maxLength": "40", "example": "Paris"},
            "kind": {"type": "STRING", "format": "enum", "enum": ["a", "b"], "nullable": True},
            "days": {"type": "ARRAY", "items": {"type": "INTEGER", "minimum": 1}, "max_items": 7},
            "any": {"any_of": [{"type": "NUMBER"}, {"type": "NULL"}]},
            "type": {"$ref": "#/$defs/x", "nullable": True},
        },
        "defs": {"x": {"type": "BOOLEAN"}},
    }
    declared = [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]

    (tool,) = decoded(tools=declared).tools

    assert tool.parameters == {
        "type": ["object", "null"],
        "required": ["city"],
        "properties": {
            "city": {"type": "string", "minLength": 1, "maxLength": 40, "examples": ["Paris"]},
            "kind": {"type": ["string", "null"], "format": "enum", "enum": ["a", "b", None]},
            "days": {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": 7},
            "any": {"anyOf": [{"type": "number"}, {"type": "null"}]},
            "type": {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]},
        },
        "$defs": {"x": {"type": "boolean"}},
    }


@pytest.mark.parametrize(
    ("calling", "expected"),
    [
        ({}, None),
        ({"mode": "MODE_UNSPECIFIED"}, None),
        ({"mode": "AUTO"}, ToolChoice("auto")),
        ({"mode": "NONE"}, ToolChoice("none")),
        ({"mode": "ANY"}, ToolChoice("required")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("tool", "f")),
        ({"mode": "ANY", "allowedFunctionNames": ["g", "f"]}, ToolChoice("required")),
    ],
)
def test_choices_of_tools_are_understood(calling: dict[str, Any], expected: ToolChoice | None) -> None:
    tools = [{"functionDeclarations": [{"name": "f"}]}, {"functionDeclarations": [{"name": "g"}]}]

    assert decoded(tools=tools, toolConfig={"functionCallingConfig": calling}).tool_choice == expected


def test_validated_calls_are_of_strict_tools() -> None:
    request = decoded(
        tools=[{"functionDeclarations": [{"name": "f"}]}],
        toolConfig={"functionCallingConfig": {"mode": "VALIDATED"}},
    )

    assert (request.tool_choice, request.tools[0].strict) == (ToolChoice("auto"), True)


def test_results_without_ids_belong_to_the_earliest_open_call_of_their_name() -> None:
    def call(name: str, **members: Any) -> dict[str, Any]:
        return {"functionCall": {"name": name, "args": {}} | members}

    def result(name: str, value: str, **members: Any) -> dict[str, Any]:
        return {"functionResponse": {"name": name, "response": {"output": value}} | members}

    request = decoded(
        contents=[
            {"role": "model", "parts": [call("f"), call("g"), call("f"), call("f", id="mine")]},
            {
                "role": "function",
                "parts": [result("f", "1"), result("f", "own", id="mine"), result("g", "2"), result("f", "3")],
            },
            {"role": "model", "parts": [call("f")]},
            {"role": "user", "parts": [result("f", "4")]},
        ]
    )

    first, second = (
        [part for part in message.parts if isinstance(part, ToolResult)] for message in request.messages[1::2]
    )
    assert [(each.call_id, each.parts) for each in first] == [
        ("call_0_0", (Text("1"),)),
        ("mine", (Text("own"),)),
        ("call_0_1", (Text("2"),)),
        ("call_0_2", (Text("3"),)),
    ]
    assert second[0].call_id == "call_2_0"


def test_results_are_understood() -> None:
    made = [{"functionCall": {"name": "f", "id": key}} for key in "abcd"]
    picture = {"inlineData": {"mimeType": "image/png", "data": "-_8"}}
    given = [
        {"output": "text"},
        {"error": "gone"},
        {"result": 1},
        {"output": {"a": 1}},
    ]
    results = [
        {"functionResponse": {"name": "f", "id": key, "response": response}}
        for key, response in zip("abcd", given, strict=True)
    ]
    results[0]["functionResponse"]["parts"] = [picture]

    request = decoded(contents=[{"role": "model", "parts": made}, {"role": "user", "parts": results}])

    assert request.messages[1].parts == (
        ToolResult("a", (Text("text"), Image(data="+/8=", media_type="image/png"))),
        ToolResult("b", (Text("gone"),), is_error=True),
        ToolResult("c", (Text('{"result":1}'),)),
        ToolResult("d", (Text('{"output":{"a":1}}'),)),
    )


def test_thoughts_keep_their_signatures() -> None:
    elsewhere = b64encode(b"elsewhere" + b"~~~claude's???").decode().replace("+", "-").replace("/", "_")
    sealed = b64encode(b"sealed-by" + b"secret").decode().rstrip("=")
    parts = [
        {"text": "Hm.", "thought": True},
        {"functionCall": {"name": "f", "id": "1"}, "thoughtSignature": "c2ln"},
        {"text": "Ah.", "thought": True, "thoughtSignature": elsewhere},
        {"text": "Yes", "thoughtSignature": "dGV4dA=="},
        {"text": "", "thoughtSignature": sealed},
        {"functionCall": {"name": "f", "id": "2"}, "thoughtSignature": "skip_thought_signature_validator"},
    ]

    (message,) = decoded(contents=[{"role": "model", "parts": parts}]).messages

    assert message.parts == (
        Thinking("Hm.", "gemini:c2ln"),
        ToolCall("1", "f", "{}"),
        Thinking("Ah.", "~~~claude's???"),
        Text("Yes"),
        Thinking("", "gemini:dGV4dA=="),
        Thinking(redacted="secret"),
        ToolCall("2", "f", "{}"),
    )


@pytest.mark.parametrize("damage", ["A", "=AA", "ä", "/w==", ""])
@pytest.mark.parametrize("mark", [b"elsewhere", b"sealed-by"])
def test_a_signature_of_others_that_was_damaged_on_its_way_breaks_no_call(mark: bytes, damage: str) -> None:
    """It is that provider's to refuse."""
    call = {"functionCall": {"name": "f", "id": "1"}, "thoughtSignature": b64encode(mark).decode() + damage}

    (message,) = decoded(contents=[{"role": "model", "parts": [call]}]).messages

    assert [type(part) for part in message.parts] == [Thinking, ToolCall]


PDF = {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}}
GOOGLES_FILE = {
    "fileData": {"mimeType": "image/png", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}
}
UNTRANSLATABLE: list[tuple[dict[str, Any], str]] = [
    ({"cachedContent": "cachedContents/x"}, "cachedContent"),
    ({"serviceTier": "priority"}, "serviceTier"),
    ({"safetySettings": [{"category": "C", "threshold": "BLOCK_LOW_AND_ABOVE"}]}, "safetySettings[0]"),
    ({"generationConfig": {"responseModalities": ["AUDIO"]}}, "generationConfig.responseModalities"),
    ({"generationConfig": {"speechConfig": {"x": 1}}}, "generationConfig.speechConfig"),
    ({"generationConfig": {"responseMimeType": "text/x.enum"}}, "generationConfig.responseMimeType"),
    ({"tools": [{"googleSearch": {}}]}, "tools[0].googleSearch"),
    ({"tools": [{"code_execution": {}}]}, "tools[0].codeExecution"),
    ({"contents": [{"parts": [PDF]}]}, "contents[0].parts[0].inlineData"),
    ({"contents": [{"parts": [GOOGLES_FILE]}]}, "contents[0].parts[0].fileData"),
    ({"contents": [{"parts": [{"executableCode": {"code": "1"}}]}]}, "contents[0].parts[0].executableCode"),
    ({"contents": [{"parts": [{"text": "x", "videoMetadata": {"fps": 1}}]}]}, "contents[0].parts[0].videoMetadata"),
    (
        {
            "tools": [{"functionDeclarations": [{"name": name} for name in "fgh"]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}},
        },
        "toolConfig.functionCallingConfig.allowedFunctionNames",
    ),
    (
        {
            "tools": [{"functionDeclarations": [{"name": name} for name in "fg"]}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["f"]}},
        },
        "toolConfig.functionCallingConfig.allowedFunctionNames",
    ),
    (
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"oneOf": []}}]}]},
        "tools[0].functionDeclarations[0].parameters.oneOf",
    ),
]


@pytest.mark.parametrize(("fields", "param"), UNTRANSLATABLE, ids=[param for _, param in UNTRANSLATABLE])
def test_what_others_cannot_do_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        decoded(**fields)

    assert (caught.value.code, caught.value.param) == (Code.UNSUPPORTED_FIELD, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"contents": [{"role": "system", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [{}]}]}, "contents[0].parts[0]"),
        (
            {"contents": [{"parts": [{"functionCall": {"name": "f", "args": 1}}]}]},
            "contents[0].parts[0].functionCall.args",
        ),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f"}}]}]}, "contents[0].parts[0].functionResponse"),
        (
            {"contents": [{"parts": [{"functionResponse": {"name": "f", "id": "c", "response": 1}}]}]},
            "contents[0].parts[0].functionResponse.response",
        ),
        (
            {"contents": [{"parts": [{"functionResponse": {"name": "f", "id": "c", "response": {}, "parts": [{}]}}]}]},
            "contents[0].parts[0].functionResponse.parts[0]",
        ),
        (
            {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"minLength": "few"}}]}]},
            "tools[0].functionDeclarations[0].parameters.minLength",
        ),
        ({"generationConfig": {"topK": 1.5}}, "generationConfig.topK"),
        ({"generationConfig": {"temperature": 3}}, "generationConfig.temperature"),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOTS"}}},
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": -2}}},
            "generationConfig.thinkingConfig.thinkingBudget",
        ),
    ],
)
def test_what_nobody_can_mean_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        decoded(**fields)

    assert caught.value.param == param


def test_filters_that_are_off_and_labels_go_without_saying() -> None:
    settings = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]

    assert decoded(safetySettings=settings, labels={"team": "x"}, store=False).messages


# --- encoding ---


def test_system_messages_become_the_instruction() -> None:
    told = encoded(
        Message("system", (Text("Be brief."), Text(" "))),
        Message("user", (Text("Hi"),)),
        Message("system", (Text("Now."),)),
    )

    assert told["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Now."}]}
    assert told["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert "systemInstruction" not in encoded(Message("system", (Text(" "),)), Message("user", (Text("Hi"),)))


def test_calls_and_their_results_find_each_other() -> None:
    told = encoded(
        Message("assistant", (Text("I look."), ToolCall("a", "f", '{"n": 1}'), ToolCall("b", "g", ""))),
        Message("user", (ToolResult("b", (Text("2"),)),)),
        Message(
            "user", (Text("Well?"), ToolResult("a", (Text('{"x": 1}'), Image(data=PICTURE, media_type="image/png"))))
        ),
    )

    assert told["contents"] == [
        {
            "role": "model",
            "parts": [
                {"text": "I look."},
                {
                    "functionCall": {"id": "a", "name": "f", "args": {"n": 1}},
                    "thoughtSignature": "skip_thought_signature_validator",
                },
                {"functionCall": {"id": "b", "name": "g", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "b", "name": "g", "response": {"output": "2"}}},
                {
                    "functionResponse": {
                        "id": "a",
                        "name": "f",
                        "response": {"x": 1},
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": PICTURE}}],
                    }
                },
                {"text": "Well?"},
            ],
        },
    ]


def test_a_result_goes_out_as_it_is_whatever_numbers_it_holds() -> None:
    result = ToolResult("a", (Text('{"x": 1e400}'),))
    messages = Message("assistant", (ToolCall("a", "f", "{}"),)), Message("user", (result,))

    assert b'"response":{"x": 1e400}' in gemini.encode_chat(ChatRequest(model="m", messages=messages))


def test_only_gemini_s_own_thoughts_go_back_to_it() -> None:
    told = encoded(
        Message(
            "assistant",
            (
                Thinking("DeepSeek's"),
                Thinking("Claude's", "sig"),
                Thinking(redacted="Claude's"),
                Thinking("Mine", "gemini:abc"),
                ToolCall("a", "f", "{}"),
                Text("Done"),
                Thinking("", "gemini:def"),
            ),
        )
    )

    assert told["contents"][0]["parts"] == [
        {"text": "Mine", "thought": True},
        {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "abc"},
        {"text": "Done"},
        {"text": "", "thoughtSignature": "def"},
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reasoning_effort": "medium"}, {"includeThoughts": True, "thinkingLevel": "MEDIUM"}),
        ({"thinking_budget_tokens": 5, "reasoning_effort": "low"}, {"includeThoughts": True, "thinkingBudget": 5}),
    ],
)
def test_thinking_is_asked_for(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert encoded(**fields)["generationConfig"]["thinkingConfig"] == expected


@pytest.mark.parametrize(
    ("model", "unthinking", "least"),
    [
        ("gemini-2.0-flash", {"thinkingBudget": 0}, {"thinkingBudget": 1024}),
        ("gemini-2.5-flash-lite", {"thinkingBudget": 0}, {"thinkingBudget": 1024}),
        ("gemini-2.5-pro", {"thinkingBudget": 128}, {"thinkingBudget": 1024}),
        ("gemini-3-flash-preview", {"thinkingLevel": "MINIMAL"}, {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.5-flash-lite", {"thinkingLevel": "MINIMAL"}, {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.7-flash", {"thinkingLevel": "LOW"}, {"thinkingLevel": "LOW"}),
        ("gemini-3-pro-preview", {"thinkingLevel": "LOW"}, {"thinkingLevel": "LOW"}),
        ("gemini-flash-latest", {"thinkingLevel": "LOW"}, {"thinkingLevel": "LOW"}),
    ],
)
def test_models_that_always_think_are_asked_for_the_least_of_it(
    model: str, unthinking: dict[str, Any], least: dict[str, Any]
) -> None:
    def asked(effort: str) -> Any:
        request = ChatRequest(model, (Message("user", (Text("Hi"),)),), reasoning_effort=effort)
        return msgspec.json.decode(gemini.encode_chat(request))["generationConfig"]["thinkingConfig"]

    assert asked("none") == unthinking
    assert asked("minimal") == {"includeThoughts": True, **least}


@pytest.mark.parametrize("effort", ["xhigh", "max"])
@pytest.mark.parametrize(
    ("model", "level"), [("gemini-3.1-pro-preview", "HIGH"), ("gemini-3.8-flash", "HIGH"), ("gemini-4-pro", "XHIGH")]
)
def test_the_third_generation_knows_nothing_above_high(model: str, level: str, effort: str) -> None:
    request = ChatRequest(model, (Message("user", (Text("Hi"),)),), reasoning_effort=effort)

    told = msgspec.json.decode(gemini.encode_chat(request))

    assert told["generationConfig"]["thinkingConfig"] == {"includeThoughts": True, "thinkingLevel": level}


def test_older_models_get_a_budget_for_an_effort() -> None:
    request = ChatRequest("gemini-2.5-flash", (Message("user", (Text("Hi"),)),), reasoning_effort="medium")

    told = msgspec.json.decode(gemini.encode_chat(request))

    assert told["generationConfig"]["thinkingConfig"] == {"includeThoughts": True, "thinkingBudget": 8192}


@pytest.mark.parametrize(
    ("model", "most"), [("gemini-2.5-pro", 32_768), ("gemini-2.5-flash", 24_576), ("gemini-3-flash-preview", 60_000)]
)
def test_no_model_is_given_a_budget_above_what_it_takes(model: str, most: int) -> None:
    """Claude's callers ask for 31,999 and more; Google answers 400."""
    request = ChatRequest(model, (Message("user", (Text("Hi"),)),), thinking_budget_tokens=60_000)

    told = msgspec.json.decode(gemini.encode_chat(request))

    assert told["generationConfig"]["thinkingConfig"] == {"includeThoughts": True, "thinkingBudget": most}


def test_strict_tools_are_validated() -> None:
    tools = (Tool("f", strict=True), Tool("g"))

    auto, forced = encoded(tools=tools), encoded(tools=tools, tool_choice=ToolChoice("tool", "f"))

    assert auto["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert forced["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}


def test_a_picture_s_address_tells_its_type() -> None:
    pictures = Message("user", (Image(url="https://p.example/a.JPG?x=.gif"), Image(url="https://p.example/b")))

    (turn,) = encoded(pictures)["contents"]

    assert [part["fileData"] for part in turn["parts"]] == [
        {"fileUri": "https://p.example/a.JPG?x=.gif", "mimeType": "image/jpeg"},
        {"fileUri": "https://p.example/b"},
    ]


@pytest.mark.parametrize("ending", ["png", "jpeg", "webp", "gif", "heic", "heif"])
def test_a_picture_s_ending_is_its_type(ending: str) -> None:
    url = f"https://p.example/a.{ending}"

    (turn,) = encoded(Message("user", (Image(url=url),)))["contents"]

    assert turn["parts"] == [{"fileData": {"fileUri": url, "mimeType": f"image/{ending}"}}]


@pytest.mark.parametrize(
    ("messages", "fields", "param"),
    [
        ((), {"parallel_tool_calls": False}, "parallel_tool_calls"),
        ((), {"stop": tuple("abcdef")}, "stop"),
        ((), {"reasoning_effort": "odd"}, "reasoning_effort"),
        ((Message("user", (Text("Hi"),), "Ann"),), {}, "messages[0].name"),
        ((Message("system", (Text("Hi"),)),), {}, "messages"),
        ((Message("user", (ToolResult("x", (Text("1"),)),)),), {}, "messages[0]"),
    ],
)
def test_what_gemini_cannot_do_is_refused_by_name(messages: Any, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        encoded(*messages, **fields)

    assert caught.value.param == param


@settings(max_examples=40)
@given(gemini_strategies.gemini_requests())
def test_google_s_sdk_knows_our_bodies(request: ChatRequest) -> None:
    told = msgspec.json.decode(gemini.encode_chat(request))

    for content in told["contents"]:
        google.Content.model_validate(content)
    for tool in told.get("tools", ()):
        google.Tool.model_validate(tool)
    google.GenerationConfig.model_validate(told.get("generationConfig", {}))
    google.ToolConfig.model_validate(told.get("toolConfig", {}))
