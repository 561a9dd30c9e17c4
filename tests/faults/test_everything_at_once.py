"""All at once, by 64 callers: retries, failover, streams, leaving, keys, the cache, limits, slots, budgets.

Which call is made with what is a seed's; what meets it at the provider is the same seed's, in the order of arriving.
Afterwards nothing may be left behind: no hold, slot, claim, trial, nor a token that was counted and not used.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Timer
from typing import Any

import grpc

from gateway.doors.grpc import SERVICE
from gateway.generated import ai_proxy_pb2 as pb
from tests.conftest import NewProduct
from tests.faults import invariants, load
from tests.faults.invariants import Books
from tests.faults.load import Callers, Told
from tests.journeys import operating
from tests.product import Product
from tests.servers import PATIENCE_S, free_port, wait_until
from tests.upstream import Fault, Upstream

CALLERS = 64
CALLS = 500
CANCELS = 200
SLOTS = 8
CAP_USD = "0.03"  # of bob: some of his calls
TOKENS = 50_000_000  # of alice, an hour: she is counted, and never refused
FAULTS = [
    *[Fault()] * 12,
    *[Fault(delay_s=0.15)] * 4,
    *[Fault(chunk_s=0.03)] * 4,
    Fault(status=500),
    Fault(status=503, retry_after="0"),
    Fault(status=429, retry_after="0"),
    Fault(status=400),
    Fault(drop=True),
    Fault(bad_body=True),
    Fault(no_usage=True),
    Fault(cut_after=0),
    Fault(cut_after=3),
    Fault(error_after=0),
    Fault(error_after=4),
    Fault(words=60),
]
_probes = itertools.count(1)
MODELS = ["pair", "pair", "pair", "lone", "lone", "abort", "crowded"]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One call. Those of one name are equal, and the provider knows them by it."""

    name: str
    who: str
    model: str
    leave_after_s: float | None
    headers: dict[str, str]
    fields: dict[str, Any] = field(default_factory=dict)


def test_everything_at_once_on_sqlite(new_product: NewProduct, upstream: Upstream, rng: random.Random) -> None:
    with new_product() as product:
        _play(product, upstream, rng)


def test_everything_at_once_on_postgresql(new_production: NewProduct, upstream: Upstream, rng: random.Random) -> None:
    with new_production(workers=2) as product:
        _play(product, upstream, rng)


def test_calls_that_are_cancelled_over_grpc(new_product: NewProduct, upstream: Upstream, rng: random.Random) -> None:
    """Which ends a call wherever it stands just then: in the waiting room, at the ledger, between two attempts."""
    port = free_port()
    with new_product(env={"GRPC_PORT": str(port)}) as product:
        _furnish(product, upstream)
        names = [load.new_name() for _ in range(CANCELS)]
        for model in MODELS:
            upstream.on(model, *(rng.choice(FAULTS) for _ in range(3 * CANCELS)))
        plays: list[dict[str, Any]] = [
            {"name": name, "model": rng.choice(MODELS), "cached": rng.random() < 0.3, "after_s": rng.expovariate(2)}
            for name in names
        ]

        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, ThreadPoolExecutor(CALLERS) as callers:
            ends = list(callers.map(lambda play: _cancelled(channel, product.key, **play), plays))

        upstream.reset_scripts()
        invariants.settled(product)
        books = invariants.check(product, upstream.bill)
        load.say(f"cancelled over gRPC: {dict(Counter(ends))}; {len(upstream.bill)} dispatches, {books.by_evidence()}")
        for name in names:
            rows = books.of(name)
            assert sum(bool(row["is_final"]) for row in rows) == min(len(rows), 1), rows
        _slots_are_free(product, upstream)


