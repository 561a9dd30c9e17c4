"""Rows 20 to 24, 27 and 29: providers that limit, fail, stall, cut, are slow or dead; and callers who hardly read."""

from __future__ import annotations

import asyncio
import email.utils
import itertools
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.conftest import NewProduct
from tests.faults import invariants, load
from tests.faults.load import Callers, Told
from tests.journeys import operating
from tests.journeys.dialects import OPENAI
from tests.product import Answer, Product
from tests.servers import nobody_accepts, wait_until
from tests.upstream import Dispatch, Fault, Upstream

FLOOR = 10  # retries that are there whatever the traffic, and one more a second
_numbers = itertools.count(1)
faults = pytest.mark.faults


@pytest.fixture(scope="module")
def shop(new_product: NewProduct) -> Iterator[Product]:
    with new_product() as product:
        yield product


@pytest.fixture(autouse=True)
def whole_bill(upstream: Upstream, earlier_bill: list[Dispatch]) -> Iterator[None]:
    """The shop's books are of all tests here, so what they are held against must be too."""
    yield
    earlier_bill += upstream.bill


@pytest.fixture(scope="module")
def earlier_bill() -> list[Dispatch]:
    return []


def add(shop: Product, upstream: Upstream, **settings: Any) -> str:
    """A model at a provider of its own, both of one name."""
    name = f"trouble-{next(_numbers)}"
    endpoint = settings.pop("endpoint", upstream.openai_url)
    operating.add_provider(shop, name=name, kind="custom", endpoint=endpoint, model=name, **settings)
    return name


def ask(shop: Product, model: str, *, stream: bool = False, headers: dict[str, str] | None = None) -> Answer:
    """A call with a name, by which the bill and the books know it."""
    name = load.new_name()
    return OPENAI.call(shop, model, name, stream=stream, headers={"X-Request-ID": name, **(headers or {})})


def rows_of(shop: Product, answer: Answer) -> list[dict[str, Any]]:
    """A refusal's row is written behind its answer."""
    name = answer.headers["x-request-id"]
    wait_until(lambda: operating.rows(shop, name), what=f"the rows of {name}")
    rows = operating.rows(shop, name)
    assert [bool(row["is_final"]) for row in rows] == [*[False] * (len(rows) - 1), True]
    return rows


def check(shop: Product, *bills: list[Dispatch]) -> None:
    """The invariants, over all calls so far."""
    invariants.settled(shop)
    invariants.check(shop, itertools.chain(*bills), cost_of=cost_of)


def cost_of(line: Dispatch) -> int:
    return operating.cost_pico(line.input_tokens, line.output_tokens) if line.status == 200 else 0


