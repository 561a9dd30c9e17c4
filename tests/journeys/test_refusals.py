"""A call that is wrong in itself: refused in the caller's dialect, before anything is spent, and said clearly."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.dialects import ANTHROPIC, DOORS, OPENAI, SPEC_D, Door
from tests.product import Answer, Product
from tests.servers import PATIENCE_S
from tests.upstream import Upstream

every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
MIB = 1024 * 1024
UNAUTHENTICATED = {"openai": "UNAUTHENTICATED", "anthropic": "authentication_error", "spec-d": "UNAUTHENTICATED"}
NOT_FOUND = {"openai": "MODEL_NOT_FOUND", "anthropic": "not_found_error", "spec-d": "MODEL_NOT_FOUND"}
INVALID = {"openai": "INVALID_REQUEST", "anthropic": "invalid_request_error", "spec-d": "INVALID_REQUEST"}
TOO_LARGE = {"openai": "PAYLOAD_TOO_LARGE", "anthropic": "request_too_large", "spec-d": "PAYLOAD_TOO_LARGE"}


@pytest.fixture(autouse=True)
def nothing_is_spent(upstream: Upstream) -> Iterator[None]:
    yield
    assert upstream.bill == []


def post(product: Product, door: Door, body: Any, *, key: str | None = None) -> Answer:
    return product.request("POST", door.path, body=body, key=product.key if key is None else key)


def check_refused(answer: Answer, door: Door, status: int, code: str) -> str:
    """The message."""
    assert answer.status == status, answer.text
    assert door.code(answer.json()) == code
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["x-request-id"]
    return door.message(answer.json())


class TestKeys:
    @every_door
    @pytest.mark.parametrize("key", ["aip_00000000_wrong", "sk-of-another-place", "é", "x" * 4_000])
    def test_a_wrong_key(self, house: Product, door: Door, key: str) -> None:
        answer = house.request(
            "POST", door.path, body=door.body("up-chat", "Hello"), headers={"x-api-key": key.encode().decode("latin-1")}
        )

        message = check_refused(answer, door, 401, UNAUTHENTICATED[door.name])
        assert "unknown or inactive" in message
        assert key not in answer.text

    @pytest.mark.parametrize("door", [OPENAI, ANTHROPIC], ids=lambda door: door.name)
    def test_no_key(self, house: Product, door: Door) -> None:
        answer = house.request("POST", door.path, body=door.body("up-chat", "Hello"))

        assert "Authorization: Bearer" in check_refused(answer, door, 401, UNAUTHENTICATED[door.name])

    def test_no_key_and_no_session(self, house: Product) -> None:
        answer = house.request("POST", SPEC_D.path, body=SPEC_D.body("up-chat", "Hello"))

        assert (answer.status, SPEC_D.code(answer.json())) in {(401, "UNAUTHENTICATED"), (403, "FORBIDDEN")}

    def test_a_model_list_needs_a_key_too(self, house: Product) -> None:
        assert house.request("GET", "/v1/models").status == 401
        assert house.request("GET", "/v1/models/demo").status == 401


@pytest.mark.parametrize("place", ["Authorization", "x-api-key", "x-goog-api-key", "?key="])
def test_a_key_is_taken_wherever_sdks_put_it(house: Product, place: str) -> None:
    headers = {place: f"Bearer {house.key}" if place == "Authorization" else house.key} if place[0] != "?" else {}
    path = "/v1/models" + (f"?key={house.key}" if place[0] == "?" else "")

    assert house.request("GET", path, headers=headers).status == 200


@every_door
@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model(house: Product, door: Door, *, stream: bool) -> None:
    answer = door.call(house, "gpt-17", stream=stream)

    message = check_refused(answer, door, 404, NOT_FOUND[door.name])
    assert "gpt-17" in message
    assert "up-chat" in message  # what there is
    row = operating.row_of(house, answer)
    assert (row["status"], row["error_code"], row["requested_model"]) == ("refused", "MODEL_NOT_FOUND", "gpt-17")
    assert (row["evidence"], row["cost_pico"], row["provider"]) == ("none", 0, "")


def test_an_unknown_provider(house: Product) -> None:
    answer = OPENAI.call(house, "up-chat", headers={"X-Provider": "nobody"})

    assert "nobody" in check_refused(answer, OPENAI, 404, "MODEL_NOT_FOUND")


QUESTION = [{"role": "user", "content": "Hello"}]


class TestMalformed:
    @every_door
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b'"text"',
            b"[]",
            b"null",
            b'{"a":',
            b"\xff\xfe{}",
            b'{"model":"up-chat","messages":' + b"[" * 200 + b"]" * 200 + b"}",
            b'{"model":"up-chat","prompt":"a\\u0000b","max_tokens":1,"messages":[{"role":"user","content":"\\u0000"}]}',
        ],
        ids=["empty", "open", "text", "list", "null", "cut", "not utf-8", "deep", "nul"],
    )
    def test_what_is_no_usable_json(self, house: Product, door: Door, body: bytes) -> None:
        answer = post(house, door, body)

        assert check_refused(answer, door, 400, INVALID[door.name])

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("messages", None),
            ("messages", []),
            ("messages", "Hello"),
            ("model", ""),
            ("model", 7),
            ("stream", "yes"),
            ("max_tokens", 0),
            ("max_tokens", "many"),
            ("max_completion_tokens", -1),
            ("n", 0),
            ("n", 1_000),
            ("user", 7),
            ("stream_options", []),
        ],
    )
    def test_a_field_of_openai(self, house: Product, field: str, value: Any) -> None:
        body = {"model": "up-chat", "messages": QUESTION, "stream": True, field: value}

        answer = post(house, OPENAI, body)

        assert field in check_refused(answer, OPENAI, 400, "INVALID_REQUEST")
        assert answer.json()["error"]["param"] == field
        assert answer.json()["error"]["type"] == "invalid_request_error"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("messages", None),
            ("messages", []),
            ("model", None),
            ("model", ""),
            ("max_tokens", None),
            ("max_tokens", -1),
            ("max_tokens", "many"),
            ("stream", 1),
            ("metadata", {"user_id": 7}),
        ],
    )
    def test_a_field_of_anthropic(self, house: Product, field: str, value: Any) -> None:
        body = {"model": "up-claude", "max_tokens": 10, "messages": QUESTION, field: value}

        answer = post(house, ANTHROPIC, body)

        assert field in check_refused(answer, ANTHROPIC, 400, "invalid_request_error")
        assert answer.json()["request_id"] == answer.headers["x-request-id"]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("prompt", None),
            ("prompt", 7),
            ("messages", QUESTION),  # both
            ("temperature", 3),
            ("maxTokens", 0),
            ("stream", "yes"),
            ("systemPrompt", []),
            ("colour", "green"),
        ],
    )
    def test_a_field_of_specification_d(self, house: Product, field: str, value: Any) -> None:
        answer = post(house, SPEC_D, {"model": "up-chat", "prompt": "Hello", field: value})

        assert field in check_refused(answer, SPEC_D, 400, "INVALID_REQUEST")
        assert answer.json()["context"]["field"] == ("prompt" if field == "messages" else field)
        assert answer.json()["request_id"] == answer.headers["x-request-id"]

    @pytest.mark.parametrize(
        ("door", "model", "more", "named"),
        [
            (OPENAI, "up-claude", {"messages": [{"role": "robot", "content": "Hello"}]}, "messages[0]"),
            (OPENAI, "up-claude", {"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
            (OPENAI, "up-claude", {"top_p": "hot"}, "top_p"),
            (OPENAI, "up-claude", {"logit_bias": {"50256": -100}}, "logit_bias"),
            (ANTHROPIC, "up-chat", {"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "messages[0]"),
            (ANTHROPIC, "up-chat", {"temperature": 2}, "temperature"),
            (ANTHROPIC, "up-chat", {"container": "c-1"}, "container"),
        ],
    )
    def test_a_field_that_cannot_be_translated(
        self, house: Product, door: Door, model: str, more: dict[str, Any], named: str
    ) -> None:
        answer = door.call(house, model, **more)

        assert answer.status == 400
        assert named in door.message(answer.json())
        row = operating.row_of(house, answer)
        assert (row["status"], row["evidence"], row["cost_pico"]) == ("refused", "none", 0)

    @pytest.mark.parametrize(
        ("header", "value"),
        [
            ("X-Timeout-Ms", "soon"),
            ("X-Timeout-Ms", "0"),
            ("X-Timeout-Ms", "9" * 5_000),  # more digits than Python reads
            ("X-Cache", "sometimes"),
            ("X-Priority", "soon"),
            ("Idempotency-Key", "k" * 300),
            ("X-Tags", "=x"),
            ("X-Tags", "team:search"),
            ("X-Tags", "team=search,env"),
            ("X-Tags", ",".join(f"t{number}=1" for number in range(17))),
        ],
    )
    @every_door
    def test_a_header(self, house: Product, door: Door, header: str, value: str) -> None:
        answer = door.call(house, "up-chat", headers={header: value})

        assert f"'{header}'" in check_refused(answer, door, 400, INVALID[door.name])


class TestTooLarge:
    @every_door
    def test_by_its_content_length(self, house: Product, door: Door) -> None:
        """Refused before it is sent."""
        headers = {"Authorization": f"Bearer {house.key}", "Content-Length": str(11 * MIB)}
        with house.opened("POST", door.path, headers=headers, body=b"{") as sent:
            answer = _whole(sent)

        assert "10,485,760 bytes" in check_refused(answer, door, 413, TOO_LARGE[door.name])

    @every_door
    def test_without_a_content_length(self, house: Product, door: Door) -> None:
        answer = _chunked(house, door, [b" " * MIB] * 11)

        assert check_refused(answer, door, 413, TOO_LARGE[door.name])

    def test_where_the_limit_is_small_it_holds_for_one_chunk_too(self, new_product: NewProduct) -> None:
        with new_product(env={"MAX_BODY_BYTES": "2000"}) as product:
            for door in DOORS:
                body = json.dumps(door.body("demo", "x" * 4_000)).encode()
                assert check_refused(_chunked(product, door, [body]), door, 413, TOO_LARGE[door.name])
                assert check_refused(post(product, door, body), door, 413, TOO_LARGE[door.name])
                assert door.call(product, "demo", "x" * 1_000).status == 200

    def test_a_large_body_within_the_limit_is_served(self, house: Product) -> None:
        assert OPENAI.call(house, "demo", "word " * (MIB // 2), max_tokens=5).status == 200


def _chunked(product: Product, door: Door, parts: list[bytes]) -> Answer:
    """Sent with `Transfer-Encoding: chunked`; the answer may come, and the connection end, before all is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=PATIENCE_S)
    try:
        connection.putrequest("POST", door.path)
        connection.putheader("Authorization", f"Bearer {product.key}")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        try:
            for part in parts:
                connection.send(b"%x\r\n%s\r\n" % (len(part), part))
            connection.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        with connection.getresponse() as answer:
            return _whole(answer)
    finally:
        connection.close()