def _cancelled(channel: grpc.Channel, key: str, *, name: str, model: str, cached: bool, after_s: float) -> str:
    """How a call ended that was cancelled so much later, if it lasted so long."""
    method = channel.unary_stream(
        f"/{SERVICE}/StreamComplete", pb.CompleteRequest.SerializeToString, pb.StreamCompleteResponse.FromString
    )
    metadata = (("authorization", f"Bearer {key}"), ("x-request-id", name))
    request = pb.CompleteRequest(model_id=model, prompt=name, max_tokens=100, use_cache=cached)
    call = method(request, metadata=metadata, timeout=PATIENCE_S)
    Timer(after_s, call.cancel).start()
    try:
        return f"answered: {bool(list(call))}"
    except grpc.RpcError:
        return str(call.code().name)


def _play(product: Product, upstream: Upstream, rng: random.Random) -> None:
    _furnish(product, upstream)
    asks = list(_asks(rng))
    before = _tokens_left(product)
    for model in {*MODELS, "frail"}:
        upstream.on(model, *(rng.choice(FAULTS) for _ in range(3 * CALLS)))
    upstream.on("frail", *[Fault(status=500)] * 3 * CALLS)

    earlier = _final_rows(product)

    told = load.run(product, lambda callers: _all(callers, product, asks))

    upstream.reset_scripts()
    invariants.settled(product)
    answered = earlier + sum(each.status > 0 for each in told)
    wait_until(lambda: _final_rows(product) >= answered, what="the rows behind the answers")
    books = invariants.check(product, upstream.bill)
    load.say(f"all at once: {load.statuses(told)} (0: left); {len(upstream.bill)} dispatches, {books.by_evidence()}")
    _one_final_row_a_call(books, told)
    _streams_end_as_the_books_say(books, asks, told)
    _equal_keys_hear_equal_answers(asks, told)
    _nothing_is_left_behind(product, upstream, books, before)


def _furnish(product: Product, upstream: Upstream) -> None:
    def add(name: str, model: str, **settings: Any) -> None:
        kind, endpoint = settings.pop("kind", "custom"), settings.pop("endpoint", upstream.openai_url)
        operating.add_provider(product, name=name, kind=kind, endpoint=endpoint, model=model, wait=False, **settings)

    add("first", "pair", retryAttempts=3, retryDelay=20)
    add("second", "pair", retryAttempts=3, retryDelay=20, kind="anthropic", endpoint=upstream.url, priority=-30)
    add("alone", "lone", retryAttempts=3, retryDelay=20)
    add("aborting", "abort")
    add("plain", "probe")
    add("small", "crowded", retryAttempts=2, retryDelay=20)
    add("frail", "frail", failureThreshold=3, circuitTimeout=1_000)
    product.sql("UPDATE providers_provider SET on_disconnect = 'abort' WHERE slug = 'aborting'")
    product.sql("UPDATE providers_deployment SET max_concurrent = %s WHERE name = 'crowded'", SLOTS)
    product.sql("UPDATE accounts_client SET tokens_per_hour = %s WHERE name = 'alice'", TOKENS)
    for who, hard in (("alice", False), ("bob", True)):
        budget = {"name": who, "scope": "client", "subject": who, "amountUsd": CAP_USD, "period": "total", "hard": hard}
        operating.manage(product, "POST", "/api/usage/budgets", budget)
    product.restart()


def _asks(rng: random.Random) -> Iterator[Ask]:
    made = 0
    while made < CALLS:
        model, who, name = rng.choice(MODELS), rng.choice(("alice", "bob", "charlie")), load.new_name()
        # Of a call that was stopped nobody can say whether the provider had seen it: made again, it would be counted.
        equals = rng.choice((1, 1, 1, 1, 1, 1, 2, 6, 20)) if model != "abort" else 1
        fields: dict[str, Any] = {"max_tokens": rng.choice((20, 100, 400)), "stream": rng.random() < 0.5}
        headers: dict[str, str] = {}
        if equals > 1 or rng.random() < 0.2:
            headers |= rng.choice(({"Idempotency-Key": name}, {"X-Cache": "on"}, {"X-Cache": "refresh"}))
            if rng.random() < 0.3:
                headers["X-Cache"] = "on"
        if model == "abort" and rng.random() < 0.15:
            headers["X-Timeout-Ms"] = "100"
        for _ in range(equals):
            leave_after_s = rng.uniform(0.03, 0.4) if rng.random() < 0.25 else None
            yield Ask(name=name, who=who, model=model, leave_after_s=leave_after_s, headers=headers, fields=fields)
        made += equals
        if rng.random() < 0.1:
            yield Ask(name=load.new_name(), who="charlie", model="frail", leave_after_s=None, headers={})


