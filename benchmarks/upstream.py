"""The provider of the benchmark: an OpenAI-compatible host that answers at once, always the same, for next to no CPU.

It is a raw protocol, not a web framework: it reads just enough HTTP/1.1 to know where a request ends.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
from typing import Any, cast

import uvloop

PROMPT_TOKENS = 57
COMPLETION_TOKENS = 91
CHUNKS = 100  # events of a stream: opening, deltas, finish, usage, [DONE]
PACED_MODEL = "paced"  # streams of this model wait `--pace-ms` before each event; all others do not wait
_CLOSING_EVENTS = 3
_USAGE = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": COMPLETION_TOKENS,
    "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pace-ms", type=float, default=10.0)
    options = parser.parse_args()
    gc.freeze()
    gc.disable()
    uvloop.run(_serve(options.port, options.pace_ms / 1000))


async def _serve(port: int, pace_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(loop, pace_s), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests come one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pace_s: float) -> None:
        self._loop = loop
        self._pace_s = pace_s
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        body_at = head_end + 4
        if len(self._received) - body_at < _content_length(self._received[:head_end]):
            return
        body, self._received = self._received[body_at:], b""
        if b'"stream":true' not in body:
            self._transport.write(_ANSWER)
            return
        self._transport.write(_STREAM_HEAD)
        paced = f'"model":"{PACED_MODEL}"'.encode() in body
        self._send_event(0, self._pace_s if paced else 0.0)

    def _send_event(self, number: int, pace_s: float) -> None:
        """Each in a turn of the loop of its own, so that they reach the reader one by one where it keeps up."""
        if self._transport.is_closing():
            return
        self._transport.write(_EVENTS[number])
        if number + 1 == CHUNKS:
            self._transport.write(b"0\r\n\r\n")
        elif pace_s:
            self._loop.call_later(pace_s, self._send_event, number + 1, pace_s)
        else:
            self._loop.call_soon(self._send_event, number + 1, pace_s)


def _content_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"content-length:")
    return int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


def _answer() -> bytes:
    message = {"role": "assistant", "content": "All work and no play makes a benchmark. " * 6, "refusal": None}
    body = {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "fast-2026-01-01",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
    encoded = json.dumps(body, separators=(",", ":")).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(encoded)}\r\n\r\n"
    return head.encode() + encoded


def _events() -> list[bytes]:
    opening = _choice({"role": "assistant", "content": ""})
    deltas = [_choice({"content": "word "})] * (CHUNKS - _CLOSING_EVENTS - 1)
    payloads = [_chunk([choice]) for choice in (opening, *deltas, _choice({}, finish="stop"))]
    payloads += [_chunk([], usage=_USAGE), "[DONE]"]
    events = [f"data: {payload}\n\n".encode() for payload in payloads]
    return [b"%x\r\n%b\r\n" % (len(event), event) for event in events]


def _choice(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _chunk(choices: list[dict[str, Any]], **more: Any) -> str:
    frame = {"id": "chatcmpl-benchmark", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "fast"}
    return json.dumps({**frame, "choices": choices, **more}, separators=(",", ":"))


_ANSWER = _answer()
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENTS = _events()


if __name__ == "__main__":
    main()
