"""The scripted provider's face towards those who speak OpenAI's Responses API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.upstream import Dispatch, Fault, Speech, finish

_IN_ITEM = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


class Responses(Speech):
    def bound(self, body: Mapping[str, Any]) -> int | None:
        return body.get("max_output_tokens")

    def body(self, line: Dispatch, words: list[str]) -> Any:
        text = "".join(words).strip()
        status = finish(line, words, "completed", "incomplete")
        details = {"reason": "max_output_tokens"} if status == "incomplete" else None
        whole = {"status": status, "incomplete_details": details, "output": [_message(text)]}
        return _response(line) | whole | {"usage": None if line.fault.no_usage else _usage(line)}

    def opening(self, line: Dispatch) -> bytes:
        begun = [_event(f"response.{kind}", response=_response(line)) for kind in ("created", "in_progress")]
        added = {**_message(""), "status": "in_progress", "content": []}
        begun += [_event("response.output_item.added", output_index=0, item=added)]
        begun += [_event("response.content_part.added", **_IN_ITEM, part=_part(""))]
        return b"".join(begun)

    def delta(self, word: str) -> bytes:
        return _event("response.output_text.delta", **_IN_ITEM, delta=word, logprobs=[])

    def closing(self, line: Dispatch, words: list[str]) -> list[bytes]:
        text, whole = "".join(words), self.body(line, words)
        return [
            _event("response.output_text.done", **_IN_ITEM, text=text, logprobs=[]),
            _event("response.content_part.done", **_IN_ITEM, part=_part(text)),
            _event("response.output_item.done", output_index=0, item=_message(text)),
            _event(f"response.{whole['status']}", response=whole | {"output": [_message(text)]}),
        ]

    def stream_error(self, fault: Fault) -> bytes:
        return _event("error", **self.error(fault))


FACES: dict[str, Speech] = {"/v1/responses": Responses()}


def _response(line: Dispatch) -> dict[str, Any]:
    return {
        "id": f"resp_{line.number}",
        "object": "response",
        "created_at": int(line.arrived_at),
        "status": "in_progress",
        "model": line.model,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "store": line.body.get("store", True),
        "usage": None,
    }


def _message(text: str) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [_part(text)]}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(line: Dispatch) -> dict[str, Any]:
    return {
        "input_tokens": line.input_tokens,
        "input_tokens_details": {"cached_tokens": line.fault.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": line.output_tokens,
        "output_tokens_details": {"reasoning_tokens": line.fault.reasoning_tokens},
        "total_tokens": line.input_tokens + line.output_tokens,
    }


def _event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': 0, **members})}\n\n".encode()
