"""What every door promises, by whatever way one comes in: request ids, headers, bounds, and who needs no key."""

from __future__ import annotations

import json

import pytest

from tests.journeys import operating
from tests.product import Product

OPEN = ["/ping", "/livez", "/readyz", "/health", "/v1/health"]
MANAGEMENT = [
    *("/api/ai-providers", "/api/ai-providers/health/check", "/api/ai-providers/metrics", "/api/ai-providers/alerts"),
    *(f"/api/ai-providers/statistics/{topic}" for topic in ("usage", "cost", "performance", "requests")),
    *(f"/api/ai-providers/{what}" for what in ("credentials", "deployments", "prices", "routes")),
    *(f"/api/accounts/{what}" for what in ("clients", "keys", "tiers")),
    *(f"/api/usage/{what}" for what in ("records", "budgets", "rollups", "exports")),
    *(f"/api/alerts/{what}" for what in ("rules", "incidents", "channels", "schedules")),
    "/api/audit",
    "/api/schema",
    "/api/docs",
]
ANSWERS = [
    *OPEN,
    *("/v1/models", "/v1/nothing", "/api/nothing", "/nothing", "/admin/login/", "/api/audit", "/static/nothing.css"),
]
CHATS = ["/v1/chat/completions", "/v1/messages", "/generate", "/api/v1/completion", "/v1/complete", "/v1/llm/generate"]


@pytest.mark.parametrize("path", OPEN)
def test_these_need_no_key(house: Product, path: str) -> None:
    operating.until_ready(house)
    answer = house.request("GET", path)

    assert answer.status == 200
    assert "upstream" not in answer.text


@pytest.mark.parametrize("path", ["/v1/models", "/api/tags", "/providers", "/api/v1/metrics", "/status"])
def test_every_other_door_refuses_whoever_brings_none(house: Product, path: str) -> None:
    assert house.request("GET", path).status == 401


@pytest.mark.parametrize("path", MANAGEMENT)
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_management_api_is_for_managers_with_and_without_a_slash(house: Product, path: str, slash: str) -> None:
    found = [house.request("GET", path + slash, key=key).status for key in (None, house.key, house.manage_key)]

    assert found == [401, 403, 200]


@pytest.mark.parametrize("path", ANSWERS)
def test_the_request_id_is_on_every_answer(house: Product, path: str) -> None:
    answers = [house.request("GET", path, key=key) for key in (None, house.key, house.manage_key)]
    named = house.request("GET", path, key=house.key, headers={"X-Request-ID": "abc-1"})
    unsafe = house.request("GET", path, key=house.key, headers={"X-Request-ID": "a b\t" + "x" * 200})

    assert all(answer.headers["x-request-id"] for answer in answers)
    assert named.headers["x-request-id"] == "abc-1"
    assert unsafe.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("path", ["/v1/models", "/providers", "/api/tags"])
def test_head_is_answered_as_get_is_without_the_body(house: Product, path: str) -> None:
    asked, headed = (house.request(method, path, key=house.key) for method in ("GET", "HEAD"))

    assert (headed.status, headed.content) == (200, b"")
    assert headed.headers["content-type"] == asked.headers["content-type"]
    assert house.request("HEAD", path).status == 401


def test_an_answer_says_who_made_it_and_what_it_cost(house: Product) -> None:
    headers = house.chat(model="up-chat").headers

    assert (headers["x-provider"], headers["x-model"], headers["x-attempts"]) == ("upstream", "up-chat", "1")
    assert float(headers["x-cost-usd"]) > 0
    assert headers["x-cache"] in {"hit", "miss", "off"}
    assert 0 < float(headers["x-overhead-ms"]) < 60_000


def test_an_unknown_cost_is_not_said_to_be_nothing(house: Product) -> None:
    answer = house.chat(model="up-unpriced")

    assert answer.status == 200
    assert "x-cost-usd" not in answer.headers


@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"model": "demo", "prompt": "a\\u0000b", "messages": [{"role": "user", "content": "a\\u0000b"}]}', 400),
        (b'{"model": "demo", "messages": ' + b"[" * 101 + b"]" * 101 + b"}", 400),
        (b'{"model": "demo"', 400),
        (b'"' + b"x" * (10 * 1024 * 1024) + b'"', 413),
    ],
    ids=["NUL", "too deep", "no JSON", "too large"],
)
def test_what_is_out_of_bounds_is_refused_before_anything_is_spent(
    house: Product, path: str, body: bytes, status: int
) -> None:
    before = house.sql("SELECT count(*) AS rows FROM usage_hold")

    answer = house.request("POST", path, body=body, key=house.key)

    assert answer.status == status, answer.text
    assert json.loads(answer.content)
    assert house.sql("SELECT count(*) AS rows FROM usage_hold") == before


@pytest.mark.parametrize("how", ["Authorization", "x-api-key", "x-goog-api-key", "query"])
def test_a_key_may_come_in_any_of_these_places(house: Product, how: str) -> None:
    value = f"Bearer {house.key}" if how == "Authorization" else house.key
    path = f"/v1/models?key={house.key}" if how == "query" else "/v1/models"

    assert house.request("GET", path, headers={} if how == "query" else {how: value}).status == 200


def test_a_refusal_that_must_not_be_repeated_says_so(house: Product) -> None:
    refused = house.chat(model="no-such-model")

    assert refused.status == 404
    assert refused.headers["x-should-retry"] == "false"
    assert "up-chat" in refused.text


def test_a_stream_says_at_its_start_what_is_known_then(house: Product) -> None:
    headers = house.chat(model="up-chat", stream=True).headers

    assert (headers["x-provider"], headers["x-model"], headers["x-attempts"]) == ("upstream", "up", "1")  # as it says
    assert headers["x-request-id"]
    assert "x-cost-usd" not in headers
