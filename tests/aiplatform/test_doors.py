"""Which requests are whose: those with a key, those of browser sessions, those of nobody."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from aiplatform.doors import LIMITED, PREFIXES, ROUTES, door_of
from gateway.doors import spec_b, spec_d

COMPLETE = spec_d.ROUTES["POST", "/api/ai-providers/complete"]


def scope_of(method: str, path: str, *headers: tuple[bytes, bytes], query: bytes = b"") -> dict[str, Any]:
    return {"method": method, "path": path, "query_string": query, "headers": list(headers)}


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([], b"monkey=1"),
        ([], b"key="),
        ([(b"authorization", b"Basic cHJveHk6cHJveHk=")], b""),
        ([(b"authorization", b"Bearer ")], b""),
    ],
    ids=["another parameter", "an empty one", "a proxy's own sign-in", "nothing"],
)
def test_what_is_no_key_is_none(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    """A probe is told a word, and an administrator's session is looked at."""
    assert door_of(scope_of("GET", "/health", *headers, query=query)) is None
    assert door_of(scope_of("POST", "/api/ai-providers/complete", *headers, query=query)) is None


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"authorization", b"Bearer wrong")], b""),
        ([(b"authorization", b"Basic cHJveHk6cHJveHk="), (b"x-api-key", b"wrong")], b""),
        ([(b"x-goog-api-key", b"wrong")], b""),
        ([], b"alt=sse&key=wrong"),
    ],
    ids=["bearer", "beside a proxy's own sign-in", "Google's", "in the query"],
)
def test_a_key_is_one_right_or_wrong(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    assert door_of(scope_of("GET", "/health", *headers, query=query)) is spec_b.HEALTH
    assert door_of(scope_of("POST", "/api/ai-providers/complete", *headers, query=query)) is COMPLETE


@override_settings(ANONYMOUS_CLIENT="bob")
def test_where_callers_need_no_key_a_session_is_still_a_session() -> None:
    cookie = (b"cookie", b"csrftoken=abc; sessionid=def")

    assert door_of(scope_of("POST", "/api/ai-providers/complete")) is COMPLETE
    assert door_of(scope_of("POST", "/api/ai-providers/complete", (b"cookie", b"theme=dark"))) is COMPLETE
    assert door_of(scope_of("POST", "/api/ai-providers/complete", cookie)) is None


def test_every_door_is_limited_or_costs_nothing() -> None:
    facts = {"anthropic.count_tokens", "nowhere", "ollama.show", "ollama.tags", "ollama.version", "spec_a.cache"}
    facts |= {"spec_b.costs", "spec_b.metrics", "spec_b.status", "spec_e.usage"}

    surfaces = {door.surface for door in (*ROUTES.values(), *(door for _, door in PREFIXES))} - facts

    limited = {each for each in surfaces if not each.endswith((".models", ".providers"))}
    assert set(LIMITED) == limited | {"gemini.embeddings", "spec_c.grpc", "websocket"}