async def _all(callers: Callers, product: Product, asks: list[Ask]) -> list[Told]:
    room = asyncio.Semaphore(CALLERS)

    async def one(ask: Ask) -> Told:
        async with room:
            return await callers.call(
                key=product.keys[ask.who],
                model=ask.model,
                name=ask.name,
                leave_after_s=ask.leave_after_s,
                headers=ask.headers,
                **ask.fields,
            )

    return list(await asyncio.gather(*map(one, asks)))


def _final_rows(product: Product) -> int:
    return int(product.sql("SELECT count(*) AS calls FROM usage_usagerecord WHERE is_final")[0]["calls"])


def _one_final_row_a_call(books: Books, told: list[Told]) -> None:
    """Of callers who left at once there may be none: their call was never read."""
    calls, answered = defaultdict[str, int](int), defaultdict[str, int](int)
    for each in told:
        calls[each.name] += 1
        answered[each.name] += each.status > 0
    for name, count in calls.items():
        rows = books.of(name)
        final = sum(bool(row["is_final"]) for row in rows)
        assert answered[name] <= final <= count, f"{name}: {final} final rows of {count} calls: {rows}"
        assert final or not rows, f"{name} has no final row"


def _streams_end_as_the_books_say(books: Books, asks: list[Ask], told: list[Told]) -> None:
    for ask, each in zip(asks, told, strict=True):
        rows = [row for row in books.of(each.name) if row["is_final"]]
        if ask.fields.get("stream") and each.is_ok and len(rows) == 1:
            assert each.ended == (rows[0]["status"] in ("ok", "cached")), f"{each}: {rows}"


def _equal_keys_hear_equal_answers(asks: list[Ask], told: list[Told]) -> None:
    heard = defaultdict[str, set[str]](set)
    for ask, each in zip(asks, told, strict=True):
        if "Idempotency-Key" in ask.headers and each.is_ok and not ask.fields["stream"]:
            heard[each.name].add(each.heard)
    assert {name: answers for name, answers in heard.items() if len(answers) > 1} == {}


def _nothing_is_left_behind(product: Product, upstream: Upstream, books: Books, before: int) -> None:
    assert product.sql("SELECT request_id FROM usage_idempotencykey WHERE status = ''") == []
    assert [window["held_pico"] for window in books.windows] == [0] * len(books.windows)
    if "Redis does not answer" not in product.log():  # what is given back then is not heard: tighter, never looser
        wait_until(lambda: before - _used(product) == _tokens_left(product), what="tokens given back")
    wait_until(lambda: product.chat(model="frail").status == 200, what="the frail provider's circuit to close")
    _slots_are_free(product, upstream)


def _slots_are_free(product: Product, upstream: Upstream) -> None:
    upstream.always("crowded", Fault(delay_s=0.3))

    async def crowd(callers: Callers) -> list[Told]:
        return list(await asyncio.gather(*(callers.call(model="crowded") for _ in range(SLOTS))))

    assert load.statuses(load.run(product, crowd)) == {"200": SLOTS}
    assert not {"Traceback", "deadlock"} & set(product.log().split()), product.log()[-5000:]


def _tokens_left(product: Product) -> int:
    """As one of alice's calls is told, which is always equally long."""
    name, key = f"call-probe-{next(_probes):04}", product.keys["alice"]
    told = load.run(product, lambda callers: callers.call(name=name, key=key, model="probe", max_tokens=1))
    return int(told.headers["x-ratelimit-remaining-tokens"])


def _used(product: Product) -> int:
    """Alice's tokens, by the books."""
    used = "SELECT sum(input_tokens + output_tokens) AS tokens FROM usage_usagerecord WHERE client = 'alice'"
    return int(product.sql(used)[0]["tokens"])
