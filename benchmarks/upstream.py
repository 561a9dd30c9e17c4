"""The providers of the benchmark: a host that speaks OpenAI's and Anthropic's dialects, answers always the same, and
takes next to no CPU for it.

It is a raw protocol, not a web framework: it reads just enough HTTP/1.1 to know where a request ends.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import re
from typing import cast

import uvloop

from benchmarks.answers import FAST, Answer, answers

_MODEL = re.compile(rb'"model":\s*"([^"]*)"')
_STREAM = re.compile(rb'"stream":\s*true')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    gc.freeze()
    gc.disable()
    uvloop.run(_serve(parser.parse_args().port))


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(loop), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests come one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._received = bytearray()
        self._expected = 0  # bytes of the whole request; 0: its head is not here yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._expected:
            head_end = self._received.find(b"\r\n\r\n")
            if head_end < 0:
                return
            self._expected = head_end + 4 + _content_length(bytes(self._received[:head_end]))
        if len(self._received) < self._expected:
            return
        request, self._received, self._expected = bytes(self._received), bytearray(), 0
        answer = _answer_to(request)
        if answer.delay_s:
            self._loop.call_later(answer.delay_s, self._send, answer, 0)
        else:
            self._send(answer, 0)

    def _send(self, answer: Answer, number: int) -> None:
        """Each part in a turn of the loop of its own, so that they reach the reader one by one where it keeps up."""
        if self._transport.is_closing():
            return
        self._transport.write(answer.parts[number])
        if number + 1 == len(answer.parts):
            return
        if answer.pace_s:
            self._loop.call_later(answer.pace_s, self._send, answer, number + 1)
        else:
            self._loop.call_soon(self._send, answer, number + 1)


def _answer_to(request: bytes) -> Answer:
    path = request[: request.index(b"\r\n")].split(b" ")[1].decode()
    found = _MODEL.search(request)
    is_stream = _STREAM.search(request) is not None
    model = found.group(1).decode() if found else FAST
    return _ANSWERS.get((path, model, is_stream)) or _ANSWERS[path, FAST, is_stream]


def _content_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"content-length:")
    return int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


_ANSWERS = answers()


if __name__ == "__main__":
    main()
