"""What `Acting` understands of a body, and how it puts its answer, in each of its three dialects."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Json = dict[str, Any]
Call = tuple[str, str, Json]  # id, name, arguments
PERSON = {"name": "Ada", "age": 36}
PREFACE = "Let me look."
WORDS = "In Paris it is warmer."
INPUT_TOKENS, OUTPUT_TOKENS = 31, 17


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a body asks for, in no dialect. `tools` are names and schemas, `images` sizes in bytes."""

    tools: Sequence[tuple[str, Json]]
    results: Sequence[str]
    images: Sequence[int]
    has_schema: bool

    def text(self) -> str:
        if self.calls():
            return PREFACE
        if self.results:
            return f"Heard: {'; '.join(self.results)}."
        if self.images:
            return f"I see {', '.join(map(str, self.images))} bytes."
        return json.dumps(PERSON) if self.has_schema else WORDS

    def calls(self) -> list[Call]:
        if self.results or not self.tools:
            return []
        name, schema = self.tools[0]
        if "city" not in schema["properties"]:
            return [("call_1", name, PERSON)]
        return [("call_p", name, {"city": "Paris"}), ("call_o", name, {"city": "Oslo"})]


class Speech(Protocol):
    def turn(self, body: Json) -> Turn: ...

    def whole(self, turn: Turn) -> Json: ...

    def streamed(self, turn: Turn) -> list[Json]: ...


class Chat:
    """OpenAI's chat completions."""

    def turn(self, body: Json) -> Turn:
        messages = body["messages"]
        urls = [part["image_url"]["url"] for part in _parts(messages) if part["type"] == "image_url"]
        return Turn(
            tools=[(tool["function"]["name"], tool["function"]["parameters"]) for tool in body.get("tools") or []],
            results=[_text(message["content"]) for message in messages if message["role"] == "tool"],
            images=[_size(url) for url in urls],
            has_schema=(body.get("response_format") or {}).get("type") == "json_schema",
        )

    def whole(self, turn: Turn) -> Json:
        message: Json = {"role": "assistant", "content": turn.text() or None, "refusal": None}
        if calls := [self._call(call, json.dumps(call[2])) for call in turn.calls()]:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish(turn)}
        return _CHAT | {"object": "chat.completion", "choices": [choice], "usage": _CHAT_USAGE}

    def streamed(self, turn: Turn) -> list[Json]:
        deltas: list[Json] = [{"role": "assistant", "content": None if turn.calls() else ""}]
        deltas += [{"content": piece} for piece in _pieces(turn.text())]
        for index, call in enumerate(turn.calls()):
            deltas.append({"tool_calls": [{"index": index, **self._call(call, "")}]})
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                for piece in _pieces(json.dumps(call[2]))
            ]
        ends: list[str | None] = [*[None] * len(deltas), self._finish(turn)]
        choices = [
            {"index": 0, "delta": delta, "finish_reason": end} for delta, end in zip([*deltas, {}], ends, strict=True)
        ]
        head = _CHAT | {"object": "chat.completion.chunk", "usage": None}
        return [*(head | {"choices": [choice]} for choice in choices), head | {"choices": [], "usage": _CHAT_USAGE}]

    def _call(self, call: Call, arguments: str) -> Json:
        return {"id": call[0], "type": "function", "function": {"name": call[1], "arguments": arguments}}

    def _finish(self, turn: Turn) -> str:
        return "tool_calls" if turn.calls() else "stop"


class Messages:
    """Anthropic's messages."""

    def turn(self, body: Json) -> Turn:
        parts = list(_parts(body["messages"]))
        return Turn(
            tools=[(tool["name"], tool["input_schema"]) for tool in body.get("tools") or []],
            results=[_text(part["content"]) for part in parts if part["type"] == "tool_result"],
            images=[_size(part["source"]["data"]) for part in parts if part["type"] == "image"],
            has_schema="format" in body.get("output_config", {}),
        )

    def whole(self, turn: Turn) -> Json:
        usage = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}
        return _MESSAGE | {"content": self._blocks(turn), "stop_reason": self._stop(turn), "usage": usage}

    def streamed(self, turn: Turn) -> list[Json]:
        usage = {"input_tokens": INPUT_TOKENS, "output_tokens": 1}
        events: list[Json] = [{"type": "message_start", "message": _MESSAGE | {"usage": usage}}, {"type": "ping"}]
        for index, block in enumerate(self._blocks(turn)):
            events += self._block(index, block)
        delta = {"stop_reason": self._stop(turn), "stop_sequence": None}
        end = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": OUTPUT_TOKENS}}
        return [*events, end, {"type": "message_stop"}]

    def _blocks(self, turn: Turn) -> list[Json]:
        texts: list[Json] = [{"type": "text", "text": turn.text()}] if turn.text() else []
        return texts + [
            {"type": "tool_use", "id": key, "name": name, "input": arguments} for key, name, arguments in turn.calls()
        ]

    def _block(self, index: int, block: Json) -> list[Json]:
        if block["type"] == "text":
            start = block | {"text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
        else:
            start = block | {"input": {}}
            pieces = ["", *_pieces(json.dumps(block["input"]))]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        return [
            {"type": "content_block_start", "index": index, "content_block": start},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index},
        ]

    def _stop(self, turn: Turn) -> str:
        return "tool_use" if turn.calls() else "end_turn"


