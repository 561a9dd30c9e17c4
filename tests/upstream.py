"""A programmable provider over real HTTP that writes its own bill.

It speaks OpenAI's chat completions and embeddings, and Anthropic's messages, plain and streaming, and what further
`faces` (a `Speech` by its path) it is given. Unless told otherwise it answers with `DEFAULT_WORDS` words.

What it should do to a model's next calls is said with `upstream.on("model", Fault(status=503), Fault(cut_after=3))`:
one step a dispatch, then plain answers again; or in the model's name, for other processes:
`anything!status=429,retry_after=2`.

`upstream.bill` holds every dispatch with the exact usage that it reported (also as JSON at `/bill`), so that a test can
hold the ledger against it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

DEFAULT_WORDS = 8
_START_TIMEOUT_S = 60
_FOREVER_S = 3600


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong, or is otherwise special, in one dispatch. The default is a plain answer.

    `cut_after`, `stall_after` and `error_after` count chunks of a stream; 0 comes before the first. `delay_s` waits
    before the answer's headers, `chunk_s` before each chunk, `tail_s` before what follows the reason of its end.
    """

    status: int = 200
    retry_after: str | None = None
    message: str = "scripted fault"
    delay_s: float = 0.0
    chunk_s: float = 0.0
    tail_s: float = 0.0
    words: int | None = None
    stall_after: int | None = None
    cut_after: int | None = None
    error_after: int | None = None
    bad_body: bool = False
    bad_chunk_after: int | None = None
    no_usage: bool = False
    drop: bool = False
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @classmethod
    def in_name(cls, model: str) -> Fault:
        """What `anything!status=429,retry_after=2,no_usage` says after its exclamation mark."""
        _, _, text = model.partition("!")
        given = dict(part.partition("=")[::2] for part in text.split(",") if part)
        types: dict[str, Callable[[str], Any]] = {"retry_after": str, "message": str}
        types |= dict.fromkeys(("delay_s", "chunk_s", "tail_s"), float)
        types |= dict.fromkeys(("bad_body", "no_usage", "drop"), lambda _: True)
        return cls(**{name: types.get(name, int)(value) for name, value in given.items()})


@dataclass(kw_only=True)
class Dispatch:
    """A line of the bill: one call as the provider saw it.

    `input_tokens` and `output_tokens` are what it would charge; `reported` says that the caller was told so on the
    wire, `finished` that the answer was sent to its end, `cancelled` that the caller hung up before.
    """

    number: int
    path: str
    model: str
    stream: bool
    body: dict[str, Any]
    headers: dict[str, str]
    fault: Fault
    arrived_at: float = field(default_factory=time.time)
    status: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    reported: bool = False
    finished: bool = False
    cancelled: bool = False


class Upstream:
    """The server, in a thread of its own; a context manager."""

    def __init__(self, faces: Mapping[str, Speech] | None = None) -> None:
        self._faces = faces or {}
        self.bill: list[Dispatch] = []
        self.port = 0
        self._scripts: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upstream", daemon=True)

    @property
    def url(self) -> str:
        """The base URL of an Anthropic provider."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """The base URL of an OpenAI-compatible provider."""
        return f"{self.url}/v1"

    def on(self, model: str, *steps: Fault) -> None:
        """What happens to the model's next dispatches, in order. Names are those at the provider."""
        self._scripts[model].extend(steps)

    def always(self, model: str, fault: Fault) -> None:
        """What happens to every further dispatch of the model, until `reset`."""
        self._scripts[model] = _Forever(fault)

    def reset(self) -> None:
        """An empty bill, and no faults."""
        self.bill.clear()
        self.reset_scripts()

    def reset_scripts(self) -> None:
        """No faults any more."""
        self._scripts.clear()

    def dispatches(self, model: str) -> list[Dispatch]:
        return [each for each in self.bill if each.model == model]

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_START_TIMEOUT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_START_TIMEOUT_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._answering(_OpenAI()))
        app.router.add_post("/v1/messages", self._answering(_Anthropic()))
        app.router.add_post("/v1/embeddings", self._answering(_Embeddings()))
        for path, speech in self._faces.items():
            app.router.add_post(path, self._answering(speech))
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/bill", self._bill)
        # A caller that hangs up cancels its handler, so that the bill knows.
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stopping.wait()
        await runner.cleanup()

    async def _models(self, _request: web.Request) -> web.Response:
        names = ["up-chat", "up-claude", "up-embed"]
        data = [{"id": name, "object": "model", "type": "model", "display_name": name} for name in names]
        return web.json_response({"object": "list", "data": data, "has_more": False})

    async def _bill(self, _request: web.Request) -> web.Response:
        return web.json_response([dataclasses.asdict(line) for line in self.bill])

    def _answering(self, speech: Speech) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.StreamResponse:
            line = self._line(request, json.loads(await request.read()), speech)
            try:
                return await _answer(request, line, speech)
            except (asyncio.CancelledError, ConnectionError):
                line.cancelled = True
                raise

        return handler

    def _line(self, request: web.Request, body: dict[str, Any], speech: Speech) -> Dispatch:
        model = speech.model(request.path, body)
        script = self._scripts.get(model)
        line = Dispatch(
            number=len(self.bill) + 1,
            path=request.path,
            model=model,
            stream=speech.streams(body),
            body=body,
            headers=dict(request.headers),
            fault=script.popleft() if script else Fault.in_name(model),
        )
        self.bill.append(line)
        return line


