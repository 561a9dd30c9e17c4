"""How a provider is doing: live calls before checks, fresh checks before none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from providers.standing import Check, Live, State, standing

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
GOOD = Check(ok=True, detail="Connected in 5 ms; 2 models offered.", checked_at=NOW - timedelta(seconds=40))
BAD = Check(ok=False, detail="Nothing answers at that address.", checked_at=NOW - timedelta(seconds=40))
OLD = Check(ok=True, detail="Connected.", checked_at=NOW - timedelta(hours=2))


@pytest.mark.parametrize(
    ("check", "live", "state"),
    [
        (None, None, "unknown"),
        (GOOD, None, "healthy"),
        (BAD, None, "unhealthy"),
        (OLD, None, "unknown"),
        (BAD, Live(sent=5, failed=0), "healthy"),
        (GOOD, Live(sent=10, failed=1), "degraded"),
        (GOOD, Live(sent=10, failed=5), "unhealthy"),
        (None, Live(sent=10, failed=0), "healthy"),
        (GOOD, Live(sent=4, failed=4), "healthy"),
    ],
)
def test_what_calls_met_counts_more_than_checks(check: Check | None, live: Live | None, state: State) -> None:
    assert standing(check, live, now=NOW).state == state


def test_an_old_check_says_so() -> None:
    told = standing(OLD, None, now=NOW)
    assert told.is_stale
    assert "2 hours ago" in told.why
    assert standing(OLD, Live(sent=9, failed=0), now=NOW).is_stale


def test_failures_are_counted_out() -> None:
    assert standing(GOOD, Live(sent=1_200, failed=60), now=NOW).state == "healthy"
    assert standing(GOOD, Live(sent=12, failed=6), now=NOW).why == "6 of the 12 calls of the last 5 minutes failed."


@pytest.mark.parametrize(("check", "is_told"), [(GOOD, True), (BAD, False), (OLD, False), (None, False)])
def test_a_good_check_since_the_last_failure_is_told_beside_it(check: Check | None, *, is_told: bool) -> None:
    live = Live(sent=10, failed=10, failed_at=NOW - timedelta(seconds=41))

    told = standing(check, live, now=NOW)

    since = " A check since the last of them: Connected in 5 ms; 2 models offered."
    assert (told.state, told.why) == (
        "unhealthy",
        f"10 of the 10 calls of the last 5 minutes failed.{since if is_told else ''}",
    )
    assert "since" not in standing(GOOD, Live(sent=10, failed=10, failed_at=NOW), now=NOW).why
