"""Tokens counted before a call, in the dialects that ask for it: our own estimate, which asks no provider."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.product import Product
from tests.upstream import Upstream

PATHS = ["/v1/messages/count_tokens", "/anthropic/v1/messages/count_tokens"]
BODY: dict[str, Any] = {"model": "up-claude", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize("start", ["", "/anthropic"])
def test_anthropics_client_counts(house: Product, upstream: Upstream, start: str) -> None:
    with anthropic.Anthropic(base_url=f"{house.base_url}{start}", api_key=house.key, max_retries=0) as client:
        short, long = (
            client.messages.count_tokens(
                model="up-claude", messages=[{"role": "user", "content": text}], system="Be brief."
            ).input_tokens
            for text in ("Hello", "Hello " * 1000)
        )

    assert 0 < short < 100
    assert 1_000 < long < 2_000
    assert upstream.bill == []


@pytest.mark.parametrize("path", PATHS)
def test_what_is_wrong_is_refused_in_anthropics_form(house: Product, path: str) -> None:
    answer = house.request("POST", path, body={"model": "up-claude"}, headers={"x-api-key": house.key})

    assert answer.status == 400
    assert answer.json()["error"] == {
        "type": "invalid_request_error",
        "message": "'messages' must be a non-empty array.",
    }


def test_tools_and_instructions_count_too(house: Product) -> None:
    more = {"system": "Be brief. " * 50, "tools": [{"name": "f", "input_schema": {"type": "object"}}]}
    counts = [house.request("POST", PATHS[0], body=body, key=house.key).json() for body in (BODY, BODY | more)]
    assert counts[1]["input_tokens"] > counts[0]["input_tokens"] + 100
