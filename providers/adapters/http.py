"""Sending a call over HTTP, with every foreign failure turned into ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from core import http1
from core.egress import EgressRefusedError
from core.http1 import Session
from providers.adapters.base import Answer, Request
from providers.errors import (
    BadAnswerError,
    DisconnectedError,
    ForbiddenAddressError,
    NoSocketError,
    ProviderFailureError,
    RejectedError,
    UnreachableError,
)
from providers.specs import ProviderSpec

MAX_ANSWER_BYTES = 32 * 1024 * 1024
_ERROR_BODY_TIMEOUT_S = 5.0
_BEFORE_ALL_IS_OVER_S = 0.2


class HttpAnswer:
    """An answer whose body is bounded and whose failures are ours."""

    __slots__ = ("_answer", "headers", "status")

    def __init__(self, answer: http1.Answer | http1.UnpackedAnswer) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers

    async def read(self) -> bytes:
        """The whole body. Raises `BadAnswerError` past MAX_ANSWER_BYTES."""
        try:
            return await self._answer.read(MAX_ANSWER_BYTES)
        except http1.TooLargeError as error:
            raise BadAnswerError("The provider's answer is larger than this platform accepts.") from error
        except http1.HttpError as error:
            raise _broken(error) from error

    async def next_chunk(self) -> bytes | None:
        try:
            return await self._answer.chunk()
        except http1.HttpError as error:
            raise _broken(error) from error

    def close(self) -> None:
        self._answer.close()


class ReadAnswer:
    """An answer that has been read, for adapters that look into refusals. Its status may be another than was sent."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body
        self._unread: bytes | None = body

    async def read(self) -> bytes:
        return self._body

    async def next_chunk(self) -> bytes | None:
        chunk, self._unread = self._unread, None
        return chunk

    def close(self) -> None:
        """Nothing is open."""


async def post(session: Session, provider: ProviderSpec, request: Request) -> HttpAnswer:
    """Send `request`; returns when the answer's headers have come. Raises `ProviderFailureError`."""
    try:
        answer = await session.post(
            request.url,
            request.headers,
            request.body,
            connect_timeout_s=provider.connect_timeout_s,
            sent=request.sent,
        )
    except http1.ConnectTimeoutError as error:
        raise UnreachableError(f"No connection to {provider.slug} within {provider.connect_timeout_s:g} s.") from error
    except http1.NoSocketError as error:
        raise NoSocketError(f"{provider.slug} is not called: the platform has no more connections to spare.") from error
    except http1.ConnectError as error:
        if isinstance(error.cause, EgressRefusedError):
            raise ForbiddenAddressError(f"{provider.slug} is not called: {error.cause}") from error
        raise UnreachableError(f"{provider.slug} cannot be reached at its address.") from error
    except http1.InvalidUrlError as error:
        raise UnreachableError(f"{provider.slug} cannot be reached at its address.") from error
    except http1.InvalidHeaderError as error:
        raise RejectedError("The call has a header that cannot be sent.", sent=False) from error
    except http1.MalformedAnswerError as error:
        raise BadAnswerError(f"{provider.slug} sent what cannot be read. {error}") from error
    except http1.HttpError as error:
        raise DisconnectedError(f"{provider.slug} closed the connection without an answer.") from error
    return HttpAnswer(answer)


def _broken(error: http1.HttpError) -> ProviderFailureError:
    """Why an answer that has begun does not go on."""
    if isinstance(error, http1.MalformedAnswerError):
        return BadAnswerError(f"The provider sent what cannot be read. {error}")
    return DisconnectedError("The provider's connection broke in mid-answer.")


async def error_body(answer: Answer, request: Request) -> bytes:
    """What a refusal says of itself, and the answer closed; b"" where it breaks off or takes too long.

    Its status has come, and stands whatever becomes of its words: they are given up before the request itself is.
    """
    left_s = request.ends_at - time.perf_counter() - _BEFORE_ALL_IS_OVER_S
    try:
        async with asyncio.timeout(min(left_s, _ERROR_BODY_TIMEOUT_S)):
            return await answer.read()
    except (TimeoutError, ProviderFailureError):
        return b""
    finally:
        answer.close()