class Test20RateLimits:
    """429 with Retry-After in seconds, as a date, without one, and absurd."""

    @pytest.mark.parametrize(("said", "span_s"), [("1", (1.0, 15)), ("date", (0.0, 15)), (None, (0.9, 15))])
    def test_it_is_honoured(
        self,
        shop: Product,
        upstream: Upstream,
        earlier_bill: list[Dispatch],
        said: str | None,
        span_s: tuple[float, float],
    ) -> None:
        model = add(shop, upstream, retryAttempts=3, retryDelay=0)
        until = int(time.time()) + 2  # a date has no more
        date = email.utils.formatdate(until, usegmt=True)
        upstream.on(model, Fault(status=429, retry_after=date if said == "date" else said))

        answer = ask(shop, model)

        first, second = upstream.dispatches(model)
        assert answer.status == 200
        assert span_s[0] <= second.arrived_at - first.arrived_at <= span_s[1]
        assert said != "date" or second.arrived_at >= until
        assert [row["status"] for row in rows_of(shop, answer)] == ["error", "ok"]
        check(shop, upstream.bill, earlier_bill)

    @pytest.mark.parametrize(
        ("said", "told", "headers"),
        [
            ("86400", "86400", {}),
            ("99999999999", "86400", {}),
            ("60", "60", {}),
            ("5", "5", {"X-Timeout-Ms": "2000"}),
        ],
    )
    def test_what_is_too_long_is_passed_on(
        self, shop: Product, upstream: Upstream, said: str, told: str, headers: dict[str, str]
    ) -> None:
        model = add(shop, upstream, retryAttempts=3, retryDelay=0)
        upstream.on(model, Fault(status=429, retry_after=said))

        with operating.within(15):
            answer = ask(shop, model, headers=headers)

        assert (answer.status, answer.headers["retry-after"]) == (502, told)
        assert len(rows_of(shop, answer)) == 1

    def test_later_calls_wait_too_or_are_told_when_to_come(self, shop: Product, upstream: Upstream) -> None:
        model = add(shop, upstream, retryAttempts=1)
        upstream.on(model, Fault(status=429, retry_after="40"))
        ask(shop, model)

        with operating.within(15):
            answer = ask(shop, model)

        (row,) = rows_of(shop, answer)
        assert (answer.status, OPENAI.code(answer.json())) == (503, "PROVIDER_UNAVAILABLE")
        assert 30 <= int(answer.headers["retry-after"]) <= 40
        assert (row["status"], row["cost_pico"]) == ("error", 0)
        assert len(upstream.dispatches(model)) == 1


@pytest.mark.parametrize("status", [503, 529])
@pytest.mark.parametrize("stream", [False, True])
def test_21_overloaded_before_the_first_word(
    shop: Product, upstream: Upstream, earlier_bill: list[Dispatch], status: int, *, stream: bool
) -> None:
    name = add(shop, upstream, wait=False)
    other = f"{name}-other"
    below = operating.AFTER_THE_REST - 10
    operating.add_provider(shop, name=other, kind="custom", endpoint=upstream.openai_url, model=name, priority=below)
    upstream.on(name, Fault(status=status))

    answer = ask(shop, name, stream=stream)

    first, second = rows_of(shop, answer)
    assert (answer.status, answer.headers["x-provider"]) == (200, other)
    assert [(row["provider"], row["attempt"], row["status"]) for row in (first, second)] == [
        (name, 1, "error"),
        (other, 2, "ok"),
    ]
    check(shop, upstream.bill, earlier_bill)


def test_22_a_stream_that_is_cut(shop: Product, upstream: Upstream, earlier_bill: list[Dispatch]) -> None:
    """An error event, no end, the part is charged; and the circuit counts it: after three nobody is sent there."""
    model = add(shop, upstream, failureThreshold=3, circuitTimeout=600_000)  # no trial before a minute
    upstream.always(model, Fault(cut_after=5))

    heard = [ask(shop, model, stream=True) for _ in range(3)]
    refused = ask(shop, model)

    for answer in heard:
        (row,) = rows_of(shop, answer)
        assert (answer.status, row["status"], row["evidence"]) == (200, "error", "estimated")
        assert "error" in json.loads(answer.text.strip().rpartition("data: ")[2])
        assert "[DONE]" not in answer.text
        assert row["output_tokens"] > 0
        assert row["cost_pico"] > 0
    assert (refused.status, OPENAI.code(refused.json())) == (503, "PROVIDER_UNAVAILABLE")
    assert "circuit open" in OPENAI.message(refused.json())
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert [row["status"] for row in rows_of(shop, refused)] == ["error"]
    assert len(upstream.dispatches(model)) == 3
    check(shop, upstream.bill, earlier_bill)


