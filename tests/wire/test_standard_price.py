"""What has a call charged at another price than its model's is refused when a body is opened, for every provider."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from wire import anthropic_messages, gemini, openai_chat, openai_responses
from wire.anthropic_messages.opening import measure
from wire.dialect import Dialect
from wire.errors import ApiError, Code

OPENAI: Dialect = openai_chat
RESPONSES: Dialect = openai_responses
ANTHROPIC: Dialect = anthropic_messages
GEMINI: Dialect = gemini

HELLO: dict[str, dict[str, Any]] = {
    "openai_chat": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    "openai_responses": {"model": "m", "input": "Hi"},
    "anthropic_messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    "gemini": {"contents": [{"parts": [{"text": "Hi"}]}]},
}


def _body(dialect: Dialect, fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode(HELLO[dialect.name] | fields)


@pytest.mark.parametrize(
    ("dialect", "fields", "param", "allowed"),
    [
        *(
            (OPENAI, {"service_tier": tier}, "service_tier", "auto or default or on_demand")
            for tier in ("priority", "flex", "new", 1)
        ),
        *(
            (RESPONSES, {"service_tier": tier}, "service_tier", "auto or default or on_demand")
            for tier in ("priority", "flex", "fast")
        ),
        (ANTHROPIC, {"speed": "fast"}, "speed", "standard"),
        (ANTHROPIC, {"inference_geo": "us"}, "inference_geo", "global"),
        *((GEMINI, {"serviceTier": tier}, "serviceTier", "standard") for tier in ("priority", "flex", "PRIORITY")),
        (GEMINI, {"service_tier": "priority"}, "serviceTier", "standard"),
    ],
)
def test_another_price_is_refused_by_name(dialect: Dialect, fields: dict[str, Any], param: str, allowed: str) -> None:
    with pytest.raises(ApiError) as refused:
        dialect.open_chat(_body(dialect, fields))

    assert (refused.value.code, refused.value.param) == (Code.UNSUPPORTED_FIELD, param)
    assert allowed in refused.value.message
    assert "no other price" in refused.value.message


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        *((OPENAI, {"service_tier": tier}) for tier in ("auto", "default", "on_demand", None)),
        *((RESPONSES, {"service_tier": tier}) for tier in ("auto", "default", "on_demand", None)),
        (ANTHROPIC, {"speed": "standard", "inference_geo": "global"}),
        (ANTHROPIC, {"speed": None, "inference_geo": None, "service_tier": "auto"}),
        *((GEMINI, {"serviceTier": tier}) for tier in ("unspecified", "standard", "SERVICE_TIER_UNSPECIFIED", None)),
    ],
)
def test_the_standard_price_may_be_asked_for_by_name(dialect: Dialect, fields: dict[str, Any]) -> None:
    envelope = dialect.open_chat(_body(dialect, fields))

    sent = msgspec.json.decode(dialect.rewrite_chat(envelope, model="m", max_output_tokens=None))
    assert sent | fields == sent
    dialect.decode_chat(envelope)


def test_what_is_only_counted_is_refused_alike() -> None:
    with pytest.raises(ApiError, match="speed"):
        measure(_body(ANTHROPIC, {"speed": "fast"}))
