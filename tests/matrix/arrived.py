"""Reading what arrived at a provider, in the words of its own API and with no codec of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.matrix.wishes import Arrived, Json
from tests.upstream import Dispatch

Blocks = list[Json]


def read(line: Dispatch) -> Arrived:
    path = line.path.rpartition("/")[2].rpartition(":")[2]
    return _READERS[path](line.body)


def _openai(body: Json) -> Arrived:
    messages: Blocks = body["messages"]
    parts = [part for message in messages for part in _blocks(message.get("content"))]
    calls = [call["function"] for message in messages for call in message.get("tool_calls") or ()]
    wanted = body.get("response_format") or {}
    stop = body.get("stop") or []
    return Arrived(
        text=_text(parts),
        tools={tool["function"]["name"]: tool["function"]["parameters"] for tool in body.get("tools", ())},
        is_forced=body.get("tool_choice") == "required",
        calls=[(call["name"], json.loads(call["arguments"])) for call in calls],
        results=[_text(_blocks(message["content"])) for message in messages if message["role"] == "tool"],
        pictures=[_picture(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"],
        schema=wanted.get("json_schema", {}).get("schema"),
        stops=[stop] if isinstance(stop, str) else stop,
    )


def _responses(body: Json) -> Arrived:
    given = body["input"]
    items: Blocks = [{"role": "user", "content": given}] if isinstance(given, str) else given
    parts = [part for item in items for part in _blocks(item.get("content"))]
    calls = [item for item in items if item.get("type") == "function_call"]
    outputs = [item for item in items if item.get("type") == "function_call_output"]
    return Arrived(
        text=_text(parts),
        tools={tool["name"]: tool["parameters"] for tool in body.get("tools", ())},
        is_forced=body.get("tool_choice") == "required",
        calls=[(call["name"], json.loads(call["arguments"])) for call in calls],
        results=[_text(_blocks(item["output"])) for item in outputs],
        pictures=[_picture(part["image_url"]) for part in parts if part["type"] == "input_image"],
        schema=body.get("text", {}).get("format", {}).get("schema"),
    )


def _anthropic(body: Json) -> Arrived:
    blocks = [block for message in body["messages"] for block in _blocks(message["content"])]
    sources = [block["source"] for block in blocks if block["type"] == "image"]
    return Arrived(
        text=_text(blocks),
        tools={tool["name"]: tool["input_schema"] for tool in body.get("tools", ())},
        is_forced=body.get("tool_choice", {}).get("type") == "any",
        calls=[(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
        results=[_text(_blocks(block["content"])) for block in blocks if block["type"] == "tool_result"],
        pictures=[source["url"] if source["type"] == "url" else source["data"] for source in sources],
        schema=body.get("output_config", {}).get("format", {}).get("schema"),
        stops=body.get("stop_sequences", []),
    )


def _gemini(body: Json) -> Arrived:
    parts = [part for content in body["contents"] for part in _list(content["parts"])]
    config = body.get("generationConfig", {})
    functions = [each for tool in body.get("tools", ()) for each in tool["functionDeclarations"]]
    answers = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
    return Arrived(
        text="".join(part.get("text", "") for part in parts),
        tools={each["name"]: each.get("parametersJsonSchema", each.get("parameters")) for each in functions},
        is_forced=body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode") == "ANY",
        calls=[
            (part["functionCall"]["name"], part["functionCall"]["args"]) for part in parts if "functionCall" in part
        ],
        results=[str(next(iter(answer.values()))) for answer in answers],
        pictures=list(_gemini_pictures(parts)),
        schema=config.get("responseJsonSchema", config.get("responseSchema")),
        stops=config.get("stopSequences", []),
    )


def _gemini_pictures(parts: Blocks) -> Iterator[str]:
    for part in parts:
        if "inlineData" in part:
            yield part["inlineData"]["data"]
        if "fileData" in part:
            yield part["fileData"]["fileUri"]


def _ollama(body: Json) -> Arrived:
    messages: Blocks = body["messages"]
    calls = [call["function"] for message in messages for call in message.get("tool_calls", ())]
    wanted = body.get("format")
    stop = body.get("options", {}).get("stop", [])
    return Arrived(
        text="".join(message.get("content", "") for message in messages),
        tools={tool["function"]["name"]: tool["function"]["parameters"] for tool in body.get("tools", ())},
        calls=[(call["name"], call["arguments"]) for call in calls],
        results=[message["content"] for message in messages if message["role"] == "tool"],
        pictures=[picture for message in messages for picture in message.get("images", ())],
        schema=wanted if isinstance(wanted, dict) else None,
        stops=[stop] if isinstance(stop, str) else stop,
    )


def _openai_texts(body: Json) -> Arrived:
    return Arrived(texts=_list(body["input"]), dimensions=body.get("dimensions", body.get("output_dimension")))


def _gemini_texts(body: Json) -> Arrived:
    requests: Blocks = body["requests"]
    texts = ["".join(part["text"] for part in _list(each["content"]["parts"])) for each in requests]
    return Arrived(texts=texts, dimensions=requests[0].get("outputDimensionality"))


_READERS: dict[str, Callable[[Json], Arrived]] = {
    "completions": _openai,
    "responses": _responses,
    "messages": _anthropic,
    "generateContent": _gemini,
    "streamGenerateContent": _gemini,
    "chat": _ollama,
    "embeddings": _openai_texts,
    "embed": _openai_texts,
    "batchEmbedContents": _gemini_texts,
}


def _blocks(content: Any) -> Blocks:
    """A text is one block of text everywhere."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _text(blocks: Blocks) -> str:
    return "".join(block.get("text", "") for block in blocks)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _picture(url: str) -> str:
    """The bytes of a data URL, in base64; another one as it is."""
    return url.partition(";base64,")[2] or url
