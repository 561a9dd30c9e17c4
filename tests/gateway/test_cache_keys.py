"""Which calls take part in the cache, and under which key their answers lie."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.cache import keys, policy
from gateway.calls import Call
from gateway.plans import Way
from tests.gateway.cache_calls import ALICE, BOB, call, way
from wire import anthropic_messages, openai_chat
from wire.errors import ApiError


def _digest(made: Call, *ways: Way) -> str:
    key = keys.key_of(made, list(ways or (way(),)))
    assert key is not None
    return key.digest


def _written(body: bytes) -> Call:
    return call(envelope=openai_chat.open_chat(body))


@pytest.mark.parametrize(
    ("header", "use_cache", "temperature", "wish"),
    [
        (None, None, 0.0, "on"),
        (None, None, 0.7, "off"),
        (None, None, None, "off"),
        (None, True, 0.7, "on"),
        (None, False, 0.0, "off"),
        ("on", False, 1.0, "on"),
        ("off", True, 0.0, "off"),
        ("refresh", None, 1.0, "refresh"),
    ],
)
def test_who_takes_part(
    *, header: policy.Wish | None, use_cache: bool | None, temperature: float | None, wish: policy.Wish
) -> None:
    assert policy.wish(header, use_cache=use_cache, temperature=temperature) == wish


def test_a_header_that_means_nothing_is_refused_by_name() -> None:
    assert policy.read_header("") is None
    with pytest.raises(ApiError) as refused:
        policy.read_header("maybe")
    assert refused.value.param == "X-Cache"


@pytest.mark.parametrize(
    "same",
    [
        b'{"temperature":0,"messages":[{"content":"Hello","role":"user"}],"model":"gpt"}',
        b' { "model" : "gpt" , "messages" : [ { "role" : "user" , "content" : "Hell\\u006f" } ] , "temperature" : 0 }',
        *(
            b'{"model":"gpt","messages":[{"role":"user","content":"Hello"}],"temperature":0,%b}' % unheard
            for unheard in (
                b'"user":"carol"',
                b'"safety_identifier":"carol"',
                b'"metadata":{"a":"b"}',
                b'"stream_options":{"include_usage":true}',
                b'"use_cache":true',
            )
        ),
    ],
)
def test_however_it_is_written(same: bytes) -> None:
    assert _digest(_written(same)) == _digest(call())


@pytest.mark.parametrize(
    "changed",
    [
        {"caller": BOB},
        {"surface": "openai.other"},
        {"dialect": anthropic_messages},
        {"provider": "own"},
        {"forwarded": {"anthropic-beta": "x"}},
    ],
    ids=str,
)
def test_another_call_has_another_key(changed: dict[str, Any]) -> None:
    assert keys.key_of(call(**changed), [way()]) != keys.key_of(call(), [way()])


@pytest.mark.parametrize(
    "asked", [{"model": "gpt-2"}, {"stream": True}, {"max_tokens": 5}, {"temperature": 1}], ids=str
)
def test_another_body_has_another_key(asked: dict[str, Any]) -> None:
    assert _digest(call(asked=asked)) != _digest(call())


def test_a_stream_is_not_told_as_a_whole_where_the_path_alone_asks_for_it() -> None:
    """As Google's does."""
    streamed = call(envelope=msgspec.structs.replace(call().envelope, stream=True))

    assert _digest(streamed) != _digest(call())
    assert keys.fingerprint(streamed) != keys.fingerprint(call())


def test_where_it_may_go_counts_and_chance_does_not() -> None:
    first, second = way(1), way(2)

    assert _digest(call(), first, second) == _digest(call(), second, first)
    assert _digest(call(), first) != _digest(call(), second)
    assert _digest(call(), first) != _digest(call(), way(1, model="gpt-2"))
    assert _digest(call(), first) != _digest(call(), way(1, defaults={"temperature": 1}))
    assert _digest(call(), way(1, defaults={"temperature": 2})) != _digest(call(), way(1, defaults={"temperature": 1}))
    assert _digest(call(), first) != _digest(call(), msgspec.structs.replace(first, output_tokens=7))


def test_an_answer_that_we_bound_is_not_that_of_a_call_without_a_bound() -> None:
    """Two keys of a client, of which one has a hard budget: an answer of the other may be longer."""
    assumed = msgspec.structs.replace(way(), output_tokens=4_000)
    imposed = msgspec.structs.replace(assumed, imposed_tokens=4_000)

    assert _digest(call(), imposed) == _digest(call(), imposed)
    assert _digest(call(), imposed) != _digest(call(), assumed)


def test_clients_share_no_scope() -> None:
    assert keys.scope_of(ALICE) != keys.scope_of(BOB)
    renamed = msgspec.structs.replace(ALICE, client="alicia")
    assert keys.scope_of(renamed) == keys.scope_of(ALICE)
    session = msgspec.structs.replace(ALICE, client_id=None, client=str(ALICE.client_id))
    assert keys.scope_of(session) != keys.scope_of(ALICE)


def test_a_key_tells_nothing_of_the_call() -> None:
    key = keys.key_of(call("a canary"), [way()])

    assert key is not None
    assert set(key.digest + key.scope) <= set("0123456789abcdef")


def test_a_body_that_cannot_be_read_is_not_kept() -> None:
    envelope = msgspec.structs.replace(call().envelope, fields={"x": msgspec.Raw(b'"\\ud800"')})

    assert keys.key_of(call(envelope=envelope), [way()]) is None


def test_fingerprints_tell_bodies_apart() -> None:
    assert keys.fingerprint(call()) == keys.fingerprint(call())
    assert keys.fingerprint(call("Hello!")) != keys.fingerprint(call())
    assert keys.fingerprint(call(asked={"user": "carol"})) != keys.fingerprint(call())
    assert keys.fingerprint(call(asked={"stop": "5"})) != keys.fingerprint(call(asked={"prefix": "5"}))
    for changed in ({"provider": "own"}, {"surface": "openai.other"}, {"dialect": anthropic_messages}):
        assert keys.fingerprint(call(**changed)) != keys.fingerprint(call())
    elsewhere = call(envelope=msgspec.structs.replace(call().envelope, model="gpt-2"))  # as Google's paths name it
    assert keys.fingerprint(elsewhere) != keys.fingerprint(call())
    assert _digest(elsewhere) != _digest(call())
    assert len(keys.fingerprint(call())) <= 64