class Test23Stalls:
    """Each limit by itself; where nothing was told to the caller, another provider answers."""

    @pytest.mark.parametrize("fault", [Fault(stall_after=0), Fault(delay_s=30)])
    def test_no_first_word(self, shop: Product, upstream: Upstream, fault: Fault) -> None:
        model = self._with_spare(shop, upstream, "first_token_timeout_ms = 400")
        upstream.on(model, fault)

        with operating.within(15):
            answer = ask(shop, model, stream=True)

        first, second = rows_of(shop, answer)
        assert (answer.status, "[DONE]" in answer.text) == (200, True)
        assert (first["error_code"], second["status"]) == ("PROVIDER_TIMEOUT", "ok")

    def test_no_connection(self, shop: Product, upstream: Upstream) -> None:
        with nobody_accepts() as port:
            endpoint = f"http://127.0.0.1:{port}/v1"
            model = self._with_spare(shop, upstream, "connect_timeout_ms = 300", endpoint=endpoint)

            with operating.within(15):
                answer = ask(shop, model)

        first, second = rows_of(shop, answer)
        assert (answer.status, second["status"]) == (200, "ok")
        assert (first["error_code"], first["evidence"], first["cost_pico"]) == ("PROVIDER_UNAVAILABLE", "none", 0)

    def test_silence_in_mid_answer(self, shop: Product, upstream: Upstream) -> None:
        model = self._with_spare(shop, upstream, "between_chunks_timeout_ms = 400")
        upstream.on(model, Fault(stall_after=4))

        with operating.within(15):
            answer = ask(shop, model, stream=True)

        (row,) = rows_of(shop, answer)
        assert (row["status"], row["error_code"]) == ("error", "PROVIDER_TIMEOUT")
        assert "word2" in answer.text
        assert "[DONE]" not in answer.text

    @staticmethod
    def _with_spare(shop: Product, upstream: Upstream, setting: str, **more: Any) -> str:
        model = add(shop, upstream, wait=False, **more)
        shop.sql(f"UPDATE providers_provider SET {setting} WHERE slug = '{model}'")
        below = operating.AFTER_THE_REST - 10
        operating.add_provider(
            shop, name=f"{model}-spare", kind="custom", endpoint=upstream.openai_url, model=model, priority=below
        )
        return model


def test_24_a_long_healthy_stream_is_not_cut(shop: Product, upstream: Upstream) -> None:
    """Ten minutes in four seconds: the limit of a whole call is one, and words come all the time."""
    model = add(shop, upstream, wait=False)
    shop.sql(
        f"UPDATE providers_provider SET timeout_ms = 1000, between_chunks_timeout_ms = 2000 WHERE slug = '{model}'"
    )
    shop.until_in_force()
    upstream.on(model, Fault(words=40, chunk_s=0.1), Fault(words=40, chunk_s=0.1))

    whole = ask(shop, model, stream=True)
    cut = ask(shop, model, stream=True, headers={"X-Timeout-Ms": "2500"})

    assert "word39" in whole.text
    assert "[DONE]" in whole.text
    assert "word0" in cut.text
    assert "[DONE]" not in cut.text
    assert [row["status"] for row in (*rows_of(shop, whole), *rows_of(shop, cut))] == ["ok", "error"]


