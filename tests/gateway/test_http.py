"""What an exchange makes of what comes over the wire."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from gateway.calls import Call, open_call
from gateway.catalogue import Caller
from gateway.doors.grpc import Metadata
from gateway.http import CallerLeftError, Exchange
from gateway.slots import Priority
from usage.models.calls import MAX_END_USER_CHARS
from wire import openai_chat
from wire.errors import ApiError

ALICE = Caller(UUID(int=10), "alice", None, "", "call", None)
BODY = b'{"model": "gpt", "messages": [{"role": "user", "content": "Hi"}]}'


def _call(*headers: tuple[bytes, bytes], caller: Caller = ALICE, **said: str) -> Call:
    """`said` are fields of its envelope."""
    never = cast("Any", None)
    exchange = Exchange({"path": "/", "headers": headers}, never, never)
    envelope = msgspec.structs.replace(openai_chat.open_chat(BODY), **said)
    return open_call(
        exchange, surface="test", caller=caller, dialect=openai_chat, envelope=envelope, started=time.perf_counter()
    )


@pytest.mark.parametrize(
    ("header", "value", "field", "heard"),
    [
        (b"x-provider", b"acme", "provider", "acme"),
        (b"x-end-user", b"ann", "end_user", "ann"),
        (b"x-end-user", b"a" * 200, "end_user", "a" * MAX_END_USER_CHARS),
        (b"x-tags", b" team = search ,env=a=b", "tags", '{"team":"search","env":"a=b"}'),
        (b"x-tags", b"%b=%b" % (b"n" * 64, b"v" * 64), "tags", json.dumps({"n" * 64: "v" * 64}, separators=(",", ":"))),
        (b"x-tags", b"env=", "tags", '{"env":""}'),
        (b"x-timeout-ms", b"1", "timeout_s", 0.001),
        (b"x-timeout-ms", b"3600000", "timeout_s", 3_600.0),
        (b"anthropic-beta", b"one,two", "forwarded", {"anthropic-beta": "one,two"}),
        (b"x-cache", b"on", "cache", "on"),
        (b"x-cache", b"off", "cache", "off"),
        (b"x-cache", b"refresh", "cache", "refresh"),
        (b"idempotency-key", b"k" * 255, "idempotency_key", "k" * 255),
        (b"x-priority", b"HIGH", "priority", Priority.HIGH),
        (b"x-priority", b"normal", "priority", Priority.NORMAL),
        (b"x-priority", b"low", "priority", Priority.LOW),
    ],
)
def test_each_header_is_heard_though_it_comes_alone(header: bytes, value: bytes, field: str, heard: object) -> None:
    assert getattr(_call((header, value)), field) == heard


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Timeout-Ms", b"3600001"),
        ("X-Timeout-Ms", b"-1"),
        ("X-Timeout-Ms", b"1.5"),
        ("Idempotency-Key", b"k" * 256),
        ("Idempotency-Key", b"a\tb"),
        ("Idempotency-Key", "ключ".encode()),
        ("X-Priority", b"urgent"),
        ("X-Tags", b"n" * 65 + b"=v"),
        ("X-Tags", b"n=" + b"v" * 65),
        ("X-Tags", b",".join(b"t%d=1" % number for number in range(17))),
    ],
)
def test_a_header_beyond_its_bound_is_refused_by_name(header: str, value: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        _call((header.lower().encode(), value))
    assert (refused.value.status, refused.value.param) == (400, header)


def test_as_many_tags_as_there_may_be() -> None:
    call = _call((b"x-tags", b",".join(b"t%d=1" % number for number in range(16))))

    assert len(json.loads(call.tags)) == 16


def test_a_tokens_end_user_goes_before_the_bodys_and_that_before_the_headers() -> None:
    header, given = (b"x-end-user", b"by header"), msgspec.structs.replace(ALICE, end_user="by token")

    assert _call(header, caller=given, end_user="by body").end_user == "by token"
    assert _call(header, end_user="by body").end_user == "by body"
    assert _call(header).end_user == "by header"
    assert _call(caller=given).end_user == "by token"


def test_the_headers_provider_goes_before_the_bodys() -> None:
    assert _call((b"x-provider", b"acme"), provider="other").provider == "acme"
    assert _call(provider="other").provider == "other"


@pytest.mark.parametrize(
    ("asked", "limit_s", "left"), [(b"", 5, 5), (b"", None, None), (b"2000", 5, 2), (b"9000", 5, 5), (b"2000", None, 2)]
)
def test_of_two_deadlines_the_earlier_holds(asked: bytes, limit_s: float | None, left: float | None) -> None:
    assert _call((b"x-timeout-ms", asked)).within(limit_s).timeout_s == left


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
    first = ((b"x-tags", b"team=search"), (b"x-provider", b"a"), (b"anthropic-beta", b"one"))
    call = _call(*first, (b"x-tags", b"env=prod"), (b"x-provider", b"b"), (b"anthropic-beta", b"two"))

    assert (json.loads(call.tags), call.provider) == ({"team": "search", "env": "prod"}, "b")
    assert call.forwarded == {"anthropic-beta": "one,two"}


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


def test_what_is_left_of_a_deadline_counts_from_the_calls_start() -> None:
    call = _call((b"x-timeout-ms", b"60000"))
    begun_earlier = msgspec.structs.replace(call, started=call.started - 40)
    over = msgspec.structs.replace(call, started=call.started - 80)

    assert _call().left_s is None
    assert begun_earlier.left_s is not None
    assert begun_earlier.left_s <= 20 < (call.left_s or 0)
    assert 0 < (over.left_s or 0) < 1, "a moment: what is over ends as a timeout does"


def _exchange(*headers: tuple[bytes, bytes], parts: list[dict[str, Any]] | None = None) -> tuple[Exchange, list[Any]]:
    """It receives `parts`; and what it sends."""
    coming, sent = list(parts or ()), list[Any]()

    async def receive() -> dict[str, Any]:
        return coming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    return Exchange({"path": "/", "headers": list(headers)}, receive, send), sent


def _part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize("parts", [[b"x" * 10], [b"x" * 4, b"", b"x" * 6]])
def test_a_body_may_be_as_long_as_its_bound_and_no_longer(parts: list[bytes]) -> None:
    *before, last = parts
    coming = [*(_part(part, more=True) for part in before), _part(last)]

    assert asyncio.run(_exchange(parts=coming)[0].body(10)) == b"x" * 10
    assert asyncio.run(_exchange((b"content-length", b"10"), parts=coming)[0].body(10)) == b"x" * 10
    for headers in ([], [(b"content-length", b"10")]):
        with pytest.raises(ApiError) as refused:
            asyncio.run(_exchange(*headers, parts=coming)[0].body(9))
        assert refused.value.status == 413


def test_a_body_that_breaks_off_is_none() -> None:
    coming = [_part(b"{", more=True), {"type": "http.disconnect"}]

    with pytest.raises(CallerLeftError):
        asyncio.run(_exchange(parts=coming)[0].body(10))


@pytest.mark.parametrize("is_anthropics", [False, True])
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_carries_its_request_id_and_what_is_told_of_limits(*, is_stream: bool, is_anthropics: bool) -> None:
    """Anthropic's SDKs read it in a header of another name."""
    asked = [(b"x-request-id", b"one"), *([(b"anthropic-version", b"2023-06-01")] if is_anthropics else [])]
    exchange, sent = _exchange(*asked)
    exchange.told.append((b"x-ratelimit-limit", b"5"))

    async def story() -> None:
        if is_stream:
            await exchange.start_stream([(b"content-type", b"text/event-stream")])
            await exchange.send(b"told")
            await exchange.end_stream()
        else:
            await exchange.answer(201, b"told")

    asyncio.run(story())
    assert exchange.started
    start, *bodies = sent
    headers = dict(start["headers"])
    assert headers[b"x-request-id"] == b"one"
    assert headers[b"x-ratelimit-limit"] == b"5"
    assert headers.get(b"request-id") == (b"one" if is_anthropics else None)
    assert b"".join(each["body"] for each in bodies) == b"told"
    assert [each.get("more_body", False) for each in bodies] == [True] * (len(bodies) - 1) + [False]
    if is_stream:
        assert (start["status"], headers[b"cache-control"], headers[b"x-accel-buffering"]) == (200, b"no-cache", b"no")
    else:
        assert (start["status"], headers[b"content-length"], headers[b"content-type"]) == (
            201,
            b"4",
            b"application/json",
        )
