"""The DRF action `POST /api/ai-providers/complete`, for administrators in their browser session.

It enters the same pipeline as its hot twin (`doors.spec_d`), on the same event loop, by a door of its own
(`session_door`). Calls count as the client `admin`, with the user's name as the end user.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from adrf.viewsets import ViewSet
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from accounts.callers import ADMIN_CLIENT
from accounts.rest import CanEnter
from gateway import runtime
from gateway.calls import Call
from gateway.catalogue import Caller
from gateway.doors.chat import answer_headers, stream_headers
from gateway.doors.spec_d import SPEC_D
from gateway.doors.specification import told
from gateway.failures import error_headers
from gateway.http import Headers
from gateway.pump import pumped
from gateway.replies import Reply, Stream
from usage.models.calls import MAX_END_USER_CHARS
from wire.errors import ApiError


class Unread(BaseParser):
    """JSON that the action reads by itself. DRF has each body parsed to look for a CSRF token, where forms have one."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        return {}


class Negotiation(DefaultContentNegotiation):
    """The body says whether a stream is wanted: no `Accept` is asked, as at the hot twin; DRF's refusals are JSON."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type


class CompletionViewSet(ViewSet):  # type: ignore[misc]  # adrf publishes no types
    """Calls a model."""

    permission_classes = (CanEnter,)
    parser_classes = (Unread,)
    content_negotiation_class = Negotiation
    view_is_async = True  # adrf would look through all members to find it out, at each call

    @extend_schema(exclude=True)  # the schema has its hot twin, at the same path
    async def create(self, request: Request) -> HttpResponseBase:
        """Answer a prompt or a conversation, whole or as a stream of events."""
        request_id = request.META["HTTP_X_REQUEST_ID"]  # the door sees to it
        try:
            call = _call(request, request_id)
            reply = await self.complete(call)
        except ApiError as error:
            body = SPEC_D.encode_error(error, request_id=request_id)
            headers = _as_text(error_headers(error))
            return HttpResponse(body, status=error.status, content_type="application/json", headers=headers)
        if not isinstance(reply, Reply):
            return StreamingHttpResponse(
                pumped(reply, detach=runtime.gateway().pipeline.detach), headers=_as_text(stream_headers(reply))
            )
        headers = _as_text(answer_headers(reply))
        body = msgspec.json.encode(SPEC_D.answer(told(call, reply)))
        return HttpResponse(body, content_type="application/json", headers=headers)

    async def complete(self, call: Call) -> Reply | Stream:
        """Raises `ApiError`."""
        return await runtime.gateway().pipeline.complete_apart(call)


def _as_text(headers: Headers) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


def _call(request: Request, request_id: str) -> Call:
    caller = Caller(client_id=None, client=ADMIN_CLIENT, key_id=None, key_prefix="", scope="manage", expires_at=None)
    envelope = SPEC_D.open_chat(request.body)
    return Call(
        request_id=request_id,
        surface="spec_d.session",
        caller=caller,
        dialect=SPEC_D,
        envelope=envelope,
        provider=envelope.provider,
        end_user=str(request.user)[:MAX_END_USER_CHARS],
        tags="{}",
        timeout_s=None,
        started=time.perf_counter(),
        started_at=datetime.now(UTC),
    )
