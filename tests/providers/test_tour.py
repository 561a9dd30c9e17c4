"""A call's way through its candidates, failure by failure."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import (
    BadAnswerError,
    CredentialRefusedError,
    DisconnectedError,
    NoSocketError,
    ProviderFailureError,
    RateLimitedError,
    RejectedError,
    TimedOutError,
    UnknownModelError,
    UnreachableError,
    UpstreamError,
    from_status,
)
from providers.resilience.board import Board
from providers.resilience.breaker import Policy
from providers.resilience.credentials import MOST_WAITING
from providers.resilience.retry import MOST_WAIT_S
from providers.resilience.tour import Go, Stop, Tour, Wait
from providers.specs import DeploymentSpec
from tests.providers.topologies import deployment, key

ONE, TWO = deployment("one", keys=(key("a"),)), deployment("two", keys=(key("b"),))
BROKEN = UpstreamError("broken", status=500)


class Caller:
    """Tells a tour what happens, and waits when it says so."""

    def __init__(
        self, *candidates: DeploymentSpec, board: Board | None = None, now: float = 0, deadline: float = 600
    ) -> None:
        self.now = now
        self.board = board or Board(Random(0))
        self.tour = Tour(self.board, candidates, deadline=deadline)
        self.step = self.tour.next(self.now)

    @property
    def where(self) -> str:
        """`one:a` is provider one by its key a."""
        if not isinstance(self.step, Go):
            return type(self.step).__name__.lower()
        key = self.step.leave.credential
        return self.step.leave.deployment.provider.slug + (f":{key.label}" if key else "")

    def fails(self, failure: ProviderFailureError) -> str:
        """Where the call goes next; `wait` or `stop` where it does not."""
        assert isinstance(self.step, Go)
        self.tour.failed(self.step, failure, self.now)
        self.step = self.tour.next(self.now)
        return self.where

    def is_passed_by(self, why: str) -> str:
        assert isinstance(self.step, Go)
        self.tour.passed_by(self.step, why)
        self.step = self.tour.next(self.now)
        return self.where

    def waits(self) -> str:
        assert isinstance(self.step, Wait)
        self.now += self.step.seconds
        self.step = self.tour.next(self.now)
        return self.where

    def answers(self) -> None:
        assert isinstance(self.step, Go)
        self.board.answered(self.step.leave, 100, self.now)


def break_down(board: Board, spec: DeploymentSpec, now: float = 0) -> None:
    """Its circuit is open."""
    for _ in range(spec.provider.circuit.failures):
        leave = board.seek(spec, now)
        board.failed(leave, BROKEN, now)  # type: ignore[arg-type]  # it is a pass


def test_another_provider_is_the_best_second_try() -> None:
    caller = Caller(ONE, TWO)

    assert caller.where == "one:a"
    assert caller.fails(BROKEN) == "two:b"


def test_when_nobody_has_answered_they_are_asked_again_after_a_wait() -> None:
    caller = Caller(ONE, TWO)
    caller.fails(BROKEN)

    assert caller.fails(BROKEN) == "wait"
    assert caller.waits() == "one:a"
    assert caller.now <= 1
    caller.fails(BROKEN)
    caller.fails(BROKEN)
    assert caller.waits() == "one:a"
    caller.fails(BROKEN)
    assert caller.fails(BROKEN) == "stop"  # three tries each
    assert [place for place, _ in caller.tour.failures] == [0, 1] * 3


def test_waits_grow_from_round_to_round_and_are_counted() -> None:
    seconds = []
    for seed in range(30):
        caller = Caller(ONE, board=Board(Random(seed)))
        caller.fails(BROKEN)
        caller.waits()
        first = caller.tour.waited_s
        caller.fails(BROKEN)
        caller.waits()
        assert caller.tour.waited_s == caller.now
        assert caller.tour.left_s(caller.now) == 600 - caller.now
        seconds.append((first, caller.now - first))

    assert max(first for first, _ in seconds) <= 1
    assert 1 < max(second for _, second in seconds) <= 2


def test_who_was_to_be_asked_again_is_not_where_its_last_failure_speaks_against_it() -> None:
    caller = Caller(ONE)

    assert (caller.fails(BROKEN), caller.waits()) == ("wait", "one:a")
    assert caller.fails(TimedOutError("")) == "stop"


def test_who_is_passed_by_is_not_come_back_to_and_its_trial_is_anothers() -> None:
    board = Board(Random(0))
    break_down(board, ONE)
    caller = Caller(ONE, TWO, board=board, now=61)
    assert caller.where == "one:a"

    assert caller.is_passed_by("no room") == "two:b"

    assert isinstance(caller.step, Go)
    assert caller.step.number == 1
    assert caller.tour.skipped == caller.tour.unasked == {0: "no room"}
    assert Caller(ONE, TWO, board=board, now=61).where == "one:a"
    assert (caller.fails(BROKEN), caller.waits(), caller.fails(BROKEN), caller.waits()) == ("wait", "two:b") * 2


def test_nor_is_it_where_it_failed_before() -> None:
    caller = Caller(ONE)

    assert (caller.fails(BROKEN), caller.waits()) == ("wait", "one:a")
    assert caller.is_passed_by("no room") == "stop"


@pytest.mark.parametrize(
    ("failure", "following"),
    [
        (UnreachableError(""), "wait"),
        (NoSocketError(""), "wait"),
        (DisconnectedError(""), "wait"),
        (BROKEN, "wait"),
        (TimedOutError(""), "stop"),
        (BadAnswerError(""), "stop"),
        (RejectedError("", status=400), "stop"),
        (UnknownModelError("", status=404), "stop"),
        (CredentialRefusedError("", status=401), "stop"),
        (RateLimitedError("", status=429), "wait"),
    ],
)
def test_what_is_tried_again_where_there_is_no_other(failure: ProviderFailureError, following: str) -> None:
    assert Caller(ONE).fails(failure) == following


def test_what_the_provider_rejects_is_asked_nowhere_else() -> None:
    assert Caller(ONE, TWO).fails(from_status(400, "no")) == "stop"


def test_a_model_that_one_provider_does_not_know_is_asked_of_the_next() -> None:
    caller = Caller(ONE, TWO)

    assert caller.fails(UnknownModelError("", status=404)) == "two:b"
    assert caller.fails(BROKEN) == "wait"
    assert caller.waits() == "two:b"


def test_it_knows_whom_it_has_not_asked() -> None:
    board = Board(Random(0))
    break_down(board, ONE)

    caller = Caller(ONE, TWO, board=board)

    assert caller.fails(UnknownModelError("", status=404)) == "stop"
    assert caller.tour.unasked == {0: "circuit open"}


@pytest.mark.parametrize("status", [401, 402, 403, 429])
def test_another_key_of_the_same_provider_comes_before_another_provider(status: int) -> None:
    caller = Caller(deployment("one", keys=(key("a"), key("c"))), TWO)

    assert caller.where == "one:a"
    assert caller.fails(from_status(status, "no")) == "one:c"
    assert caller.fails(from_status(status, "no")) == "two:b"


def test_but_not_all_of_them() -> None:
    caller = Caller(deployment("one", keys=tuple(map(key, "acdef"))), TWO)

    places = [caller.where] + [caller.fails(from_status(401, "no")) for _ in range(3)]

    assert places == ["one:a", "one:c", "one:d", "two:b"]


def test_the_next_call_does_not_ask_with_a_refused_key() -> None:
    board = Board(Random(0))
    Caller(ONE, TWO, board=board).fails(from_status(401, "no"))

    assert Caller(ONE, TWO, board=board).where == "two:b"


def test_a_refused_key_is_the_last_resort() -> None:
    """Who is the last candidate is never shut out: the provider may have changed its mind, and says so at no cost."""
    board = Board(Random(0))
    Caller(ONE, board=board).fails(from_status(401, "no"))

    assert Caller(ONE, board=board).where == "one:a"


def test_with_another_answer_to_give_a_refused_key_is_not_asked_with() -> None:
    board = Board(Random(0))
    Caller(ONE, board=board).fails(from_status(401, "no"))
    caller = Caller(ONE, TWO, board=board)

    assert (caller.where, caller.fails(TimedOutError(""))) == ("two:b", "stop")


@pytest.mark.parametrize(("said_s", "waited_s"), [(3, 3), (MOST_WAIT_S, MOST_WAIT_S)])
def test_retry_after_is_honoured(said_s: float, waited_s: float) -> None:
    caller = Caller(ONE)
    caller.fails(RateLimitedError("", status=429, retry_after_s=said_s))

    assert caller.waits() == "one:a"
    assert caller.now >= waited_s


def test_a_limited_key_is_waited_for_where_nothing_is_said_of_when() -> None:
    caller = Caller(ONE)
    caller.fails(RateLimitedError("", status=429))

    assert caller.waits() == "one:a"
    assert caller.now >= 1


def test_who_was_waited_for_is_passed_by_no_more() -> None:
    board = Board(Random(0))
    Caller(ONE, board=board).fails(RateLimitedError("", status=429, retry_after_s=4))
    caller = Caller(ONE, board=board)
    assert caller.tour.skipped == {0: "rate limited"}

    assert caller.waits() == "one:a"
    assert caller.tour.skipped == {}


def test_nobody_is_asked_in_the_last_moment_of_a_calls_time() -> None:
    """Whose timer rings a little early: a hold would be written for nothing, and the caller told of another reason."""
    caller = Caller(ONE, TWO, deadline=3)
    caller.now = 2.996

    assert caller.fails(TimedOutError("")) == "stop"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("said_s", "deadline"), [(86_400, 600), (8, 5), (4.999, 5), (11, 600)])
def test_a_wait_that_is_absurd_or_beyond_the_deadline_is_not_begun(status: int, said_s: float, deadline: float) -> None:
    assert Caller(ONE, deadline=deadline).fails(from_status(status, "", retry_after_s=said_s)) == "stop"


def test_calls_wait_for_a_limited_key_together_but_do_not_come_all_at_once() -> None:
    board = Board(Random(0))
    Caller(ONE, board=board).fails(RateLimitedError("", status=429, retry_after_s=4))

    later = [Caller(ONE, board=board) for _ in range(50)]
    waits = [caller.step.seconds for caller in later if isinstance(caller.step, Wait)]

    assert len(waits) == 50
    assert min(waits) >= 4
    assert max(waits) - min(waits) > 0.5


def test_only_so_many_wait_for_a_limited_key() -> None:
    board = Board(Random(0))
    Caller(ONE, board=board).fails(RateLimitedError("", status=429, retry_after_s=4))

    later = [Caller(ONE, board=board).where for _ in range(300)]

    assert Counter(later) == {"wait": MOST_WAITING, "stop": 300 - MOST_WAITING}


def test_an_open_circuit_is_passed_by() -> None:
    board = Board(Random(0))
    break_down(board, ONE)

    caller = Caller(ONE, TWO, board=board)

    assert caller.where == "two:b"
    assert caller.tour.skipped == {0: "circuit open"}


def test_where_all_circuits_are_open_calls_are_told_when_to_come_again() -> None:
    board = Board(Random(0))
    break_down(board, ONE)
    break_down(board, TWO)

    assert Caller(ONE, TWO, board=board, now=1).step == Stop(5)


def test_while_a_trial_is_under_way_calls_are_told_when_the_next_one_may_be_made() -> None:
    board = Board(Random(0))
    break_down(board, ONE)
    assert Caller(ONE, board=board, now=7).where == "one:a"
    caller = Caller(ONE, board=board, now=8)
    while isinstance(caller.step, Wait):
        caller.waits()

    assert caller.step == Stop(6)


def test_the_circuit_that_may_be_tried_first_says_when() -> None:
    board, slow = Board(Random(0)), deployment("slow", keys=(key("c"),), circuit=Policy(open_s=600))
    break_down(board, slow)
    break_down(board, ONE)

    assert Caller(slow, ONE, board=board, now=1).step == Stop(5)
    assert Caller(slow, board=board, now=1).step == Stop(59)


def test_the_last_candidate_is_tried_early_and_others_wait_for_the_outcome() -> None:
    """With one provider, nobody waits a minute to learn that it is back."""
    board = Board(Random(0))
    break_down(board, ONE)

    first, second = (Caller(ONE, board=board, now=7) for _ in range(2))
    assert (first.where, second.where) == ("one:a", "wait")
    first.answers()
    assert second.waits() == "one:a"
    second.answers()

    assert [Caller(ONE, board=board, now=8).where for _ in range(5)] == ["one:a"] * 5


def test_nobody_waits_long_for_a_trial() -> None:
    board = Board(Random(0))
    break_down(board, ONE)
    Caller(ONE, board=board, now=7)
    caller = Caller(ONE, board=board, now=7)

    while isinstance(caller.step, Wait):
        caller.waits()

    assert isinstance(caller.step, Stop)
    assert caller.now < 12


def test_a_trial_that_is_another_processs_to_make_is_waited_for_and_made_where_that_lets_it() -> None:
    board = Board(Random(0))
    break_down(board, ONE)
    board.claims = set()
    early, refused, patient = (Caller(ONE, board=board, now=now) for now in (1, 7, 7))
    assert (early.where, refused.where, patient.where) == ("stop", "wait", "wait")
    assert board.wanted() == {ONE.id: 7}

    while isinstance(refused.step, Wait):
        refused.waits()
    assert refused.step == Stop(6)
    assert 8 < refused.now < 12

    board.claims = {ONE.id}
    assert patient.waits() == "one:a"
    patient.answers()
    assert Caller(ONE, board=board, now=8).where == "one:a"


def test_with_another_to_go_to_nobody_tries_an_open_circuit_early() -> None:
    board = Board(Random(0))
    break_down(board, ONE)

    assert {Caller(ONE, TWO, board=board, now=now).where for now in (7, 30, 59)} == {"two:b"}
    assert Caller(ONE, TWO, board=board, now=61).where == "one:a"


def test_a_dead_provider_is_not_hammered() -> None:
    """Its circuit never opens here: the budget alone holds the retries down."""
    stubborn = deployment("one", keys=(key("a"),), circuit=Policy(failures=10_000))
    board, dispatches, now = Board(Random(0)), 0, 0.0
    for _ in range(1_000):
        now += 0.01
        caller = Caller(stubborn, board=board, now=now)
        while isinstance(caller.step, Go | Wait):
            dispatches += isinstance(caller.step, Go)
            (caller.fails(BROKEN) if isinstance(caller.step, Go) else caller.waits())

    assert dispatches <= 1.2 * 1_000 + 10 + 10  # the floor, and what came back of it in ten seconds


def test_what_others_have_spent_in_the_meantime_is_not_spent_again() -> None:
    board = Board(Random(1))  # of a short first wait: one a second comes back
    caller = Caller(ONE, board=board)
    assert caller.fails(BROKEN) == "wait"
    while board.budget(ONE.provider, 0).take(0):
        pass

    assert caller.waits() == "stop"
    assert caller.tour.skipped == {0: "retry budget spent"}


def test_a_burst_of_429_counts_once() -> None:
    board = Board(Random(0))
    together = [Caller(ONE, board=board) for _ in range(20)]
    for caller in together:
        caller.fails(RateLimitedError("", status=429, retry_after_s=2))

    assert not board.is_open(ONE)


def test_a_provider_that_limits_again_and_again_is_left_alone() -> None:
    board, now = Board(Random(0)), 0.0
    for _ in range(5):
        leave: Any = board.seek(ONE, now)
        board.failed(leave, RateLimitedError("", status=429, retry_after_s=1), now)
        now += 1.5

    assert board.is_open(ONE)


def test_one_of_two_keys_may_be_limited_again_and_again() -> None:
    two_keys = deployment("one", keys=(key("a"), key("c")))
    board, now = Board(Random(0)), 0.0
    for _ in range(20):
        leave: Any = board.seek(two_keys, now)
        board.failed(leave, RateLimitedError("", status=429, retry_after_s=1), now)
        now += 1.5

    assert not board.is_open(two_keys)


def test_callers_in_a_hurry_do_not_shut_a_provider_out() -> None:
    board = Board(Random(0))
    for _ in range(50):
        leave: Any = board.seek(ONE, 0)
        board.failed(leave, TimedOutError("", had_s=0.2), 0)
    assert not board.is_open(ONE)

    for _ in range(5):
        leave = board.seek(ONE, 0)
        board.failed(leave, TimedOutError("", had_s=30), 0)

    assert board.is_open(ONE)


@pytest.mark.parametrize(("had_s", "counts"), [(1, False), (2, True)])
def test_a_connection_takes_nobody_long(had_s: float, *, counts: bool) -> None:
    """A host that drops packets is shut out by callers in a hurry too, unless that is a great one."""
    assert TimedOutError("", had_s=had_s, sent=False).counts is counts
    assert not TimedOutError("", had_s=had_s).counts


@pytest.mark.parametrize(("had_s", "counts"), [(0.91, True), (0.89, False)])
def test_what_our_own_books_have_taken_of_a_providers_time_is_no_callers_hurry(had_s: float, *, counts: bool) -> None:
    assert TimedOutError("", had_s=had_s, usual_s=1).counts is counts


_FAILURES = st.one_of(
    st.sampled_from([401, 402, 403, 408, 429, 500, 503, 529]).map(lambda status: from_status(status, "")),
    st.floats(0, 20).map(lambda wait: from_status(429, "", retry_after_s=wait)),
    st.just(UnreachableError("")),
    st.builds(TimedOutError, st.just("")),
    st.just(BadAnswerError("")),
)


@settings(max_examples=300)
@given(
    st.lists(_FAILURES, min_size=60, max_size=60),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), min_size=1, max_size=4),
    st.floats(0.1, 100),
    st.integers(),
)
def test_every_tour_ends(
    failures: list[ProviderFailureError], shapes: list[tuple[int, int]], deadline: float, seed: int
) -> None:
    """Within its deadline and its tries, numbered without a gap, and it leaves no trial behind."""
    specs = [
        deployment(f"p{n}", keys=tuple(key(f"p{n}k{k}") for k in range(keys)), retry_attempts=tries)
        for n, (keys, tries) in enumerate(shapes)
    ]
    caller, numbers = Caller(*specs, board=Board(Random(seed)), deadline=deadline), []
    coming = iter(failures)
    while not isinstance(caller.step, Stop):
        if isinstance(caller.step, Wait):
            assert caller.step.seconds <= MOST_WAIT_S + 1
            assert caller.now + caller.step.seconds < deadline
            caller.waits()
        else:
            numbers.append(caller.step.number)
            caller.fails(next(coming))

    assert numbers == list(range(1, len(numbers) + 1))
    by_place = [[place for place, _ in caller.tour.failures].count(n) for n in range(len(specs))]
    assert all(count <= max(spec.provider.retry_attempts, 3) for count, spec in zip(by_place, specs, strict=True))


def test_a_call_whose_time_is_over_before_it_is_sent_is_not_sent() -> None:
    """It has waited for another call's answer, or for the ledger."""
    assert Caller(ONE, now=601).where == "stop"


def test_a_retry_is_spent_when_it_is_made() -> None:
    """Not where a circuit has opened in the meantime."""
    board = Board(Random(0))
    caller = Caller(ONE, TWO, board=board)
    assert caller.fails(BROKEN) == "two:b"
    assert caller.fails(BROKEN) == "wait"
    board.circuit(ONE.id, 0).breaker.open(60, caller.now)
    left = board.budget(ONE.provider, caller.now)._left

    assert caller.waits() == "two:b"
    assert board.budget(ONE.provider, 0)._left == left
