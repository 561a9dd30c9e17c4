"""The DRF action `POST /api/ai-providers/complete`, for administrators in their browser session.

It enters the same pipeline as its hot twin (`doors.spec_d`), on the same event loop. Calls count as the client
`admin`, with the user's name as the end user.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
from adrf.viewsets import ViewSet
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from gateway import runtime
from gateway.calls import Call
from gateway.catalogue import Caller
from gateway.doors.chat import answer_headers, hold_headers
from gateway.doors.spec_d import SPEC_D
from gateway.doors.specification import told
from gateway.http import Headers
from gateway.streaming import LiveStream
from wire.errors import ApiError

ADMIN_CLIENT = "admin"
_QUEUED_FRAMES = 1_000
_STALLED_S = 60.0


# Specification D writes its names in camel case.
# ruff: noqa: N815
class UsageSerializer(serializers.Serializer[object]):
    promptTokens = serializers.IntegerField()
    completionTokens = serializers.IntegerField()
    totalTokens = serializers.IntegerField()


class MessageSerializer(serializers.Serializer[object]):
    role = serializers.ChoiceField(choices=["system", "user", "assistant"])
    content = serializers.CharField()


class CompletionRequestSerializer(serializers.Serializer[object]):
    prompt = serializers.CharField(required=False)
    messages = MessageSerializer(many=True, required=False)
    systemPrompt = serializers.CharField(required=False)
    temperature = serializers.FloatField(required=False, min_value=0, max_value=2)
    maxTokens = serializers.IntegerField(required=False, min_value=1)
    stream = serializers.BooleanField(default=False)
    providerId = serializers.CharField(required=False)
    model = serializers.CharField(required=False)


class CompletionSerializer(serializers.Serializer[object]):
    id = serializers.CharField()
    content = serializers.CharField()
    model = serializers.CharField()
    provider = serializers.CharField()
    usage = UsageSerializer()
    cost = serializers.FloatField(allow_null=True)
    cached = serializers.BooleanField()
    latency = serializers.FloatField()
    finishReason = serializers.CharField()


class CompletionViewSet(ViewSet):  # type: ignore[misc]  # adrf publishes no types
    """Calls a model."""

    @extend_schema(request=CompletionRequestSerializer, responses=CompletionSerializer)
    async def create(self, request: Request) -> HttpResponseBase:
        """Answer a prompt or a conversation, whole or as a stream of events."""
        request_id = request.headers["X-Request-ID"]  # `http.with_request_id` sees to it
        try:
            call = _call(request, request_id)
            reply = await runtime.gateway().pipeline.complete(call)
        except ApiError as error:
            body = SPEC_D.encode_error(error, request_id=request_id)
            return HttpResponse(body, status=error.status, content_type="application/json")
        if isinstance(reply, LiveStream):
            headers = _as_text(hold_headers(reply.attempt.hold))
            return StreamingHttpResponse(_pumped(reply), content_type="text/event-stream", headers=headers)
        headers = _as_text(answer_headers(reply.record))
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


async def _pumped(stream: LiveStream) -> AsyncIterator[bytes]:
    """The stream's frames, read by a task of our own: Django tells a streaming view neither of a caller who leaves
    nor of a shutdown, so nothing may be settled in its generator.
    """
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUED_FRAMES)
    runtime.gateway().pipeline.detach(_pump(stream, queue))
    while (frame := await queue.get()) is not None:
        yield frame


async def _pump(stream: LiveStream, queue: asyncio.Queue[bytes | None]) -> None:
    try:
        async for frame in stream.frames():
            async with asyncio.timeout(_STALLED_S):
                await queue.put(frame)
    except TimeoutError:
        stream.caller_left = True
    finally:
        await stream.aclose()
        with contextlib.suppress(TimeoutError):  # nobody reads any more
            async with asyncio.timeout(_STALLED_S):
                await queue.put(None)
