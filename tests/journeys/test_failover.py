"""A provider is in trouble before its first word: the next one answers, and two rows tell it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.journeys import operating
from tests.journeys.dialects import DOORS, OPENAI, Door
from tests.product import Product
from tests.upstream import Fault, Upstream

WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"
_numbers = itertools.count(1)
every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)


@every_door
def test_a_provider_where_nobody_listens(house: Product, upstream: Upstream, door: Door) -> None:
    answer = door.call(house, "dead-first")

    (bill,) = upstream.bill
    first, second = operating.rows(house, answer.headers["x-request-id"])
    assert door.text(answer.json()) == WORDS
    assert (answer.headers["x-provider"], answer.headers["x-attempts"]) == ("alive", "2")
    assert (first["provider"], first["attempt"], bool(first["is_final"])) == ("dead", 1, False)
    assert (first["status"], first["error_code"]) == ("error", "PROVIDER_UNAVAILABLE")
    assert (first["evidence"], first["cost_pico"]) == ("none", 0)
    assert (second["provider"], second["attempt"], bool(second["is_final"])) == ("alive", 2, True)
    assert (second["status"], second["evidence"]) == ("ok", "reported")
    assert second["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


@every_door
@pytest.mark.parametrize("status", [500, 503, 529])
def test_a_provider_that_fails(house: Product, upstream: Upstream, door: Door, status: int) -> None:
    upstream.on("shaky-first", Fault(status=status, message="no capacity"))

    answer = door.call(house, "shaky-first")

    first, second = operating.rows(house, answer.headers["x-request-id"])
    assert door.text(answer.json()) == WORDS
    assert (first["provider"], first["status"], first["error_code"]) == ("shaky", "error", "PROVIDER_ERROR")
    assert "no capacity" in first["error_detail"]
    assert (bool(first["is_final"]), first["cost_pico"]) == (False, 0)
    assert (second["provider"], second["status"], bool(second["is_final"])) == ("steady", "ok", True)
    assert [line.status for line in upstream.bill] == [status, 200]


@pytest.mark.parametrize("status", [401, 402, 403, 429])
def test_a_provider_that_refuses_our_key(house: Product, upstream: Upstream, status: int) -> None:
    """The next call does not ask it again with that key."""
    model = couple(house, upstream)
    upstream.on(model, Fault(status=status, message="not with this key", retry_after="30"))

    answers = [OPENAI.call(house, model) for _ in range(3)]

    first, second = operating.rows(house, answers[0].headers["x-request-id"])
    assert [answer.headers["x-provider"] for answer in answers] == [f"{model}-b"] * 3
    assert [answer.headers["x-attempts"] for answer in answers] == ["2", "1", "1"]
    assert (first["provider"], first["error_code"], bool(first["is_final"])) == (f"{model}-a", "PROVIDER_ERROR", False)
    assert (second["provider"], second["status"], bool(second["is_final"])) == (f"{model}-b", "ok", True)
    assert [line.status for line in upstream.dispatches(model)] == [status, 200, 200, 200]


@pytest.mark.parametrize("status", [401, 429])
def test_the_providers_next_key_is_tried_before_another_provider(
    house: Product, upstream: Upstream, status: int
) -> None:
    model = couple(house, upstream)
    key = {"provider": f"{model}-a", "label": "spare", "apiKey": "sk-canary-spare"}
    operating.manage(house, "POST", "/api/ai-providers/credentials", key)
    house.until_in_force()
    upstream.on(model, Fault(status=status, retry_after="30"))

    answer = OPENAI.call(house, model)

    rows = operating.rows(house, answer.headers["x-request-id"])
    assert [row["provider"] for row in rows] == [f"{model}-a"] * 2
    assert {row["credential"] for row in rows} == {"main", "spare"}
    assert [bool(row["is_final"]) for row in rows] == [False, True]
    good = rows[1]["credential"]
    later = [operating.row_of(house, OPENAI.call(house, model))["credential"] for _ in range(4)]
    assert later == [good] * 4


def test_a_key_that_is_changed_is_used_at_once(house: Product, upstream: Upstream) -> None:
    model = couple(house, upstream)
    upstream.on(model, Fault(status=401))
    OPENAI.call(house, model)
    (key,) = operating.manage(house, "GET", f"/api/ai-providers/credentials?provider={model}-a")["results"]

    operating.manage(house, "PATCH", f"/api/ai-providers/credentials/{key['id']}", {"apiKey": "sk-canary-mended"})

    house.until_in_force()
    assert OPENAI.call(house, model).headers["x-provider"] == f"{model}-a"
    assert upstream.bill[-1].headers["Authorization"] == "Bearer sk-canary-mended"


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(cut_after=0), Fault(drop=True), Fault(error_after=0)])
@every_door
def test_a_stream_that_fails_before_its_first_word(
    house: Product, upstream: Upstream, door: Door, fault: Fault
) -> None:
    upstream.on("shaky-first", fault)

    stream = door.stream(house, "shaky-first")

    first, second = operating.rows(house, stream.request_id)
    assert stream.text.strip() == WORDS
    assert stream.ended
    assert (first["provider"], first["status"], bool(first["is_final"])) == ("shaky", "error", False)
    assert (second["provider"], second["status"], second["evidence"]) == ("steady", "ok", "reported")


@every_door
@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_does_not_know_the_model(
    house: Product, upstream: Upstream, door: Door, *, stream: bool
) -> None:
    """Its name there is ours: the caller has done nothing wrong."""
    upstream.on("shaky-first", Fault(status=404, message="The model `shaky-first` does not exist."))

    answer = door.call(house, "shaky-first", stream=stream)

    first, second = operating.rows(house, answer.headers["x-request-id"])
    assert answer.status == 200
    assert (first["provider"], first["status"], first["error_code"]) == ("shaky", "error", "MODEL_NOT_FOUND")
    assert (bool(first["is_final"]), first["evidence"], first["cost_pico"]) == (False, "none", 0)
    assert first["error_detail"] == "The model `shaky-first` does not exist."
    assert (second["provider"], second["status"], bool(second["is_final"])) == ("steady", "ok", True)


NO_MODEL = "The model does not exist: shaky-first"


@pytest.mark.parametrize(
    ("faults", "status", "code"),
    [
        ([Fault(status=404, message=NO_MODEL), Fault(status=404, message=NO_MODEL)], 404, "MODEL_NOT_FOUND"),
        ([Fault(status=503), Fault(status=404, message=NO_MODEL)], 502, "PROVIDER_ERROR"),
        ([Fault(status=404, message=NO_MODEL), Fault(status=503)], 502, "PROVIDER_ERROR"),
        ([Fault(status=404, message="No such file: file-1")], 404, "PROVIDER_REJECTED"),
    ],
)
def test_that_a_model_is_unknown_is_told_where_all_have_said_so(
    house: Product, upstream: Upstream, faults: list[Fault], status: int, code: str
) -> None:
    upstream.on("shaky-first", *faults)

    answer = OPENAI.call(house, "shaky-first")

    rows = operating.rows(house, answer.headers["x-request-id"])
    assert (answer.status, OPENAI.code(answer.json())) == (status, code)
    rejected = code == "PROVIDER_REJECTED"  # for a name that was the caller's
    assert [row["status"] for row in rows] == (["refused"] if rejected else ["error"] * len(faults))
    assert [bool(row["is_final"]) for row in rows] == [False] * (len(faults) - 1) + [True]


def test_what_the_provider_rejects_is_not_asked_elsewhere(house: Product, upstream: Upstream) -> None:
    upstream.on("shaky-first", Fault(status=400, message="the prompt is too long"))

    answer = OPENAI.call(house, "shaky-first")

    only = operating.row_of(house, answer)
    assert (answer.status, OPENAI.code(answer.json())) == (400, "PROVIDER_REJECTED")
    assert answer.headers["x-attempts"] == "1"
    assert (only["provider"], only["status"], bool(only["is_final"])) == ("shaky", "refused", True)
    assert len(upstream.bill) == 1


@every_door
@pytest.mark.parametrize("stream", [False, True])
def test_when_all_are_dead_the_caller_may_try_again(house: Product, door: Door, *, stream: bool) -> None:
    answer = door.call(house, "all-dead", stream=stream)

    first, last = operating.rows(house, answer.headers["x-request-id"])
    assert answer.status == 503
    assert "gone-too cannot be reached" in door.message(answer.json())
    assert "x-should-retry" not in answer.headers
    assert answer.headers["retry-after"] == "1"
    assert (answer.headers["x-provider"], answer.headers["x-attempts"]) == ("gone-too", "2")
    assert [bool(row["is_final"]) for row in (first, last)] == [False, True]
    assert [(row["status"], row["error_code"]) for row in (first, last)] == [("error", "PROVIDER_UNAVAILABLE")] * 2


def test_a_caller_may_name_the_provider(house: Product, upstream: Upstream) -> None:
    by_header = OPENAI.call(house, "shaky-first", headers={"X-Provider": "steady"})
    by_name = OPENAI.call(house, "steady/shaky-first")
    by_kind = OPENAI.call(house, "shaky-first", headers={"X-Provider": "anthropic"})

    assert [answer.headers["x-provider"] for answer in (by_header, by_name, by_kind)] == ["steady"] * 3
    assert {line.path for line in upstream.bill} == {"/v1/messages"}


def test_the_callers_patience_holds_for_the_whole_call(house: Product, upstream: Upstream) -> None:
    """Not for each provider anew."""
    upstream.always("shaky-first", Fault(delay_s=30))

    answer = OPENAI.call(house, "shaky-first", headers={"X-Timeout-Ms": "3000"})

    assert (answer.status, OPENAI.code(answer.json())) == (504, "PROVIDER_TIMEOUT")
    assert len(upstream.bill) == 1
    (row,) = operating.rows(house, answer.headers["x-request-id"])
    assert (row["error_code"], bool(row["is_final"])) == ("PROVIDER_TIMEOUT", True)


def test_a_lone_provider_is_asked_again(house: Product, upstream: Upstream) -> None:
    """With a row for each try, and one of them final."""
    model = couple(house, upstream, alone=True, retryAttempts=3, retryDelay=50)
    upstream.on(model, Fault(status=500), Fault(status=503))

    answer = OPENAI.call(house, model)

    rows = operating.rows(house, answer.headers["x-request-id"])
    assert (answer.status, answer.headers["x-attempts"]) == (200, "3")
    assert [row["attempt"] for row in rows] == [1, 2, 3]
    assert [row["status"] for row in rows] == ["error", "error", "ok"]
    assert [bool(row["is_final"]) for row in rows] == [False, False, True]


def test_a_lone_provider_that_stays_broken(house: Product, upstream: Upstream) -> None:
    model = couple(house, upstream, alone=True, retryAttempts=3, retryDelay=50)
    upstream.always(model, Fault(status=500, message="still broken"))

    answer = OPENAI.call(house, model)

    rows = operating.rows(house, answer.headers["x-request-id"])
    assert (answer.status, OPENAI.message(answer.json())) == (502, f"{model}-a answered 500: still broken")
    assert [bool(row["is_final"]) for row in rows] == [False, False, True]


def test_what_is_over_budget_at_one_provider_may_fit_at_the_next(house: Product, upstream: Upstream) -> None:
    model = couple(house, upstream)
    budget = {"name": f"{model} budget", "scope": "provider", "subject": f"{model}-a", "amountUsd": "0.000001"}
    operating.manage(house, "POST", "/api/usage/budgets", budget | {"period": "total", "hard": True})
    house.until_in_force()

    answer = OPENAI.call(house, model)

    (only,) = operating.rows(house, answer.headers["x-request-id"])
    assert (only["provider"], only["attempt"], bool(only["is_final"])) == (f"{model}-b", 1, True)


def couple(house: Product, upstream: Upstream, *, alone: bool = False, **settings: Any) -> str:
    """A model of its own at `<model>-a`, and at `<model>-b` where that fails: what is held against keys stays there."""
    model = f"w-couple-{next(_numbers)}"
    if not alone:
        below = operating.AFTER_THE_REST - 10
        name = f"{model}-b"
        operating.add_provider(
            house, name=name, kind="custom", endpoint=upstream.openai_url, model=model, priority=below, wait=False
        )
    operating.add_provider(
        house, name=f"{model}-a", kind="custom", endpoint=upstream.openai_url, model=model, **settings
    )
    upstream.bill.clear()
    return model


def used_keys(house: Product, model: str) -> set[str]:
    answers = [OPENAI.call(house, model) for _ in range(2)]
    return {operating.row_of(house, answer)["credential"] for answer in answers}
