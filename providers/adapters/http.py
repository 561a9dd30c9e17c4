"""Sending a call over HTTP, with every foreign failure turned into ours."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Mapping

import aiohttp

from core.egress import EgressRefusedError
from providers.adapters.base import Request
from providers.errors import BadAnswerError, DisconnectedError, ForbiddenAddressError, TimedOutError, UnreachableError
from providers.specs import ProviderSpec

MAX_ANSWER_BYTES = 32 * 1024 * 1024
_READ_BYTES = 64 * 1024


class HttpAnswer:
    """An aiohttp response whose body is bounded and whose failures are ours."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        """The whole body. Raises `BadAnswerError` past MAX_ANSWER_BYTES."""
        length = self._response.content_length
        plain = "Content-Encoding" not in self.headers  # else what comes out may be a thousand times the length
        if length is not None and length <= MAX_ANSWER_BYTES and plain:
            try:
                return await self._response.read()
            except (aiohttp.ClientError, ConnectionError) as error:
                raise DisconnectedError("The provider's connection broke in mid-answer.") from error
        parts: list[bytes] = []
        size = 0
        async for part in self.chunks():
            parts.append(part)
            if (size := size + len(part)) > MAX_ANSWER_BYTES:
                self.close()
                raise BadAnswerError("The provider's answer is larger than this platform accepts.")
        return b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        try:
            async for part in self._response.content.iter_any():
                yield part
        except (aiohttp.ClientError, ConnectionError) as error:
            raise DisconnectedError("The provider's connection broke in mid-answer.") from error

    def close(self) -> None:
        self._response.close()


@functools.cache
def _timeout(connect_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect_s)


async def post(session: aiohttp.ClientSession, provider: ProviderSpec, request: Request) -> HttpAnswer:
    """Send `request`; returns when the answer's headers have come. Raises `ProviderFailureError`."""
    try:
        response = await session.post(
            request.url,
            data=request.body,
            headers=request.headers,
            timeout=_timeout(provider.connect_timeout_s),
            allow_redirects=False,
        )
    except aiohttp.ConnectionTimeoutError as error:
        raise UnreachableError(f"No connection to {provider.slug} within {provider.connect_timeout_s:g} s.") from error
    except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, EgressRefusedError):
            raise ForbiddenAddressError(f"{provider.slug} is not called: {error.os_error}") from error
        raise UnreachableError(f"{provider.slug} cannot be reached at its address.") from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise DisconnectedError(f"{provider.slug} closed the connection without an answer.") from error
    except TimeoutError as error:
        raise TimedOutError(f"{provider.slug} did not answer in time.") from error
    return HttpAnswer(response)
