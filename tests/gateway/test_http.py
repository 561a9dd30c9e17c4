"""What an exchange makes of what comes over the wire."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, cast
from uuid import UUID

import pytest

from gateway.calls import Call, open_call
from gateway.catalogue import Caller
from gateway.doors.grpc import Metadata
from gateway.http import Exchange
from wire import openai_chat
from wire.errors import ApiError

ALICE = Caller(UUID(int=10), "alice", None, "", "call", None)
BODY = b'{"model": "gpt", "messages": [{"role": "user", "content": "Hi"}]}'


def _call(*headers: tuple[bytes, bytes]) -> Call:
    never = cast("Any", None)
    exchange = Exchange({"path": "/", "headers": headers}, never, never)
    envelope = openai_chat.open_chat(BODY)
    return open_call(
        exchange, surface="test", caller=ALICE, dialect=openai_chat, envelope=envelope, started=time.perf_counter()
    )


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_what_headers_say_beyond_ascii_is_read_as_it_was_written(encoding: str) -> None:
    """Budgets on them hold whichever of the two the caller's HTTP client writes."""
    call = _call((b"x-tags", "team=Süd".encode(encoding)), (b"x-end-user", "Jürgen".encode(encoding)))

    assert (json.loads(call.tags), call.end_user) == ({"team": "Süd"}, "Jürgen")


def test_white_space_behind_a_header_is_no_part_of_it() -> None:
    call = _call(
        (b"x-provider", b"acme \t"), (b"x-end-user", b"bob "), (b"x-request-id", b"one "), (b"x-cache", b"on ")
    )

    assert (call.provider, call.end_user, call.request_id) == ("acme", "bob", "one")


def test_of_a_header_that_comes_several_times_lists_are_one_and_of_others_the_last_counts() -> None:
    call = _call((b"x-tags", b"team=search"), (b"x-provider", b"a"), (b"x-tags", b"env=prod"), (b"x-provider", b"b"))

    assert (json.loads(call.tags), call.provider) == ({"team": "search", "env": "prod"}, "b")


def test_metadata_of_grpc_is_read_the_same_way() -> None:
    read = Metadata([("x-tags", "team=search"), ("x-tags", "env=prod"), ("x-priority", "high ")])

    assert (read.header(b"x-tags"), read.header(b"x-priority")) == ("team=search,env=prod", "high")


@pytest.mark.parametrize("tags", [(b"team=a,team=b",), (b"team=a", b"team=b")])
def test_a_tag_has_one_value(tags: tuple[bytes, ...]) -> None:
    with pytest.raises(ApiError, match="each tag once"):
        _call(*((b"x-tags", each) for each in tags))


@pytest.mark.parametrize(
    ("coding", "taken"),
    [
        *((coding, False) for coding in (b"gzip", b"x-gzip", b"deflate", b"compress", b"br", b"zstd", b"GZIP")),
        *((coding, True) for coding in (b"identity", b"utf-8", b"")),
    ],
)
def test_a_compressed_body_is_refused_as_such(coding: bytes, *, taken: bool) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY}

    exchange = Exchange({"path": "/", "headers": [(b"content-encoding", coding)]}, receive, cast("Any", None))
    if taken:
        assert asyncio.run(exchange.body(1_000)) == BODY
    else:
        with pytest.raises(ApiError, match=f"'{coding.decode()}' is not taken"):
            asyncio.run(exchange.body(1_000))
