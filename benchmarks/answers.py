"""What the benchmark's provider says, made once: whole answers, and streams as chunks of HTTP/1.1."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

PROMPT_TOKENS, COMPLETION_TOKENS = 57, 91
LARGE_PROMPT_TOKENS = 100_000
INPUT_USD_PER_MILLION, OUTPUT_USD_PER_MILLION = 3, 15
CHUNKS, LONG_CHUNKS = 100, 2_000  # events of a stream, from the opening to [DONE] or message_stop
PACE_S = 0.010  # before each event of a paced stream
SLOW_S = 3.0  # before a slow answer
_DIMENSIONS = 1_536

# The models, by how they answer.
FAST, PACED, LONG, LARGE, SLOW = "fast", "paced", "long", "large", "slow"
BROKEN, WRONG, EMBED = "broken", "wrong", "embed"  # broken: 500; wrong: 400
CLAUDE, CLAUDE_PACED = "claude", "claude-paced"


class Answer(msgspec.Struct, frozen=True):
    """`parts` are written one after another, `pace_s` apart, the first after `delay_s`. All bytes include framing."""

    parts: Sequence[bytes]
    pace_s: float = 0.0
    delay_s: float = 0.0


def usage_of(model: str) -> tuple[int, int]:
    """Input and output tokens of each of the model's answers."""
    return LARGE_PROMPT_TOKENS if model == LARGE else PROMPT_TOKENS, 0 if model == EMBED else COMPLETION_TOKENS


def answers() -> Mapping[tuple[str, str, bool], Answer]:
    """By path, model and whether it is a stream. Models that are not there answer as `FAST` does."""
    chat, messages = "/v1/chat/completions", "/v1/messages"
    whole, claude = _whole(_completion(FAST)), _whole(_message())
    stream, claude_stream = _stream(_chunks(CHUNKS)), _stream(_message_events(CHUNKS))
    return {
        (chat, FAST, False): Answer([whole]),
        (chat, FAST, True): Answer(stream),
        (chat, PACED, True): Answer(stream, pace_s=PACE_S),
        (chat, LONG, True): Answer(_stream(_chunks(LONG_CHUNKS))),
        (chat, LARGE, False): Answer([_whole(_completion(LARGE))]),
        (chat, SLOW, False): Answer([whole], delay_s=SLOW_S),
        (chat, BROKEN, False): Answer([_whole(_failure("out of order"), "500 Internal Server Error")]),
        (chat, WRONG, False): Answer([_whole(_failure("not like this"), "400 Bad Request")]),
        (messages, FAST, False): Answer([claude]),
        (messages, FAST, True): Answer(claude_stream),
        (messages, CLAUDE_PACED, True): Answer(claude_stream, pace_s=PACE_S),
        ("/v1/embeddings", FAST, False): Answer([_whole(_embedding())]),
    }


def _whole(body: Mapping[str, Any], status: str = "200 OK") -> bytes:
    encoded = json.dumps(body, separators=(",", ":")).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(encoded)}\r\n\r\n"
    return head.encode() + encoded


def _stream(events: Sequence[str]) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts = [b"%x\r\n%b\r\n" % (len(event), event.encode()) for event in events]  # they are ASCII
    return [head + parts[0], *parts[1:-1], parts[-1] + b"0\r\n\r\n"]


def _completion(model: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": "All work and no play makes a benchmark. " * 6, "refusal": None}
    return {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "fast-2026-01-01",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _usage(model),
    }


def _usage(model: str) -> dict[str, int]:
    read, written = usage_of(model)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _chunks(count: int) -> list[str]:
    def choice(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}

    frame = {"id": "chatcmpl-benchmark", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "fast"}
    opening, finish = choice({"role": "assistant", "content": ""}), choice({}, finish="stop")
    said = [opening, *[choice({"content": "word "})] * (count - 4), finish]
    chunks: list[dict[str, Any]] = [{**frame, "choices": [each]} for each in said]
    chunks.append({**frame, "choices": [], "usage": _usage(FAST)})
    return [f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]


def _message() -> dict[str, Any]:
    return {
        "id": "msg_benchmark",
        "type": "message",
        "role": "assistant",
        "model": CLAUDE,
        "content": [{"type": "text", "text": "All work and no play makes a benchmark. " * 6}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS},
    }


def _message_events(count: int) -> list[str]:
    opened = _message() | {"content": [], "stop_reason": None}
    opened["usage"] = {"input_tokens": PROMPT_TOKENS, "output_tokens": 1}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word "}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": opened},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[delta] * (count - 5),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": COMPLETION_TOKENS},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n" for event in events]


def _embedding() -> dict[str, Any]:
    """In base64, as the official SDK asks for it."""
    vector = struct.pack(f"<{_DIMENSIONS}f", *(0.01 * (place % 7) for place in range(_DIMENSIONS)))
    item = {"object": "embedding", "index": 0, "embedding": base64.b64encode(vector).decode()}
    usage = {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS}
    return {"object": "list", "data": [item], "model": EMBED, "usage": usage}


def _failure(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "server_error", "param": None, "code": None}}
