"""Callers who leave, or run out of time, while no provider is at work for them: nothing is sent, nothing stays."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.journeys import operating
from tests.journeys.dialects import OPENAI
from tests.product import Answer, Product
from tests.servers import wait_until
from tests.upstream import Fault, Upstream

_numbers = itertools.count(1)


@pytest.fixture
def model(house: Product, upstream: Upstream) -> str:
    """At two providers, of which the second takes one call at a time. A failure is soon tried again."""
    name, below = f"left-{next(_numbers)}", operating.AFTER_THE_REST - 10

    def add(slug: str, **settings: Any) -> None:
        operating.add_provider(
            house,
            name=slug,
            kind="custom",
            endpoint=upstream.openai_url,
            model=name,
            retryAttempts=3,
            retryDelay=50,
            **settings,
        )

    add(f"{name}-b", priority=below, wait=False)
    (second,) = operating.manage(house, "GET", f"/api/ai-providers/deployments?provider={name}-b")["results"]
    operating.manage(house, "PATCH", f"/api/ai-providers/deployments/{second['id']}", {"maxConcurrent": 1})
    add(f"{name}-a")  # the last change: once it is in force, so are the others
    return name


def ask(house: Product, model: str, name: str, **headers: str) -> Answer:
    return house.request(
        "POST", OPENAI.path, body=OPENAI.body(model, "Hello"), key=house.key, headers=named(name, headers)
    )


def leave(house: Product, model: str, name: str, *, once: Callable[[], object], **headers: str) -> None:
    with house.asking(
        "POST", OPENAI.path, body=OPENAI.body(model, "Hello"), key=house.key, headers=named(name, headers)
    ):
        wait_until(once, what="the moment to leave")


def named(name: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {"X-Request-ID": name, **{word.replace("_", "-"): value for word, value in headers.items()}}


def rows(house: Product, name: str, count: int) -> list[dict[str, Any]]:
    """So many, as soon as they are there; the last one alone is final."""
    wait_until(lambda: len(operating.rows(house, name)) == count, what=f"{count} rows of {name}")
    found = sorted(operating.rows(house, name), key=lambda row: (bool(row["is_final"]), row["attempt"]))
    assert [bool(row["is_final"]) for row in found] == [False] * (count - 1) + [True]
    return found


def beside(work: Callable[[], Answer], until: Callable[[], object], then: Callable[[], None]) -> Answer:
    with ThreadPoolExecutor(1) as other:
        running = other.submit(work)
        wait_until(until, what="the other call to be under way")
        then()
        return running.result()


def test_in_the_waiting_room_of_the_next_provider(house: Product, upstream: Upstream, model: str) -> None:
    """The failed attempt's row is not the last one, and the key is free again."""
    upstream.always(model, Fault(delay_s=3))
    key, name = f"key-{model}", f"waiting-{model}"

    def left() -> None:
        upstream.always(model, Fault(status=500))
        leave(house, model, name, once=lambda: operating.rows(house, name), Idempotency_Key=key)

    busy = beside(lambda: ask(house, f"{model}-b/{model}", f"busy-{model}"), lambda: upstream.dispatches(model), left)

    failed, last = rows(house, name, 2)
    assert busy.status == 200
    assert (failed["provider"], failed["status"]) == (f"{model}-a", "error")
    assert (last["status"], last["attempt"], last["cost_pico"], last["evidence"]) == ("cancelled", 0, 0, "none")
    assert len(upstream.dispatches(model)) == 2
    upstream.reset()
    assert ask(house, model, f"again-{model}", Idempotency_Key=key).status == 200


def test_while_its_provider_fails(house: Product, upstream: Upstream, model: str) -> None:
    """Nobody else is asked for a caller who has left."""
    upstream.always(model, Fault(status=500, delay_s=2))

    leave(house, model, f"gone-{model}", once=lambda: upstream.dispatches(model))

    (row,) = rows(house, f"gone-{model}", 1)
    assert row["status"] == "error"
    assert len(upstream.dispatches(model)) == 1


def test_while_it_waits_for_an_equal_call_that_fails(house: Product, upstream: Upstream, model: str) -> None:
    """It leaves a row, and does not make the call anew."""
    upstream.always(model, Fault(status=400, delay_s=2))

    def a_later_call_is_answered() -> bool:
        return house.chat().status == 200

    leader = beside(
        lambda: ask(house, model, f"leader-{model}", X_Cache="on"),
        lambda: upstream.dispatches(model),
        lambda: leave(house, model, f"follower-{model}", once=a_later_call_is_answered, X_Cache="on"),
    )

    (row,) = rows(house, f"follower-{model}", 1)
    assert leader.status == 400
    assert (row["status"], row["attempt"], row["evidence"]) == ("cancelled", 0, "none")
    assert len(upstream.dispatches(model)) == 1


def test_out_of_time_while_it_waits_for_an_equal_call(house: Product, upstream: Upstream, model: str) -> None:
    """It is told so, and nothing is sent that could be billed."""
    upstream.always(model, Fault(delay_s=2))
    late: list[Answer] = []

    beside(
        lambda: ask(house, model, f"first-{model}", X_Cache="on"),
        lambda: upstream.dispatches(model),
        lambda: late.append(ask(house, model, f"late-{model}", X_Cache="on", X_Timeout_Ms="200")),
    )

    (row,) = rows(house, f"late-{model}", 1)
    assert (late[0].status, OPENAI.code(late[0].json())) == (504, "PROVIDER_TIMEOUT")
    assert (row["status"], row["evidence"], row["cost_pico"]) == ("error", "none", 0)
    assert len(upstream.dispatches(model)) == 1