class Responses:
    """OpenAI's Responses API."""

    def turn(self, body: Json) -> Turn:
        items = body["input"] if isinstance(body["input"], list) else []
        parts = list(_parts([item for item in items if "role" in item]))
        results = [item["output"] for item in items if item.get("type") == "function_call_output"]
        return Turn(
            tools=[(tool["name"], tool["parameters"]) for tool in body.get("tools") or []],
            results=[_text(result) for result in results],
            images=[_size(part["image_url"]) for part in parts if part["type"] == "input_image"],
            has_schema=body.get("text", {}).get("format", {}).get("type") == "json_schema",
        )

    def whole(self, turn: Turn) -> Json:
        items = [self._whole_item(item) for item in self._items(turn)]
        return _RESPONSE | {"status": "completed", "output": items, "usage": _RESPONSE_USAGE}

    def streamed(self, turn: Turn) -> list[Json]:
        events: list[Json] = [{"type": "response.created", "response": _RESPONSE}]
        for index, item in enumerate(self._items(turn)):
            events += [event | {"output_index": index, "item_id": item["id"]} for event in self._events(item)]
        events.append({"type": "response.completed", "response": self.whole(turn)})
        return [event | {"sequence_number": number} for number, event in enumerate(events)]

    def _items(self, turn: Turn) -> list[Json]:
        said: Json = {"type": "message", "id": "msg_1", "role": "assistant", "text": turn.text()}
        calls: list[Json] = [
            {"type": "function_call", "id": f"fc_{key}", "call_id": key, "name": name, "arguments": json.dumps(given)}
            for key, name, given in turn.calls()
        ]
        return [said, *calls]

    def _whole_item(self, item: Json) -> Json:
        if item["type"] == "message":
            return {**{key: item[key] for key in ("type", "id", "role")}, "content": [_part(item["text"])]} | _DONE
        return item | _DONE

    def _events(self, item: Json) -> Iterator[Json]:
        whole, begun = self._whole_item(item), {"status": "in_progress"}
        if item["type"] == "message":
            yield {"type": "response.output_item.added", "item": whole | begun | {"content": []}}
            yield {"type": "response.content_part.added", "content_index": 0, "part": _part("")}
            for piece in _pieces(item["text"]):
                yield {"type": "response.output_text.delta", "content_index": 0, "delta": piece, "logprobs": []}
            yield {"type": "response.output_text.done", "content_index": 0, "text": item["text"], "logprobs": []}
            yield {"type": "response.content_part.done", "content_index": 0, "part": _part(item["text"])}
        else:
            yield {"type": "response.output_item.added", "item": whole | begun | {"arguments": ""}}
            for piece in _pieces(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", "delta": piece}
            yield {"type": "response.function_call_arguments.done", "arguments": item["arguments"]}
        yield {"type": "response.output_item.done", "item": whole}


_CHAT: Json = {"id": "chatcmpl-a", "created": 1_790_000_000, "model": "acting"}
_CHAT_USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}
_MESSAGE: Json = {"id": "msg_a", "type": "message", "role": "assistant", "model": "acting", "content": []}
_MESSAGE |= {"stop_reason": None, "stop_sequence": None}
_RESPONSE: Json = {
    "id": "resp_a",
    "object": "response",
    "created_at": 1_790_000_000,
    "status": "in_progress",
    "model": "acting",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": None,
}
_RESPONSE_USAGE = {
    "input_tokens": INPUT_TOKENS,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": OUTPUT_TOKENS,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}
_DONE = {"status": "completed"}


def _part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _parts(messages: Sequence[Mapping[str, Any]]) -> Iterator[Json]:
    """The parts of all messages whose content is no plain text."""
    for message in messages:
        content = message.get("content")
        yield from content if isinstance(content, list) else []


def _text(content: str | list[Json]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _size(image: str) -> int:
    """Of base64, with or without its `data:` in front."""
    return len(base64.b64decode(image.rpartition(",")[2], validate=True))


def _pieces(text: str) -> list[str]:
    return [text[start : start + 3] for start in range(0, len(text), 3)]
