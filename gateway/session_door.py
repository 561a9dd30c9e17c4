"""The door of administrators' browser sessions to the DRF action `POST /api/ai-providers/complete`.

It does for that action what Django's handler does, but while a provider is awaited it holds neither a thread nor a
connection to the database: one thread finds out whose session it is, for all, before anything else is read.
"""

from __future__ import annotations

import io
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import msgspec
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.log import log_response

from accounts.sessions import Sessions
from core import calling
from gateway import runtime
from gateway.calls import Call
from gateway.completion_view import CompletionViewSet
from gateway.database_thread import DatabaseThread
from gateway.doors import plain_errors
from gateway.failures import BUSY, error_headers
from gateway.http import JSON, CallerLeftError, Exchange, Headers, Receive, Scope, Send
from gateway.leaving import UntilLeft
from gateway.middlewares import within_middlewares
from gateway.replies import Reply, Stream
from wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class SessionDoor:
    """An ASGI application for that one path."""

    def __init__(self) -> None:
        self._sessions = Sessions()
        self._thread = DatabaseThread("sessions", before=self._sessions.look_anew)
        self._handler = within_middlewares(_viewed, self._thread)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        calling.begin(exchange.request_id, exchange.header(b"traceparent"))
        try:
            await self._answer(exchange)
        except CallerLeftError:
            return
        finally:
            exchange.unwatch()

    async def stop(self) -> None:
        await self._thread.stop()

    async def _answer(self, exchange: Exchange) -> None:
        if self._thread.is_full:
            body = plain_errors.encode_error(BUSY, request_id=exchange.request_id, operation="create")
            await exchange.answer(BUSY.status, body, [JSON, *error_headers(BUSY)])
            return
        try:
            request = SessionRequest(exchange, self._thread, self._sessions)
        except UnicodeDecodeError:  # as Django answers it
            await exchange.answer(400, b"", [(b"content-type", b"text/html; charset=utf-8")])
            return
        try:
            await _send(exchange, await self._handler(request))
        finally:
            request.close()


class SessionRequest(ASGIRequest):
    """Django's own request, of which neither the session nor the body has been read."""

    def __init__(self, exchange: Exchange, thread: DatabaseThread, sessions: Sessions) -> None:
        super().__init__(exchange.scope, io.BytesIO())
        self.META["HTTP_X_REQUEST_ID"] = exchange.request_id
        self.exchange = exchange
        self._thread = thread
        self._sessions = sessions

    async def arrive(self) -> None:
        """Read who asks, and then what, of those who have signed in.

        Raises django.db.Error, `RequestDataTooBig`, `CallerLeftError`.
        """
        await self._thread.run(self._sessions.identify, self)
        if not self.user.is_authenticated:
            return
        try:
            self._body = await self.exchange.body(settings.MAX_BODY_BYTES)
        except ApiError as error:
            raise RequestDataTooBig(str(error)) from error


class _AtTheDoor(CompletionViewSet):
    """The action, for a `SessionRequest`: adrf's dispatch would give `initial` to a thread again."""

    async def async_dispatch(self, request: SessionRequest) -> HttpResponseBase:
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}
        self.exchange = request.exchange
        self.request = self.initialize_request(request)
        self.headers = self.default_response_headers
        try:
            await request.arrive()
            self.initial(self.request)
            response = await self.create(self.request)
        except CallerLeftError:
            raise
        except Exception as error:  # noqa: BLE001 - as DRF does: a refusal becomes an answer, the rest is raised again
            response = self.handle_exception(error)
        finished: HttpResponseBase = self.finalize_response(self.request, response)
        return finished

    async def complete(self, call: Call) -> Reply | Stream:
        """Raises `CallerLeftError` too."""
        watched = msgspec.structs.replace(call, watch=self.exchange.watch)
        return await runtime.gateway().pipeline.complete(watched)


_action = _AtTheDoor.as_view({"post": "create"})


async def _viewed(request: SessionRequest) -> HttpResponseBase:
    response: Any = await _action(request)
    if hasattr(response, "render"):  # a refusal of DRF's
        response.render()
    if response.status_code >= 400:
        log_response("%s: %s", response.reason_phrase, request.path, response=response, request=request)
    viewed: HttpResponseBase = response
    return viewed


async def _send(exchange: Exchange, response: HttpResponseBase) -> None:
    if isinstance(response, StreamingHttpResponse):
        await _stream(exchange, response)
    else:
        assert isinstance(response, HttpResponse)
        await exchange.answer(response.status_code, response.content, _headers(response))


async def _stream(exchange: Exchange, response: StreamingHttpResponse) -> None:
    """Raises `CallerLeftError`. What is left of the stream then is seen to by who makes it (`gateway.pump`)."""
    gone = exchange.watch()
    async with aclosing(cast("AsyncGenerator[bytes]", aiter(response))) as frames:
        with UntilLeft(gone):
            first = await anext(frames)  # it is here by now; and what has begun to be read is closed in the end
            await exchange.start_stream(_headers(response))
            await exchange.send(first)
            async for frame in frames:
                await exchange.send(frame)
    await exchange.end_stream()


def _headers(response: HttpResponseBase) -> Headers:
    """All but the length, which `Exchange` tells."""
    headers = [
        (name.encode("ascii"), value.encode("latin-1")) for name, value in response.items() if name != "Content-Length"
    ]
    return headers + [(b"Set-Cookie", cookie.OutputString().encode("ascii")) for cookie in response.cookies.values()]
