"""One HTTP exchange over plain ASGI: headers, a bounded body, an answer or a stream, and whether the caller left."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from core import calling
from core.ids import uuid7_hex
from gateway.patience import Patience, patience
from wire.body import COMPRESSED
from wire.errors import ApiError, Code, invalid

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
JSON = (b"content-type", b"application/json")
STALLED_S = 60.0
LISTS = {b"x-tags", b"anthropic-beta"}  # of the headers that are read here
# Extensions of the ASGI scope that `aiplatform.http_server` offers.
WHOLE_ANSWER, HANG_UP = "aiplatform.whole_answer", "aiplatform.hang_up"


class Exchange:
    """`started` says that the status line is out: from then on an error can only be a last event.

    `told` are headers that the answer will have, whatever it will be; `ended_by` makes a stream's end of such an event.
    """

    __slots__ = (
        *("_gone", "_headers", "_patience", "_receive", "_send"),
        *("ended_by", "request_id", "scope", "started", "told"),
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self._headers = _fields(scope["headers"])
        self._gone: asyncio.Future[Any] | None = None
        self._patience: Patience | None = None
        self.started = False
        self.ended_by: Callable[[bytes], bytes] = bytes
        self.told: Headers = []
        self.request_id = safe_request_id(self.header(b"x-request-id"))

    @property
    def path(self) -> str:
        path: str = self.scope["path"]
        return path

    @property
    def names(self) -> Iterable[bytes]:
        """Of its headers, in lower case."""
        return self._headers

    def header(self, name: bytes) -> str:
        """The value of a header given in lower case; '' where it is absent.

        What is no UTF-8 is ISO 8859-1, as RFC 9110 (section 5.5) says of headers of old.
        """
        value = self._headers.get(name)
        if not value:
            return ""
        value = value.strip(b" \t")  # the parser leaves what stands behind it, which is no part of it
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body. Raises `ApiError` PAYLOAD_TOO_LARGE, before reading where Content-Length tells, and
        INVALID_REQUEST for one that is compressed.
        """
        coding = self.header(b"content-encoding")
        if coding.lower() in COMPRESSED:
            raise invalid(f"'{coding}' is not taken: send the body as it is, not compressed.", param="Content-Encoding")
        length = self._headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > limit_bytes:
            raise _too_large(limit_bytes)
        before: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise CallerLeftError
            part: bytes = message.get("body", b"")
            if (size := size + len(part)) > limit_bytes:
                raise _too_large(limit_bytes)
            if not message.get("more_body", False):
                return b"".join((*before, part)) if before else part
            before.append(part)

    def watch(self) -> asyncio.Future[Any]:
        """Done when the caller has left. Only once the body has been read."""
        if self._gone is None:
            self._gone = asyncio.ensure_future(self._receive())
        return self._gone

    def unwatch(self) -> None:
        if self._gone is not None:
            self._gone.cancel()

    async def answer(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """A whole answer, JSON unless `headers` bring a content type."""
        headers = [(b"content-length", b"%d" % len(body)), *(headers or [JSON])]
        extensions = self.scope.get("extensions") or {}
        if WHOLE_ANSWER in extensions:
            await extensions[WHOLE_ANSWER](status, self._with_ours(headers), body)
            self.started = True
            return
        await self._start(status, headers)
        await self._send({"type": "http.response.body", "body": body})

    async def start_stream(self, headers: Headers) -> None:
        await self._start(200, [*headers, (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")])

    async def send(self, chunk: bytes, *, more: bool = True) -> None:
        """A part of a stream, its last unless there is `more`.

        Raises `CallerLeftError` where the caller has taken (nearly) nothing for STALLED_S, and closes its connection.
        Until it takes something, nothing more is read from the provider either: buffers are bounded, whoever is slow.
        """
        if self._patience is None:
            self._patience = patience()
        try:
            with self._patience.within(STALLED_S):
                await self._send({"type": "http.response.body", "body": chunk, "more_body": more})
        except TimeoutError as error:
            self._hang_up()
            raise CallerLeftError from error

    async def end_stream(self) -> None:
        """Raises `CallerLeftError` as `send` does."""
        await self.send(b"", more=False)

    def _hang_up(self) -> None:
        """At once: what the caller has not taken yet would keep the connection open for as long as it likes."""
        extensions = self.scope.get("extensions") or {}
        if HANG_UP in extensions:
            extensions[HANG_UP]()

    async def _start(self, status: int, headers: Headers) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": self._with_ours(headers)})
        self.started = True

    def _with_ours(self, headers: Headers) -> Headers:
        headers.append((b"x-request-id", self.request_id.encode()))
        headers += self.told
        if b"anthropic-version" in self._headers:
            headers.append((b"request-id", self.request_id.encode()))  # where Anthropic's SDKs look for it
        return headers


def with_request_id(scope: Scope, receive: Receive, send: Send) -> tuple[Scope, Receive, Send]:
    """The same for what is not ours to answer: Django sees the id as a header, and it is on the answer."""
    given = dict(scope["headers"])
    text = safe_request_id(given.get(b"x-request-id", b"").decode("latin-1").strip(" \t"))
    calling.begin(text, given.get(b"traceparent", b"").decode("latin-1"))
    request_id = text.encode()
    others = [(name, value) for name, value in scope["headers"] if name != b"x-request-id"]

    async def send_with_id(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
        await send(message)

    return {**scope, "headers": [*others, (b"x-request-id", request_id)]}, receive, send_with_id


def _fields(headers: Headers) -> dict[bytes, bytes]:
    """By name; of one that came several times the last, but all of a list (RFC 9110, section 5.2)."""
    found = dict(headers)
    if len(found) < len(headers):
        for name in LISTS & found.keys():
            found[name] = b",".join(value for each, value in headers if each == name)
    return found


def safe_request_id(given: str) -> str:
    """The caller's own, where it is safe to write everywhere; else a new one."""
    return given if given and _SAFE_REQUEST_ID.fullmatch(given) else f"req_{uuid7_hex()}"


class CallerLeftError(Exception):
    """The caller has closed the connection, or reads no more: nobody is left to answer."""


def _too_large(limit_bytes: int) -> ApiError:
    return ApiError(Code.PAYLOAD_TOO_LARGE, f"The body is larger than {limit_bytes:,} bytes.")