@faults
@pytest.mark.timeout(240)
def test_27_a_caller_who_hardly_reads(shop: Product, upstream: Upstream) -> None:
    """A byte a second: the provider is held back, memory stays as it is, after a minute the caller counts as gone.

    Its connection is closed then, though it reads on.
    """
    model = add(shop, upstream)
    upstream.on(model, Fault(words=400_000))
    name = load.new_name()
    body = json.dumps(OPENAI.body(model, name) | {"stream": True}).encode()
    head = (
        f"POST {OPENAI.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {shop.key}\r\nX-Request-ID: {name}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        caller.connect(("127.0.0.1", shop.port))
        caller.sendall(head.encode() + body)
        before, largest, began = _memory_bytes(shop), 0, time.monotonic()
        while not (found := operating.rows(shop, name)):
            caller.recv(1)
            largest = max(largest, _memory_bytes(shop))
            assert time.monotonic() - began < 150
            time.sleep(1)
        taken_s = time.monotonic() - began
        port = caller.getsockname()[1]
        wait_until(lambda: not _is_held(port), what="the connection's end")

    (line,) = upstream.dispatches(model)
    grown_mib = (largest - before) / 2**20
    load.say(f"row 27: gone after {taken_s:.0f} s, memory grew by {grown_mib:.1f} MiB, status {found[0]['status']}")
    assert 55 <= taken_s <= 120
    assert grown_mib < 30
    assert (found[0]["status"], found[0]["evidence"]) == ("cancelled", "reported")  # drained, as its provider is set
    assert line.finished


@faults
@pytest.mark.timeout(240)
def test_27_a_caller_over_a_websocket_who_takes_nothing(shop: Product, upstream: Upstream) -> None:
    """Not even the pings, which it does not answer: it counts as gone before the minute is over."""
    model = add(shop, upstream)
    upstream.on(model, Fault(words=400_000))
    asked = {"id": "1", "type": "complete", "key": shop.key, "model": model, "prompt": "Hello"}
    began = time.monotonic()
    address = f"ws://127.0.0.1:{shop.port}/ws/complete"
    with connect(address, compression=None, ping_interval=None, close_timeout=0) as caller:  # it reads ahead, not far
        caller.send(json.dumps(asked))
        port = caller.local_address[1]
        wait_until(lambda: not _is_held(port), timeout_s=90, what="the connection's end")
        taken_s = time.monotonic() - began
        wait_until(lambda: upstream.dispatches(model)[0].finished, what="the provider to be drained")
        wait_until(lambda: operating.open_holds(shop) == 0, what="the call to be settled")

    (row,) = shop.sql("SELECT status, evidence FROM usage_usagerecord WHERE deployment = %s", model)
    load.say(f"row 27, WebSocket: gone after {taken_s:.0f} s, status {row['status']}")
    assert 20 <= taken_s <= 80
    assert (row["status"], row["evidence"]) == ("cancelled", "reported")


def _is_held(port: int) -> bool:
    """Whether a process has the other end of the local connection from `port` (proc_pid_net(5): its inode is not 0)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(line[2].endswith(f":{port:04X}") and line[9] != "0" for line in lines)


def _memory_bytes(product: Product) -> int:
    """Of its web process."""
    assert product.web.process is not None
    fields = Path(f"/proc/{product.web.process.pid}/statm").read_text().split()
    return int(fields[1]) * 4_096


def test_29_a_provider_that_fails_at_everything(new_product: NewProduct, upstream: Upstream) -> None:
    """100 calls a second: it is hardly asked more often than without any retry, left alone, and back by itself."""
    with new_product() as shop:
        model = add(shop, upstream, retryAttempts=3, retryDelay=50, failureThreshold=5, circuitTimeout=2_000)
        upstream.always(model, Fault(status=500))
        seconds, rate = 4, 100
        opening = [ask(shop, model)]
        while opening[-1].status != 503:
            opening.append(ask(shop, model))

        async def story(callers: Callers) -> list[Told]:
            began, calls = time.monotonic(), []
            for number in range(seconds * rate):
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                calls.append(asyncio.create_task(callers.call(model=model)))
            return await asyncio.gather(*calls)

        told = load.run(shop, story)
        dispatches = len(upstream.dispatches(model))
        load.say(f"row 29: {len(told)} calls, {dispatches} dispatches, {load.statuses(told)}")
        assert dispatches <= 1.2 * len(told) + FLOOR + seconds
        assert dispatches < len(told) / 4  # the circuit is open nearly all the time
        assert {each.status for each in told} <= {502, 503}
        final = "SELECT count(*) AS calls FROM usage_usagerecord WHERE is_final"
        wait_until(
            lambda: shop.sql(final)[0]["calls"] == len(opening) + len(told),
            what="the refusals' rows, written behind them",
        )
        check(shop, upstream.bill)

        upstream.reset()
        wait_until(lambda: ask(shop, model).status == 200, what="the provider to be back")
        wait_until(lambda: all(ask(shop, model).status == 200 for _ in range(5)), what="the circuit to be closed")
