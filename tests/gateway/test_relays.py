"""What lies between a provider's stream and its caller's: which bytes are words, and whose time is told."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from gateway.relays import Relay, dated, relay_between
from wire import anthropic_messages, openai_chat, sse
from wire.neutral import Started

MADE_AT = datetime(2026, 3, 1, tzinfo=UTC)
PING = b": still thinking\n\n"
WORD = sse.event(msgspec.json.encode({"choices": [{"index": 0, "delta": {"content": "Hi"}}]}))


@pytest.fixture(params=[openai_chat, anthropic_messages], ids=["as it comes", "translated"])
def relay(request: pytest.FixtureRequest) -> Relay:
    return relay_between(openai_chat, request.param, show_usage=True, made_at=MADE_AT)


def test_comments_alone_are_no_words(relay: Relay) -> None:
    relay.feed(PING + PING)
    assert relay.is_silent

    told = relay.feed(PING + WORD)
    assert b"Hi" in told
    assert not relay.is_silent


def test_an_event_that_its_provider_leaves_without_an_end_is_ended(relay: Relay) -> None:
    assert b"Hi" not in relay.feed(WORD.rstrip(b"\n"))

    assert b"Hi" in relay.feed(relay.unended())


def test_a_time_is_told_where_its_provider_tells_none() -> None:
    assert dated(Started("1", "gpt"), MADE_AT).created == int(MADE_AT.timestamp())
    assert dated(Started("1", "gpt", created=17), MADE_AT).created == 17
