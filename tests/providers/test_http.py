"""Answers over HTTP that are none."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from core.http import open_session
from providers import dispatch
from providers.errors import BadAnswerError, ProviderFailureError
from tests.core.hosts import framed, raw_host, saying, sized
from tests.providers.topologies import deployment, sent_to
from wire import openai_chat

BODY = b'{"model": "gpt", "messages": [{"role": "user", "content": "Hi"}]}'
CHUNKED = framed(["Transfer-Encoding: chunked"])


def _failure(answer: bytes) -> ProviderFailureError:
    """Of a call that is answered so, and read to its end."""

    async def story() -> None:
        async with raw_host(saying(answer)) as host, open_session() as session:
            acme = deployment("acme", kind="custom")
            provider = msgspec.structs.replace(acme.provider, address=f"http://127.0.0.1:{host.port}/v1")
            target = msgspec.structs.replace(acme, provider=provider)
            call = dispatch.encode(openai_chat.open_chat(BODY), openai_chat, target, max_output_tokens=None)
            found = await sent_to(session, target, None, call)
            await found.read()

    with pytest.raises(ProviderFailureError) as caught:
        asyncio.run(story())
    return caught.value


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (sized(b"abcde", "Content-Encoding: br"), "packed in a way that was not asked for"),
        (sized(b"abcde", f"X-Big: {'a' * 17_000}"), "its headers are too large"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not HTTP/1.1"),
        (CHUNKED + b"no size\r\n", "not HTTP/1.1"),
        (sized(b"abcde", "Content-Encoding: gzip"), "cannot be unpacked"),
    ],
    ids=["packed", "too many headers", "HTTP/2", "bad chunk", "bad gzip"],
)
def test_what_cannot_be_read_is_not_asked_for_again(answer: bytes, why: str) -> None:
    failure = _failure(answer)

    assert isinstance(failure, BadAnswerError)
    assert not failure.repeatable
    assert why in failure.detail