class _Forever(deque[Fault]):
    """A script whose one step never ends."""

    def __init__(self, fault: Fault) -> None:
        super().__init__([fault])

    def popleft(self) -> Fault:
        return self[0]


async def _answer(request: web.Request, line: Dispatch, speech: Speech) -> web.StreamResponse:
    fault = line.fault
    await asyncio.sleep(fault.delay_s)
    if fault.drop:
        assert request.transport is not None
        request.transport.abort()
        raise ConnectionAbortedError
    line.status = fault.status
    if fault.status != 200:
        headers = {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}
        return web.json_response(speech.error(fault), status=fault.status, headers=headers)
    if fault.bad_body and not line.stream:
        return web.Response(body=b'{"choices": [tru', content_type="application/json")
    words = _words(line, speech)
    line.input_tokens = _input_tokens(line.body)
    if line.stream:
        return await _stream(request, line, speech, words)
    line.output_tokens = len(words) + fault.reasoning_tokens
    line.reported = not fault.no_usage
    response = web.json_response(speech.body(line, words), headers={"x-upstream-dispatch": str(line.number)})
    await response.prepare(request)
    await response.write_eof()
    line.finished = True
    return response


async def _stream(request: web.Request, line: Dispatch, speech: Speech, words: list[str]) -> web.StreamResponse:
    fault = line.fault
    response = web.StreamResponse(headers={"Content-Type": speech.stream_type})
    await response.prepare(request)
    for sent, chunk in enumerate((speech.opening(line), *map(speech.delta, words), b"")):
        await asyncio.sleep(fault.chunk_s)
        if sent == fault.stall_after:
            await asyncio.sleep(_FOREVER_S)
        if sent == fault.cut_after:
            await _cut(request, response)
        if sent == fault.error_after:
            line.input_tokens = line.input_tokens if sent else 0  # an error instead of an answer is not billed
            await response.write(speech.stream_error(fault))
            return response
        if sent == fault.bad_chunk_after:
            await response.write(b"data: {not json\n\n")
        await response.write(chunk)
        line.output_tokens = min(sent, len(words))
    line.output_tokens = len(words) + fault.reasoning_tokens
    for number, event in enumerate(speech.closing(line, words)):
        await asyncio.sleep(fault.tail_s if number else 0)
        await response.write(event)
    line.reported = speech.reports_usage(line)
    await response.write_eof()
    line.finished = True
    return response


async def _cut(request: web.Request, response: web.StreamResponse) -> None:
    """End the connection in mid-answer, after what was written has gone out."""
    await response.write(b"")
    assert request.transport is not None
    request.transport.close()
    raise ConnectionAbortedError


def _words(line: Dispatch, speech: Speech) -> list[str]:
    """As many as asked for, and no more than the caller's bound."""
    wanted = line.fault.words if line.fault.words is not None else DEFAULT_WORDS
    bound = speech.bound(line.body) or wanted
    return [f"word{number} " for number in range(min(wanted, bound))]


_READ = ("system", "messages", "tools", "input", "instructions", "systemInstruction", "contents", "requests")


def _input_tokens(body: Mapping[str, Any]) -> int:
    """A token a word of everything that the model reads: exact, and easy to follow in a test."""
    return len(json.dumps({key: body[key] for key in _READ if key in body}).split())


def _event(data: Any, name: str = "") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


class Speech:
    """How one API says it."""

    stream_type = "text/event-stream"

    def model(self, path: str, body: Mapping[str, Any]) -> str:
        del path
        return str(body.get("model", ""))

    def streams(self, body: Mapping[str, Any]) -> bool:
        return bool(body.get("stream"))

    def bound(self, body: Mapping[str, Any]) -> int | None:
        """The most tokens that the caller wants; None where it does not say."""
        return body.get("max_completion_tokens") or body.get("max_tokens")

    def error(self, fault: Fault) -> Any:
        return {"error": {"message": fault.message, "type": "scripted", "param": None, "code": None}}

    def body(self, line: Dispatch, words: list[str]) -> Any:
        raise NotImplementedError

    def opening(self, line: Dispatch) -> bytes:
        raise NotImplementedError

    def delta(self, word: str) -> bytes:
        raise NotImplementedError

    def closing(self, line: Dispatch, words: list[str]) -> list[bytes]:
        raise NotImplementedError

    def reports_usage(self, line: Dispatch) -> bool:
        """Whether the stream's end tells the caller what it used."""
        return not line.fault.no_usage

    def stream_error(self, fault: Fault) -> bytes:
        return _event(self.error(fault))


