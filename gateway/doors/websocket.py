"""`/ws/complete`: several streamed calls over one socket (API.md, section 8)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import structlog

from core import calling
from gateway.authentication import presented
from gateway.calls import open_call
from gateway.catalogue import Caller
from gateway.doors.websocket_dialect import SocketDialect, id_in, read
from gateway.failures import OUR_FAULT
from gateway.http import CallerLeftError, Exchange, Headers, Receive, Scope, Send, safe_request_id
from gateway.replies import Outset, Reply, Stream, abandoned
from wire.errors import ApiError, Code, invalid

if TYPE_CHECKING:
    from gateway.asgi import Gateway

PATH = "/ws/complete"
MAX_CALLS = 32  # under way on one socket
_STRANGER_S = 30.0  # within which a socket must have brought a key that opens
_POLICY_VIOLATION, _TOO_BIG = 1008, 1009  # RFC 6455, section 7.4.1
_SURFACE = "websocket"
_RATE_LIMIT = {
    "limit": b"x-ratelimit-limit",
    "remaining": b"x-ratelimit-remaining",
    "reset": b"x-ratelimit-reset",
}

log = structlog.get_logger(__name__)


class _Running:
    """A call on a socket: the handshake's headers, a request id of its own, and whether it is still wanted."""

    outset: Outset | None = None  # known once it has begun to be answered

    def __init__(self, handshake: Exchange) -> None:
        self.header = handshake.header
        self.names = handshake.names
        self.request_id = safe_request_id("")
        self.path = handshake.path
        self.told: Headers = []  # what HTTP answers say in headers
        self._unwanted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def facts(self) -> dict[str, Any]:
        """What HTTP answers say in headers, as fields of a call's last event."""
        facts: dict[str, Any] = {}
        if self.outset is not None:
            facts |= {"cache": self.outset.cache, "attempts": self.outset.attempts}
        if limits := dict(self.told):
            facts["rate_limit"] = {name: int(limits[header]) for name, header in _RATE_LIMIT.items()}
        return facts

    @property
    def is_wanted(self) -> bool:
        return not self._unwanted.done()

    def watch(self) -> asyncio.Future[Any]:
        return self._unwanted

    def leave(self) -> None:
        if self.is_wanted:
            self._unwanted.set_result(None)


