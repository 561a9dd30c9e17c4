"""Specification D's `complete`: whole and streaming, with a key, and for an administrator in the browser's session."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from http.client import HTTPResponse
from typing import Any
from uuid import UUID

import pytest

from tests.journeys import operating
from tests.journeys.admin_session import AdminSession
from tests.journeys.dialects import SPEC_D, events
from tests.product import Product
from tests.servers import wait_until
from tests.upstream import Fault, Upstream

WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"
_numbers = itertools.count()
PATHS = ["/api/ai-providers/complete", "/api/ai-providers/complete/"]


@pytest.fixture(scope="module")
def admin(house: Product) -> AdminSession:
    return AdminSession(house)


def check_whole(body: dict[str, Any], line: Any) -> None:
    assert set(body) == {
        *("id", "content", "model", "provider", "usage", "cost", "cached", "latency", "finishReason"),
    }
    total = line.input_tokens + line.output_tokens
    assert body["usage"] == {
        "promptTokens": line.input_tokens,
        "completionTokens": line.output_tokens,
        "totalTokens": total,
    }
    assert (body["content"], body["model"], body["finishReason"]) == (WORDS, line.model, "stop")
    assert Decimal(str(body["cost"])) == operating.usd(operating.cost_pico(line.input_tokens, line.output_tokens))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("model", ["up-chat", "up-claude"])
def test_whole_with_a_key(house: Product, upstream: Upstream, model: str, path: str) -> None:
    answer = house.request("POST", path, body=SPEC_D.body(model, "Hello"), key=house.key)

    assert answer.status == 200
    check_whole(answer.json(), upstream.bill[0])
    assert answer.json()["id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("model", ["up-chat", "up-claude"])
def test_streaming_with_a_key(house: Product, upstream: Upstream, model: str) -> None:
    stream = SPEC_D.stream(house, model)

    (line,) = upstream.bill
    assert stream.text.strip() == WORDS
    assert stream.last["finishReason"] == "stop"
    assert stream.last["usage"]["completionTokens"] == line.output_tokens
    assert Decimal(str(stream.last["cost"])) == operating.usd(
        operating.cost_pico(line.input_tokens, line.output_tokens)
    )


def test_a_conversation_with_its_settings(house: Product, upstream: Upstream) -> None:
    body = {
        "model": "up-chat",
        "systemPrompt": "Be terse.",
        "messages": [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "Why?"},
        ],
        "temperature": 0.5,
        "maxTokens": 3,
    }
    answer = house.request("POST", SPEC_D.path, body=body, key=house.key)

    asked = upstream.bill[0].body
    assert [message["content"] for message in asked["messages"]] == ["Be terse.", "Hello", "Yes?", "Why?"]
    assert (asked["temperature"], asked["max_tokens"]) == (0.5, 3)
    assert (answer.json()["content"], answer.json()["finishReason"]) == ("word0 word1 word2", "length")


@pytest.mark.parametrize("by", ["id", "slug", "kind"])
def test_the_provider_may_be_named(house: Product, upstream: Upstream, by: str) -> None:
    (found,) = house.sql("SELECT id FROM providers_provider WHERE slug = 'upstream-anthropic'")
    named = {"id": str(UUID(found["id"])), "slug": "upstream-anthropic", "kind": "anthropic"}[by]

    answer = house.request(
        "POST", SPEC_D.path, body={"prompt": "Hello", "providerId": named, "model": "up-claude"}, key=house.key
    )

    assert answer.json()["provider"] == "upstream-anthropic"


class TestSession:
    def post(self, admin: AdminSession, body: Any, *, csrf: bool = True, path: str = PATHS[0]) -> Any:
        headers = {"Content-Type": "application/json", "X-Request-ID": f"browser-{next(_numbers)}"}
        if csrf:
            headers["X-CSRFToken"] = admin.csrf_token
        return admin.opened("POST", path, body=body, headers=headers)

    @pytest.mark.parametrize("path", PATHS)
    def test_whole(self, house: Product, upstream: Upstream, admin: AdminSession, path: str) -> None:
        with self.post(admin, SPEC_D.body("up-claude", "Hello"), path=path) as answer:
            body = json.loads(answer.read())

        check_whole(body, upstream.bill[0])
        row = operating.row(house, body["id"])
        assert (row["client"], row["end_user"], row["status"]) == ("admin", "admin", "ok")
        assert row["cost_pico"] == operating.cost_pico(row["input_tokens"], row["output_tokens"])

    def test_streaming(self, house: Product, upstream: Upstream, admin: AdminSession) -> None:
        upstream.on("up-claude", Fault(chunk_s=0.02))
        before = _sessions_rows(house)

        with self.post(admin, SPEC_D.body("up-claude", "Hello") | {"stream": True}) as answer:
            heard = [json.loads(data) for data in events(answer)]

        assert "".join(event.get("content", "") for event in heard).strip() == WORDS
        assert heard[-1]["usage"]["completionTokens"] == upstream.bill[0].output_tokens
        wait_until(lambda: _sessions_rows(house) == before + 1, what="the stream's row")

    def test_who_leaves_in_mid_stream_is_settled(self, house: Product, upstream: Upstream, admin: AdminSession) -> None:
        upstream.on("up-chat", Fault(chunk_s=0.05))
        before = _sessions_rows(house)

        with self.post(admin, SPEC_D.body("up-chat", "Hello") | {"stream": True}) as answer:
            next(events(answer))

        wait_until(lambda: _sessions_rows(house) == before + 1, what="the stream's row")
        wait_until(lambda: operating.open_holds(house) == 0)

    def test_without_its_csrf_token_it_is_refused(
        self, house: Product, upstream: Upstream, admin: AdminSession
    ) -> None:
        with self.post(admin, SPEC_D.body("up-chat", "Hello"), csrf=False) as answer:
            assert answer.status == 403
            assert "CSRF" in _body(answer)["error"]

        assert upstream.bill == []

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"model": "gpt-17", "prompt": "Hello"}, 404, "MODEL_NOT_FOUND"),
            ({"model": "up-chat"}, 400, "INVALID_REQUEST"),
            (b"{", 400, "INVALID_REQUEST"),
            (b'{"prompt": "' + b"x" * 11 * 1024 * 1024 + b'"}', 413, "PAYLOAD_TOO_LARGE"),
        ],
        ids=["unknown model", "no prompt", "no json", "too large"],
    )
    def test_what_is_wrong_is_refused_as_with_a_key(
        self, upstream: Upstream, admin: AdminSession, body: Any, status: int, code: str
    ) -> None:
        with self.post(admin, body) as answer:
            said = _body(answer)

        assert (answer.status, said["error_code"]) == (status, code)
        assert said["request_id"]
        assert upstream.bill == []

    def test_a_refusal_says_when_to_come_again(self, admin: AdminSession) -> None:
        with self.post(admin, SPEC_D.body("all-dead", "Hello")) as answer:
            said = _body(answer)

        assert (answer.status, said["error_code"]) == (503, "PROVIDER_UNAVAILABLE")
        assert answer.headers["retry-after"] == "1"

    def test_the_answer_says_of_itself_what_one_with_a_key_says(
        self, house: Product, upstream: Upstream, admin: AdminSession
    ) -> None:
        with self.post(admin, SPEC_D.body("up-chat", "Hello")) as answer:
            body = _body(answer)

        assert answer.headers["x-request-id"] == body["id"] == f"browser-{next(_numbers) - 1}"
        assert answer.headers["x-provider"] == "upstream"
        assert Decimal(answer.headers["x-cost-usd"]) == Decimal(str(body["cost"]))


def _body(answer: HTTPResponse) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answer.read())
    return body


def _sessions_rows(house: Product) -> int:
    found = house.sql("SELECT count(*) AS number FROM usage_usagerecord WHERE surface = 'spec_d.session'")
    return int(found[0]["number"])