class _OpenAI(Speech):
    def body(self, line: Dispatch, words: list[str]) -> Any:
        message = {"role": "assistant", "content": "".join(words).strip(), "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": finish(line, words, "stop", "length"),
        }
        body = {"id": f"chatcmpl-{line.number}", "object": "chat.completion", "created": int(line.arrived_at)}
        body |= {"model": line.model, "choices": [choice]}
        return body if line.fault.no_usage else body | {"usage": self._usage(line)}

    def opening(self, line: Dispatch) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def delta(self, word: str) -> bytes:
        return self._chunk({"content": word})

    def closing(self, line: Dispatch, words: list[str]) -> list[bytes]:
        events = [self._chunk({}, finish(line, words, "stop", "length"))]
        if self.reports_usage(line):
            events.append(_event(self._frame([]) | {"usage": self._usage(line)}))
        return [*events, _event("[DONE]")]

    def reports_usage(self, line: Dispatch) -> bool:
        asked = (line.body.get("stream_options") or {}).get("include_usage")
        return bool(asked) and not line.fault.no_usage

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _event(self._frame([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]))

    def _frame(self, choices: list[Any]) -> dict[str, Any]:
        frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "up"}
        return frame | {"choices": choices}

    def _usage(self, line: Dispatch) -> dict[str, Any]:
        return {
            "prompt_tokens": line.input_tokens,
            "completion_tokens": line.output_tokens,
            "total_tokens": line.input_tokens + line.output_tokens,
            "prompt_tokens_details": {"cached_tokens": line.fault.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": line.fault.reasoning_tokens},
        }


class _Anthropic(Speech):
    def error(self, fault: Fault) -> Any:
        return {"type": "error", "error": {"type": "scripted_error", "message": fault.message}}

    def body(self, line: Dispatch, words: list[str]) -> Any:
        content = [{"type": "text", "text": "".join(words).strip()}]
        stop = {"stop_reason": finish(line, words, "end_turn", "max_tokens"), "stop_sequence": None}
        message = self._message(line) | {"content": content} | stop
        if line.fault.no_usage:
            del message["usage"]
        else:
            message["usage"]["output_tokens"] = line.output_tokens
        return message

    def opening(self, line: Dispatch) -> bytes:
        start = _event({"type": "message_start", "message": self._message(line)}, "message_start")
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        return start + _event(block, "content_block_start")

    def delta(self, word: str) -> bytes:
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        return _event(delta, "content_block_delta")

    def closing(self, line: Dispatch, words: list[str]) -> list[bytes]:
        stop = {"stop_reason": finish(line, words, "end_turn", "max_tokens"), "stop_sequence": None}
        delta: dict[str, Any] = {"type": "message_delta", "delta": stop}
        if not line.fault.no_usage:
            delta["usage"] = self._message(line)["usage"] | {"output_tokens": line.output_tokens}
        return [
            _event({"type": "content_block_stop", "index": 0}, "content_block_stop"),
            _event(delta, "message_delta"),
            _event({"type": "message_stop"}, "message_stop"),
        ]

    def stream_error(self, fault: Fault) -> bytes:
        return _event(self.error(fault), "error")

    def _message(self, line: Dispatch) -> dict[str, Any]:
        cached = line.fault.cached_tokens
        usage = {"input_tokens": line.input_tokens - cached, "cache_read_input_tokens": cached, "output_tokens": 1}
        message: dict[str, Any] = {"id": f"msg_{line.number}", "type": "message", "role": "assistant", "content": []}
        return message | {"model": line.model, "stop_reason": None, "stop_sequence": None, "usage": usage}


class _Embeddings(Speech):
    def body(self, line: Dispatch, words: list[str]) -> Any:
        line.output_tokens = 0
        given = line.body.get("input", "")
        texts = given if isinstance(given, list) else [given]
        data = [{"object": "embedding", "index": n, "embedding": [0.1, 0.2, 0.3]} for n in range(len(texts))]
        usage = {"prompt_tokens": line.input_tokens, "total_tokens": line.input_tokens}
        return {"object": "list", "data": data, "model": line.model, "usage": usage}


def finish(line: Dispatch, words: list[str], whole: str, cut: str) -> str:
    wanted = line.fault.words if line.fault.words is not None else DEFAULT_WORDS
    return cut if len(words) < wanted else whole
