"""Answers over HTTP that are none."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from core.egress import Policy
from core.http import open_session
from core.http1 import Session
from providers import dispatch
from providers.adapters import http
from providers.errors import (
    BadAnswerError,
    ForbiddenAddressError,
    NoSocketError,
    ProviderFailureError,
    UnreachableError,
)
from tests.core.hosts import framed, no_file_to_be_had, raw_host, saying, sized
from tests.providers.topologies import deployment, sent_to
from wire import openai_chat

BODY = b'{"model": "gpt", "messages": [{"role": "user", "content": "Hi"}]}'
CHUNKED = framed(["Transfer-Encoding: chunked"])


def _failure(answer: bytes) -> ProviderFailureError:
    """Of a call that is answered so, and read to its end."""

    async def story() -> None:
        async with raw_host(saying(answer)) as host, open_session() as session:
            await _ask(session, f"http://127.0.0.1:{host.port}/v1")

    return _failed(story())


async def _ask(session: Session, address: str) -> None:
    acme = deployment("acme", kind="custom")
    target = msgspec.structs.replace(acme, provider=msgspec.structs.replace(acme.provider, address=address))
    call = dispatch.encode(openai_chat.open_chat(BODY), openai_chat, target, max_output_tokens=None)
    found = await sent_to(session, target, None, call)
    await found.read()


def _failed(story: Coroutine[Any, Any, None]) -> ProviderFailureError:
    with pytest.raises(ProviderFailureError) as caught:
        asyncio.run(story)
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


def test_an_address_that_our_own_settings_forbid_is_not_asked_again() -> None:
    async def story() -> None:
        async with open_session(policy=Policy.parse(networks="", ports="80")) as session:
            await _ask(session, "http://127.0.0.1:80/v1")

    failure = _failed(story())

    assert isinstance(failure, ForbiddenAddressError)
    assert (failure.sent, failure.repeatable) == (False, False)
    assert failure.detail.startswith("acme is not called: ")


def test_without_a_socket_nothing_was_sent_and_the_provider_has_not_failed() -> None:
    async def story() -> None:
        async with open_session() as session:
            with no_file_to_be_had():
                await _ask(session, "http://127.0.0.1:9/v1")

    failure = _failed(story())

    assert isinstance(failure, NoSocketError)
    assert (failure.sent, failure.counts, failure.repeatable) == (False, False, True)
    assert failure.detail.startswith("acme is not called: ")


def test_an_address_that_is_none_was_not_reached() -> None:
    async def story() -> None:
        async with open_session() as session:
            await _ask(session, "ftp://acme.example/v1")

    failure = _failed(story())

    assert type(failure) is UnreachableError
    assert "acme.example" not in failure.detail


def test_what_is_larger_than_any_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 4)

    failure = _failure(sized(b"abcde"))

    assert isinstance(failure, BadAnswerError)
    assert "larger than this platform accepts" in failure.detail