class Socket:
    """One connection: it reads messages, and answers each in a task of its own."""

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        self._gateway = gateway
        self._handshake = Exchange(scope, receive, send)
        self._receive = receive
        self._send_event = send
        self._sending = asyncio.Lock()
        self._secret = presented(self._handshake)
        self._is_known = False
        self._calls: dict[str, _Running] = {}

    async def serve(self) -> None:
        await self._receive()  # "websocket.connect"
        await self._send_event({"type": "websocket.accept"})
        try:
            async for body in self._messages():
                await self._take(body)
        except _ClosedError as closed:
            await self._send_event({"type": "websocket.close", "code": closed.code, "reason": closed.reason})
        finally:
            for running in self._calls.values():
                running.leave()

    async def _messages(self) -> AsyncIterator[bytes]:
        """Until the caller leaves. Raises `_ClosedError` for a caller who stays a stranger, or says too much."""
        stranger_until = asyncio.get_running_loop().time() + _STRANGER_S
        while True:
            try:
                async with asyncio.timeout_at(None if self._is_known else stranger_until):
                    event = await self._receive()
            except TimeoutError:
                raise _ClosedError(_POLICY_VIOLATION, f"No call with a good key within {_STRANGER_S:g} s.") from None
            if event["type"] == "websocket.disconnect":
                return
            body = event.get("bytes") or (event.get("text") or "").encode()
            if len(body) > self._gateway.max_body_bytes:
                raise _ClosedError(_TOO_BIG, f"A message is larger than {self._gateway.max_body_bytes:,} bytes.")
            yield body

    async def _take(self, body: bytes) -> None:
        running = _Running(self._handshake)
        try:
            asked = read(body)
        except ApiError as error:
            return await self._refuse(id_in(body), running, error)
        if asked.type == "cancel":
            return await self._cancel(asked.id)
        try:
            caller = await self._caller(asked.key)
            self._require_room(asked.id)
        except ApiError as error:
            return await self._refuse(asked.id, running, error)
        self._calls[asked.id] = running
        self._gateway.pipeline.detach(self._answer(asked.id, running, body, caller))
        return None

    async def _cancel(self, call_id: str) -> None:
        """Its last event goes out now, however long its provider is drained. A call that has had it is not answered."""
        async with self._sending:  # what is on its way may be that event
            running = self._calls.pop(call_id, None)
            if running is not None:
                running.leave()
                dialect = SocketDialect(call_id, running.facts)
                await self._send(dialect.encode_cancelled(running.outset, request_id=running.request_id))

    async def _caller(self, key: str | None) -> Caller:
        """By the key of the handshake, else of the first message that has a good one.

        Raises `ApiError`: UNAUTHENTICATED, or INVALID_REQUEST for another key than the socket's.
        """
        secret = self._secret or key or ""
        caller = await self._gateway.caller(secret)
        if key and key != secret:
            raise invalid("All calls of a socket have one key: open another socket for another.", param="key")
        self._secret, self._is_known = secret, True
        return caller

    def _require_room(self, call_id: str) -> None:
        if call_id in self._calls:
            raise invalid(f"The call '{call_id}' is under way: give each its own id.", param="id")
        if len(self._calls) >= MAX_CALLS:
            raise ApiError(Code.QUEUE_FULL, f"{MAX_CALLS} calls are under way on this socket.", retry_after_s=1)

    async def _answer(self, call_id: str, running: _Running, body: bytes, caller: Caller) -> None:
        calling.begin(running.request_id, running.header(b"traceparent"))
        dialect = SocketDialect(call_id, running.facts)
        try:
            envelope = dialect.open_chat(body)
            call = open_call(
                running,
                surface=_SURFACE,
                caller=caller,
                dialect=dialect,
                envelope=envelope,
                started=time.perf_counter(),
            )
            reply = await self._gateway.pipeline.complete(call)
            assert not isinstance(reply, Reply), "it was asked to stream"
            running.outset = reply.outset
            await self._relay(reply, running)
        except CallerLeftError:  # the call has its row
            return
        except ApiError as error:
            await self._refuse(call_id, running, error)
        except Exception:  # the last resort: whatever broke, the caller gets an answer and the log its cause
            log.exception("a call failed for a reason of ours", request_id=running.request_id, surface=_SURFACE)
            await self._refuse(call_id, running, OUR_FAULT)
        finally:
            if self._calls.get(call_id) is running:  # else it was cancelled, and its id may be another's
                del self._calls[call_id]

    async def _relay(self, stream: Stream, running: _Running) -> None:
        def leave(_: asyncio.Future[Any]) -> None:
            stream.leave()

        running.watch().add_done_callback(leave)
        frames = stream.frames()
        try:
            async for chunk in frames:
                if not running.is_wanted:
                    await abandoned(stream, frames)
                    return
                await self._tell(running, chunk)
        finally:
            running.watch().remove_done_callback(leave)  # else the call and its stream would hold each other
            await stream.aclose()  # whatever broke here, it is settled

    async def _refuse(self, call_id: str | None, running: _Running, error: ApiError) -> None:
        self._gateway.pipeline.books.tally.add_error(_SURFACE, error)
        dialect = SocketDialect(call_id, running.facts)
        await self._tell(running, dialect.encode_error(error, request_id=running.request_id))

    async def _tell(self, running: _Running, lines: bytes) -> None:
        """A call's events, for as long as they are wanted: not once the connection is lost."""
        try:
            for line in lines.splitlines():
                async with self._sending:
                    if running.is_wanted:
                        await self._send(line)
        except OSError:
            running.leave()

    async def _send(self, line: bytes) -> None:
        await self._send_event({"type": "websocket.send", "text": line.decode()})


class _ClosedError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


async def serve(gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
    """The socket at `PATH`; any other path is refused before it is accepted."""
    if scope["path"].rstrip("/") != PATH:
        await receive()
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    await Socket(gateway, scope, receive, send).serve()
