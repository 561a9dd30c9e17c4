"""Calls over a socket: several at once, each with its own events, each with its own row."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from gateway.doors.websocket import MAX_CALLS
from tests.conftest import NewProduct
from tests.journeys import operating
from tests.product import Product
from tests.servers import PATIENCE_S, wait_until
from tests.upstream import Fault, Upstream

MIB = 1024 * 1024
WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"


@contextmanager
def _socket(product: Product, *, key: str | None = None, path: str = "/ws/complete") -> Iterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with connect(f"ws://127.0.0.1:{product.port}{path}", additional_headers=headers) as socket:
        yield socket


def _ask(socket: ClientConnection, call_id: str, **fields: Any) -> None:
    asked = {"id": call_id, "type": "complete", "model": "up-chat", "messages": _said("Hi")}
    socket.send(json.dumps(asked | fields))


def _events(socket: ClientConnection) -> Iterator[dict[str, Any]]:
    while True:
        event: dict[str, Any] = json.loads(socket.recv(timeout=PATIENCE_S))
        yield event


def _until_done(socket: ClientConnection, calls: int = 1) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for event in _events(socket):
        events.append(event)
        calls -= event["type"] in ("done", "error")
        if not calls:
            break
    return events


def test_a_call_is_answered_piece_by_piece_and_billed(house: Product, upstream: Upstream) -> None:
    with _socket(house, key=house.key) as socket:
        _ask(socket, "one")
        *chunks, done = _until_done(socket)

    (line,) = upstream.bill
    total = line.input_tokens + line.output_tokens
    assert {(chunk["id"], chunk["type"]) for chunk in chunks} == {("one", "chunk")}
    assert "".join(chunk["content"] for chunk in chunks).strip() == WORDS
    assert (done["id"], done["type"], done["finish_reason"]) == ("one", "done", "stop")
    assert done["usage"] == {
        "prompt_tokens": line.input_tokens,
        "completion_tokens": line.output_tokens,
        "total_tokens": total,
    }
    assert Decimal(done["cost_usd"]) == operating.usd(operating.cost_pico(line.input_tokens, line.output_tokens))
    assert operating.row(house, done["request_id"])["surface"] == "websocket"


def test_the_last_event_says_what_http_says_in_headers(house: Product, upstream: Upstream) -> None:
    key = operating.limited_key(house, requestsPerMinute=1)
    with _socket(house, key=key) as socket:
        _ask(socket, "one")
        *_, done = _until_done(socket)
        _ask(socket, "two")
        (refused,) = _until_done(socket)

    assert (done["provider"], done["attempts"], done["cache"]) == ("upstream", 1, "off")
    assert done["overhead_ms"] > 0
    assert (done["rate_limit"]["limit"], done["rate_limit"]["remaining"]) == (1, 0)
    assert (refused["error_code"], refused["rate_limit"]["remaining"]) == ("RATE_LIMITED", 0)
    assert 50 <= refused["retry_after"] <= 62
    assert refused["rate_limit"]["reset"] <= 62
    assert operating.row(house, refused["request_id"])["status"] == "refused"


def test_a_refusal_says_when_to_come_again(house: Product) -> None:
    with _socket(house, key=house.key) as socket:
        _ask(socket, "dead", model="all-dead")
        (refused,) = _until_done(socket)

    assert (refused["error_code"], refused["retry_after"]) == ("PROVIDER_UNAVAILABLE", 1)


def test_calls_share_a_socket(house: Product, upstream: Upstream) -> None:
    upstream.always("up-chat", Fault(chunk_s=0.2))
    with _socket(house, key=house.key) as socket:
        for number in range(5):
            _ask(socket, f"call-{number}")
        events = _until_done(socket, calls=5)

    for number in range(5):
        own = [event for event in events if event["id"] == f"call-{number}"]
        assert "".join(event.get("content", "") for event in own).strip() == WORDS
        assert own[-1]["type"] == "done"
    before_one_is_done = itertools.takewhile(lambda event: event["type"] != "done", events)
    assert len({event["id"] for event in before_one_is_done}) > 1
    assert len(upstream.bill) == 5


def test_the_key_may_come_in_the_first_message(house: Product) -> None:
    with _socket(house) as socket:
        _ask(socket, "keyless")
        (refused,) = _until_done(socket)
        _ask(socket, "wrong", key="aip_00000000_wrong")
        (unknown,) = _until_done(socket)
        _ask(socket, "keyed", key=house.key)
        _ask(socket, "again")
        events = _until_done(socket, calls=2)

    assert (refused["type"], refused["error_code"]) == ("error", "UNAUTHENTICATED")
    assert refused["request_id"]
    assert (unknown["id"], unknown["error_code"]) == ("wrong", "UNAUTHENTICATED")
    assert {event["id"] for event in events if event["type"] == "done"} == {"keyed", "again"}


def test_another_key_than_the_sockets_is_refused_and_not_ignored(house: Product, upstream: Upstream) -> None:
    with _socket(house, key=house.key) as socket:
        _ask(socket, "same", key=house.key)
        _ask(socket, "other", key=house.keys["alice"])
        ended = {event["id"]: event for event in _until_done(socket, calls=2) if event["type"] != "chunk"}

    assert ended["same"]["type"] == "done"
    assert (ended["other"]["error_code"], ended["other"]["field"]) == ("INVALID_REQUEST", "key")
    with _socket(house, key="wrong") as socket:
        _ask(socket, "late", key=house.key)
        assert _until_done(socket)[-1]["error_code"] == "UNAUTHENTICATED"
    assert len(upstream.bill) == 1


def test_a_cancelled_call_stops_and_has_its_row(house: Product, upstream: Upstream) -> None:
    upstream.always("up-chat", Fault(chunk_s=0.3))
    with _socket(house, key=house.key) as socket:
        _ask(socket, "stopped")
        first = next(_events(socket))
        socket.send(json.dumps({"id": "stopped", "type": "cancel"}))
        upstream.always("up-chat", Fault())
        _ask(socket, "after")
        events = _until_done(socket, calls=2)

    assert first["type"] == "chunk"
    assert [event["id"] for event in events if event["type"] == "done"] == ["stopped", "after"]
    wait_until(lambda: operating.open_holds(house) == 0, what="the cancelled call to be settled")


def test_a_cancelled_call_ends_at_once_and_makes_room_while_its_provider_is_drained(
    house: Product, upstream: Upstream
) -> None:
    upstream.always("up-chat", Fault(chunk_s=0.5))
    ids = {f"call-{number}" for number in range(MAX_CALLS)}
    with _socket(house, key=house.key) as socket:
        for call_id in ids:
            _ask(socket, call_id)
        begun: set[str] = set()
        events = _events(socket)
        while begun != ids:
            begun.add(next(events)["id"])
        for call_id in ids:
            socket.send(json.dumps({"id": call_id, "type": "cancel"}))
        ended = [event for event in _until_done(socket, calls=MAX_CALLS) if event["type"] != "chunk"]
        upstream.always("up-chat", Fault())
        _ask(socket, "call-0")
        after = _until_done(socket)

    assert {event["id"] for event in ended} == ids
    for event in ended:
        assert (event["type"], event["finish_reason"]) == ("done", "cancelled")
        assert (event["usage"], event["cost_usd"], event["provider"]) == (None, None, "upstream")
    assert {event["id"] for event in after} == {"call-0"}
    assert "".join(event.get("content", "") for event in after).strip() == WORDS
    wait_until(lambda: operating.open_holds(house) == 0, what="the cancelled calls to be settled")
    row = operating.row(house, ended[0]["request_id"])
    assert (row["status"], row["evidence"]) == ("cancelled", "reported")


def test_a_cancel_that_comes_too_late_is_not_answered(house: Product, upstream: Upstream) -> None:
    with _socket(house, key=house.key) as socket:
        _ask(socket, "one")
        _until_done(socket)
        socket.send(json.dumps({"id": "one", "type": "cancel"}))
        _ask(socket, "two")
        events = _until_done(socket)

    assert {event["id"] for event in events} == {"two"}


def test_who_leaves_while_the_provider_is_silent_is_settled(house: Product, upstream: Upstream) -> None:
    upstream.on("leaving", Fault(stall_after=3))
    with _socket(house, key=house.key) as socket:
        _ask(socket, "left", model="leaving")
        next(_events(socket))

    wait_until(lambda: operating.open_holds(house) == 0, what="the call to be settled")
    wait_until(lambda: upstream.bill[0].cancelled, what="the provider to hear of it")


def test_who_leaves_is_settled(house: Product, upstream: Upstream) -> None:
    upstream.always("up-chat", Fault(chunk_s=0.1))
    with _socket(house, key=house.key) as socket:
        _ask(socket, "left")
        next(_events(socket))

    wait_until(lambda: operating.open_holds(house) == 0, what="the call to be settled")
    (line,) = upstream.bill
    wait_until(lambda: line.finished, what="the provider to have said all")


@pytest.mark.parametrize(
    ("message", "call_id", "field"),
    [
        ("no json", None, None),
        ('{"type": "complete"}', None, "id"),
        ('{"id": "x", "type": "dance"}', "x", "type"),
        ('{"id": "x", "type": "complete", "messages": [], "unknown": 1}', "x", "unknown"),
        (json.dumps({"id": "x" * 129, "type": "complete", "prompt": "Hi"}), None, "id"),
    ],
)
def test_what_is_wrong_is_an_error_and_the_socket_stays(
    house: Product, message: str, call_id: str | None, field: str | None
) -> None:
    with _socket(house, key=house.key) as socket:
        socket.send(message)
        (refused,) = _until_done(socket)
        _ask(socket, "fine")
        events = _until_done(socket)

    assert (refused["type"], refused["error_code"]) == ("error", "INVALID_REQUEST")
    assert (refused["id"], refused["field"]) == (call_id, field)
    assert events[-1]["type"] == "done"


def test_an_id_under_way_is_not_taken_twice(house: Product, upstream: Upstream) -> None:
    upstream.always("up-chat", Fault(chunk_s=0.1))
    with _socket(house, key=house.key) as socket:
        _ask(socket, "same")
        _ask(socket, "same")
        events = _until_done(socket, calls=2)

    assert [event["type"] for event in events if event["type"] != "chunk"] == ["error", "done"]
    assert len(upstream.bill) == 1


def test_there_is_one_path(house: Product) -> None:
    with pytest.raises((InvalidStatus, ConnectionClosed)), _socket(house, key=house.key, path="/ws/other"):
        pass


def test_a_message_may_be_as_long_as_a_body_whatever_the_servers_own_bound(new_product: NewProduct) -> None:
    with new_product(env={"MAX_BODY_BYTES": str(17 * MIB)}) as product, _socket(product, key=product.key) as socket:
        _ask(socket, "long", model="demo", messages=_said("x" * (16 * MIB)))
        assert _until_done(socket)[-1]["type"] == "done"

        _ask(socket, "too long", model="demo", messages=_said("x" * (17 * MIB)))
        with pytest.raises(ConnectionClosed, match="larger than 17,825,792 bytes"):
            _until_done(socket)


def _said(words: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": words}]
