"""Where a call would go, as circuits stand: what is said of a trial is what becomes of the next call."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from gateway.dry_run import Findings, Question, dry_run
from gateway.snapshot import Snapshot
from providers.errors import CredentialRefusedError, RateLimitedError
from providers.resilience.board import Board, Pass
from providers.resilience.breaker import EARLY_SHARE, State
from providers.specs import DeploymentSpec, TargetSpec, Topology
from tests.providers.topologies import deployment, key
from usage.budgets import Budgets

FIRST, SPARE = deployment("first"), deployment("spare")
OPEN_S = 1_000.0


def found(board: Board, *candidates: DeploymentSpec) -> Findings:
    targets = tuple(TargetSpec(each, priority=-place, weight=1) for place, each in enumerate(candidates))
    topology = Topology(names={"gpt": targets}, deployments=candidates, routes=(), catch_all=None)
    snapshot = Snapshot(revision=1, callers={}, topology=topology, budgets=Budgets(()))
    return dry_run(Question(model="gpt"), snapshot, board, now=datetime.now(UTC))


def with_open(deployment: DeploymentSpec, *, ago_s: float) -> Board:
    board, opened = Board(), time.perf_counter() - ago_s
    board.circuit(deployment.id, opened).breaker.open(OPEN_S, opened)
    return board


def who(findings: Findings) -> str:
    return findings.first.choice.deployment.provider.slug if findings.first else ""


def test_an_open_circuit_is_passed_by() -> None:
    findings = found(with_open(FIRST, ago_s=OPEN_S / 2), FIRST, SPARE)

    assert who(findings) == "spare"
    assert (findings.places[0].circuit, len(findings.places[0].obstacles)) == (State.OPEN, 1)


def test_one_that_is_due_for_a_trial_gets_it() -> None:
    board = with_open(FIRST, ago_s=OPEN_S + 1)

    findings = found(board, FIRST, SPARE)

    assert who(findings) == "first"
    assert findings.places[0].circuit is State.HALF_OPEN
    assert board.circuits[FIRST.id].breaker.state is State.OPEN  # the trial is still to be made


def test_while_a_trial_is_under_way_nobody_makes_another() -> None:
    board = with_open(FIRST, ago_s=OPEN_S + 1)
    board.circuits[FIRST.id].breaker.permit(time.perf_counter())

    assert who(found(board, FIRST, SPARE)) == "spare"


@pytest.mark.parametrize(("status", "taken"), [(401, "first"), (429, "")])
def test_where_there_is_nowhere_else_to_go_a_refused_key_is_tried(status: int, taken: str) -> None:
    keyed = deployment("first", keys=(key("a"),))
    board, now = Board(), time.perf_counter()
    passing = board.seek(keyed, now)
    assert isinstance(passing, Pass)
    failure = CredentialRefusedError("no", status=401) if status == 401 else RateLimitedError("no", retry_after_s=60)
    board.failed(passing, failure, now)

    assert who(found(board, keyed)) == taken
    assert who(found(board, keyed, SPARE)) == "spare"


@pytest.mark.parametrize(("share", "taken"), [(EARLY_SHARE / 2, ""), (EARLY_SHARE * 2, "first")])
def test_where_there_is_nowhere_else_to_go_a_trial_may_be_made_early(share: float, taken: str) -> None:
    assert who(found(with_open(FIRST, ago_s=OPEN_S * share), FIRST)) == taken
