"""What a process knows of deployments, and what processes tell each other."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest

from providers.errors import CredentialRefusedError, NoSocketError, RejectedError, UnknownModelError, UpstreamError
from providers.resilience.board import Board, Change, Pass
from providers.resilience.breaker import State
from providers.resilience.figures import Figures
from providers.resilience.reports import UNTRIED_S, Seen, seen, together
from providers.resilience.window import Window
from providers.specs import DeploymentSpec
from tests.providers.topologies import deployment, key

ONE = deployment("one", keys=(key("a"),))
RESET = deployment("one", keys=(key("a"),), forgiven_at=datetime(2026, 1, 1, tzinfo=UTC))
BROKEN = UpstreamError("broken", status=500)


def leave(board: Board, spec: DeploymentSpec = ONE, now: float = 0) -> Pass:
    found = board.seek(spec, now)
    assert isinstance(found, Pass)
    return found


def break_down(board: Board, spec: DeploymentSpec = ONE, now: float = 0) -> None:
    for _ in range(spec.provider.circuit.failures):
        board.failed(leave(board, spec, now), BROKEN, now)


def test_a_window_forgets() -> None:
    window = Window()
    for now in range(0, 120, 10):
        window.add(now, 120, failed=now >= 60)

    assert window.counts(119, 120) == (12, 6)
    assert window.counts(179, 120) == (6, 6)
    assert window.counts(400, 120) == (0, 0)


def test_who_was_slow_once_is_asked_again() -> None:
    figures = Figures()
    figures.succeeded(5_000, 0, 120)

    assert figures.expected_ms(0) == 5_000
    assert figures.expected_ms(60) == 2_500
    assert figures.expected_ms(600) < 10


def test_a_mean_follows_what_is_new() -> None:
    figures = Figures()
    for now in range(30):
        figures.succeeded(1_000 if now < 10 else 200, now, 120)

    assert figures.latency_ms == pytest.approx(200, rel=0.1)
    assert figures.success_share(30, 120) == 1


def test_what_callers_got_wrong_is_not_held_against_a_provider() -> None:
    board = Board(Random(0))
    for _ in range(50):
        board.failed(leave(board), RejectedError("no", status=400), 0)

    assert not board.is_open(ONE)
    assert board.success_share(ONE, 0) is None


def test_a_model_that_a_provider_does_not_know_is_no_success_and_opens_no_circuit() -> None:
    board = Board(Random(0))
    for _ in range(50):
        board.failed(leave(board), UnknownModelError("no such model", status=404), 0)

    assert not board.is_open(ONE)
    assert board.success_share(ONE, 0) == 0
    assert not board.is_healthy(ONE, 0)


@pytest.mark.parametrize(("status", "elsewhere"), [(401, True), (402, True), (403, False)])
def test_a_key_is_refused_for_all_models_or_for_one(status: int, *, elsewhere: bool) -> None:
    board, other = Board(Random(0)), deployment("one", "other", keys=(key("a"),))
    board.failed(leave(board), CredentialRefusedError("no", status=status), 0)

    [(_, aside)] = board.keys.asides(ONE, 1)
    assert aside.status == status
    assert bool(board.keys.asides(other, 1)) is elsewhere


def test_a_refused_key_that_is_answered_after_all_is_one_as_any_other() -> None:
    board = Board(Random(0))
    board.failed(leave(board), CredentialRefusedError("no", status=401), 0)
    assert not isinstance(board.seek(ONE, 1), Pass)

    last_resort = board.seek(ONE, 1, any_key=True)
    assert isinstance(last_resort, Pass)
    board.answered(last_resort, 100, 2)

    assert isinstance(board.seek(ONE, 2), Pass)


def test_a_trial_that_was_cut_after_its_beginning_opens_the_circuit_again() -> None:
    board = Board(Random(0))
    break_down(board)
    trial = leave(board, now=61)
    board.answered(trial, 100, 61)

    board.cut(trial, BROKEN, 62)

    assert board.circuits[ONE.id].breaker.state is State.OPEN


def test_live_calls_say_more_than_probes() -> None:
    board = Board(Random(0))
    board.unhealthy = frozenset({ONE.provider.id})
    assert not board.is_healthy(ONE, 0)

    board.answered(leave(board), 100, 0)

    assert board.is_healthy(ONE, 1)
    assert not board.is_healthy(ONE, 1_000)


def test_an_open_circuit_speaks_against_a_deployment_until_it_is_due_for_a_trial() -> None:
    """Whichever process may make it. Or where health decides who is asked first, it would never be asked again."""
    board = Board(Random(0))
    board.claims = set()
    break_down(board)
    assert not board.is_healthy(ONE, 59)
    assert board.is_healthy(ONE, 60)

    board.claims = {ONE.id}
    trial = leave(board, now=61)
    assert not board.is_healthy(ONE, 62)

    board.answered(trial, 100, 63)
    assert board.is_healthy(ONE, 63)


class TestTwoProcesses:
    """What one tells the other."""

    @staticmethod
    def pass_on(teller: Board, hearer: Board, now: float) -> None:
        news = teller.news()
        for deployment_id, change in news.items():
            hearer.hear(deployment_id, change, now)
        teller.told(news)

    def test_what_opens_here_opens_there_and_closes_likewise(self) -> None:
        here, there = Board(Random(0)), Board(Random(0))
        break_down(here)
        self.pass_on(here, there, 0)
        assert there.is_open(ONE)
        assert there.news() == {}

        for now in (60.0, 61.0):
            here.answered(leave(here, now=now), 100, now)
        self.pass_on(here, there, 61)

        assert not there.is_open(ONE)
        assert there.news() == {}

    def test_what_opens_again_after_a_trial_is_told_too(self) -> None:
        here, there = Board(Random(0)), Board(Random(0))
        break_down(here)
        self.pass_on(here, there, 0)
        here.failed(leave(here, now=60), BROKEN, 60)
        self.pass_on(here, there, 60)

        assert not isinstance(there.seek(ONE, 61), Pass)
        assert there.obstacle_s(ONE, 60) == 6
        assert there.news() == {}
        assert here.news() == {}

    def test_what_is_heard_late_shuts_nobody_out_for_longer(self) -> None:
        board = Board(Random(0))
        break_down(board)
        board.hear(ONE.id, Change(State.OPEN, 30, None), 30)
        assert board.obstacle_s(ONE, 1) == 5

    def test_who_is_trying_goes_by_the_outcome(self) -> None:
        board = Board(Random(0))
        break_down(board)
        trial = leave(board, now=60)
        board.hear(ONE.id, Change(State.OPEN, 120, None), 60)
        board.answered(trial, 100, 61)
        assert isinstance(board.seek(ONE, 61), Pass)

    def test_it_is_news_until_it_is_told(self) -> None:
        board = Board(Random(0))
        break_down(board)
        news = board.news()
        assert news[ONE.id].state is State.OPEN
        assert board.news() == news

        board.told(news)

        assert board.news() == {}

    def test_what_was_told_before_a_reset_opens_nothing_after_it(self) -> None:
        here, there = Board(Random(0)), Board(Random(0))
        break_down(here)
        there.heed([RESET], 0)

        self.pass_on(here, there, 1)
        assert not there.is_open(ONE)

        here.heed([RESET], 2)
        break_down(here, now=3)
        self.pass_on(here, there, 4)
        assert there.is_open(ONE)

    def test_who_has_no_claim_makes_no_trial(self) -> None:
        board = Board(Random(0))
        break_down(board)
        board.claims = set()
        assert not isinstance(board.seek(ONE, 61), Pass)

        board.claims = {ONE.id}

        assert leave(board, now=61).permit.is_trial

    def test_a_trial_that_nobody_makes_is_anybodys(self) -> None:
        """The claim may always be where no call comes just then, as where processes take turns."""
        board = Board(Random(0))
        break_down(board)
        board.claims = set()
        assert not isinstance(board.seek(ONE, 64.9), Pass)
        assert [board.awaits_trial(ONE, now) for now in (64.9, 65)] == [True, False]

        board.answered(leave(board, now=65), 100, 65)

        assert not isinstance(board.seek(ONE, 66), Pass)  # perhaps the other one is made elsewhere
        board.answered(leave(board, now=70), 100, 70)
        assert not board.is_open(ONE)


def test_trials_are_wanted_where_calls_come_that_would_make_them() -> None:
    board = Board(Random(0))
    break_down(board)
    board.claims = set()
    assert board.wanted() == {}
    board.seek(ONE, 7)
    assert board.wanted() == {}  # it has somewhere else to go

    board.seek(ONE, 8, early=True)
    board.seek(ONE, 61)
    assert board.wanted() == {ONE.id: 61}

    board.hear(ONE.id, Change(State.CLOSED, 0, None), 62)
    assert board.wanted() == {}


def test_a_reset_closes_the_circuit_and_forgives_the_keys() -> None:
    board = Board(Random(0))
    board.heed([ONE], 0)
    break_down(board)
    board.keys.refused(ONE.provider.credentials[0], ONE, 401, 0)
    board.heed([ONE], 1)
    assert board.is_open(ONE)

    board.heed([RESET], 2)

    assert not board.is_open(ONE)
    assert board.keys.asides(ONE, 2) == []


def test_a_reset_counts_also_where_the_configuration_was_not_looked_at_since_the_provider_came() -> None:
    board = Board(Random(0))
    break_down(board)

    board.heed([RESET], 1)

    assert not board.is_open(ONE)


def test_what_could_not_be_sent_says_nothing_of_the_provider() -> None:
    board = Board(Random(0))
    for _ in range(2 * ONE.provider.circuit.failures):
        board.failed(leave(board), NoSocketError("no more connections"), 0)

    assert not board.is_open(ONE)
    assert board.circuit(ONE.id, 0).figures.calls(0, 120) == (0, 0)


def test_a_report_says_until_when_a_provider_is_down() -> None:
    board = Board(Random(0))
    break_down(board)

    found = seen(board, [ONE], 10, 1_000)[ONE.id]

    assert found.reopens_at is not None
    assert found.since_at is not None
    assert found.reopens_at - found.since_at == ONE.provider.circuit.open_s
    # Its trials may fail again and again; where nobody makes one, its failures are forgotten.
    assert [found.is_down(found.reopens_at + after) for after in (-1, 0, UNTRIED_S - 1, UNTRIED_S)] == [True] * 3 + [
        False
    ]


def test_while_a_trial_is_under_way_nobody_says_until_when() -> None:
    board = Board(Random(0))
    break_down(board)
    leave(board, now=61)

    found = seen(board, [ONE], 62, 1_000)[ONE.id]

    assert (found.circuit_state, found.since_at, found.reopens_at) == ("half_open", 999, None)


def test_several_reports_are_one() -> None:
    board = Board(Random(0))
    board.answered(leave(board), 400, 0)
    board.failed(leave(board), BROKEN, 0)
    mine = seen(board, [ONE], 1, 1_000)[ONE.id]
    assert (mine.circuit_state, mine.calls, mine.failed, mine.since_at) == ("closed", 2, 1, None)

    theirs = Seen("open", since_at=990, failures=5, calls=6, failed=6, keys_aside={"a": 401}, reopens_at=1_050)
    both = together([mine, theirs, Seen("open", since_at=995, reopens_at=1_055), Seen("closed", since_at=900)])

    assert (both.circuit_state, both.since_at, both.failures) == ("open", 990, 5)
    assert (both.calls, both.failed, both.success_share) == (8, 7, 0.125)
    assert (both.latency_ms, both.keys_aside) == (400, {"a": 401})
    assert both.reopens_at == 1_055
    assert together([]) == Seen()
