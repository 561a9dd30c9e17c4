"""Why a call went where it went, for people."""

from __future__ import annotations

from usage import routing
from usage.routing import Trace


def told(trace: Trace) -> str:
    return routing.in_words(routing.encode(trace).decode())


def test_where_there_was_no_choice() -> None:
    assert told(Trace()) == "It was the only one that could answer."


def test_a_choice_and_what_came_before_it() -> None:
    trace = Trace(
        why="priority 10, weight 1 of 2",
        route="default",
        place=3,
        of=3,
        skipped={"one/gpt": "circuit open"},
        failed=[("two/gpt", "PROVIDER_ERROR 503")],
        waited_ms=1_200,
    )

    assert told(trace) == (
        "Number 3 of 3 candidates of the route “default”: priority 10, weight 1 of 2. "
        "Passed by: one/gpt (circuit open). Tried before: two/gpt (PROVIDER_ERROR 503). It waited 1.2 s for its turn."
    )


def test_what_is_no_trace_says_nothing() -> None:
    assert [routing.in_words(text) for text in ("", "{", "[1]")] == ["", "", ""]
