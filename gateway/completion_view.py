"""The DRF action `POST /api/ai-providers/complete`, for administrators in their browser session.

It enters the same pipeline as its hot twin (`doors.spec_d`), on the same event loop. Calls count as the client
`admin`, with the user's name as the end user.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec
from adrf.viewsets import ViewSet
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from gateway import runtime
from gateway.calls import Call
from gateway.catalogue import Caller
from gateway.doors.chat import answer_headers, stream_headers
from gateway.doors.spec_d import SPEC_D
from gateway.doors.specification import told
from gateway.http import Headers
from gateway.pump import pumped
from gateway.replies import Reply
from wire.errors import ApiError

ADMIN_CLIENT = "admin"


class CompletionViewSet(ViewSet):  # type: ignore[misc]  # adrf publishes no types
    """Calls a model."""

    @extend_schema(exclude=True)  # the schema has its hot twin, at the same path
    async def create(self, request: Request) -> HttpResponseBase:
        """Answer a prompt or a conversation, whole or as a stream of events."""
        request_id = request.headers["X-Request-ID"]  # `http.with_request_id` sees to it
        try:
            call = _call(request, request_id)
            reply = await runtime.gateway().pipeline.complete_apart(call)
        except ApiError as error:
            body = SPEC_D.encode_error(error, request_id=request_id)
            return HttpResponse(body, status=error.status, content_type="application/json")
        if not isinstance(reply, Reply):
            return StreamingHttpResponse(
                pumped(reply, detach=runtime.gateway().pipeline.detach), headers=_as_text(stream_headers(reply))
            )
        headers = _as_text(answer_headers(reply))
        body = msgspec.json.encode(SPEC_D.answer(told(call, reply)))
        return HttpResponse(body, content_type="application/json", headers=headers)


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
        end_user=str(request.user),
        tags="{}",
        timeout_s=None,
        started=time.perf_counter(),
        started_at=datetime.now(UTC),
    )