def _whole(answer: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(status=answer.status, headers=headers, content=answer.read())


class TestWhatOnceBrokeUs:
    """Each of these was answered with 500, and left a hold behind that was settled at its bound."""

    @pytest.mark.parametrize("messages", [["hi"], [{"role": "user", "content": 5}], {"a": 1}, [{"content": "x"}]])
    def test_messages_that_are_none(self, house: Product, messages: Any) -> None:
        answer = house.request("POST", OPENAI.path, body={"model": "demo", "messages": messages}, key=house.key)
        assert answer.status == 400, answer.text
        assert operating.open_holds(house) == 0

    @every_door
    @pytest.mark.parametrize("bound", [9 * 10**18, 10**20])
    def test_a_bound_beyond_belief(self, house: Product, door: Door, bound: int) -> None:
        name = "maxTokens" if door is SPEC_D else "max_tokens"
        check_refused(post(house, door, door.body("demo", "Hello") | {name: bound}), door, 400, INVALID[door.name])

    def test_digits_that_are_none(self, house: Product) -> None:
        answer = house.request(
            "POST", OPENAI.path, body=OPENAI.body("demo", "Hello"), key=house.key, headers={"x-timeout-ms": "\xb2"}
        )
        assert answer.status == 400, answer.text

    @pytest.mark.parametrize(
        "path", ["/v1/nothing", "/v1/chat/completions/", "/anthropic/v1/nothing", "/v1/messages/x"]
    )
    def test_a_path_at_which_there_is_nothing(self, house: Product, path: str) -> None:
        answer = house.request("POST", path, body={}, key=house.key)
        assert answer.status == 404
        assert answer.json()["error"]["message"] == f"There is nothing at POST {path}."
        assert house.request("POST", path, body={}).status == 401

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            *(("GET", "/generate"), ("POST", "/generate/"), ("POST", "/providers"), ("GET", "/cache/clear")),
            *(("POST", "/status"), ("GET", "/v1/complete"), ("POST", "/v1/providers/status")),
        ],
    )
    def test_a_method_or_slash_that_a_specifications_door_has_not(self, house: Product, method: str, path: str) -> None:
        answer = house.request(method, path, body={} if method == "POST" else None, key=house.key)
        assert (answer.status, answer.json()["error_code"]) == (404, "NOT_FOUND")
        assert answer.json()["error"] == f"There is nothing at {method} {path}."
