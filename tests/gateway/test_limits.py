"""Limits as they are counted in one process: on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.definitions import CallerLimits, Limit, LimitSet, Share, TierLimits, caller_limits, limits
from gateway.limits.local import Correction, LocalCounters
from gateway.limits.verdict import CALLER_REFUSED, NO_CANDIDATE, headers
from gateway.limits.windows import BUCKETS, Window

NOW_MS = 1_800_000_000_000
MINUTE_MS = 60_000


def a_limit(most: int, *, name: str = "alice", tokens: bool = False, window_s: int = 60) -> Limit:
    return Limit(key=f"{name}:{tokens}:{window_s}", tokens=tokens, most=most, window_s=window_s, whose=f"client {name}")


def a_set(*chosen: Limit) -> LimitSet:
    return LimitSet.of(chosen)


steps = st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 30)), max_size=80)


@given(steps, st.integers(1, 60), st.sampled_from([1, 7, 60]))
def test_no_window_ever_holds_more_than_its_limit(steps: list[tuple[int, int]], most: int, window_s: int) -> None:
    window, now_ms, taken = Window(window_s), NOW_MS, list[tuple[int, int]]()
    for pause_ms, amount in steps:
        now_ms += pause_ms * window_s // 60
        window.forget(now_ms)
        if window.wait_ms(amount, most, now_ms) == 0:
            window.add(amount, now_ms)
            taken.append((now_ms, amount))
        in_window = sum(amount for at_ms, amount in taken if at_ms > now_ms - window_s * 1000)
        assert in_window <= most


@given(steps, st.integers(1, 60))
def test_whoever_waits_as_long_as_told_is_let_in_and_no_sooner(steps: list[tuple[int, int]], most: int) -> None:
    window, now_ms = Window(60), NOW_MS
    for pause_ms, amount in steps:
        now_ms += pause_ms
        window.forget(now_ms)
        wait_ms = window.wait_ms(amount, most, now_ms)
        if wait_ms == 0:
            window.add(amount, now_ms)
        elif amount <= most:
            assert 0 < wait_ms <= MINUTE_MS + MINUTE_MS // BUCKETS
            window.forget(now_ms + wait_ms - 1)
            assert window.wait_ms(amount, most, now_ms + wait_ms - 1) > 0
            now_ms += wait_ms
            window.forget(now_ms)
            assert window.wait_ms(amount, most, now_ms) == 0


def test_what_was_used_comes_back_a_window_later() -> None:
    counters, alice = LocalCounters(), a_set(a_limit(3))
    assert [counters.take(alice, [], 1, NOW_MS).chosen for _ in range(4)] == [0, 0, 0, CALLER_REFUSED]

    refused = counters.take(alice, [], 1, NOW_MS + 1_000)
    assert refused.refused_by == a_limit(3)
    assert MINUTE_MS - 1_000 <= refused.wait_ms <= MINUTE_MS - 1_000 + MINUTE_MS // BUCKETS

    assert counters.take(alice, [], 1, NOW_MS + 1_000 + refused.wait_ms).chosen == 0


def test_all_is_taken_or_nothing() -> None:
    counters = LocalCounters()
    alice = a_set(a_limit(5), a_limit(100, tokens=True))
    assert counters.take(alice, [], 90, NOW_MS).chosen == 0
    assert counters.take(alice, [], 90, NOW_MS).refused_by == a_limit(100, tokens=True)

    verdict = counters.take(alice, [], 10, NOW_MS)

    assert verdict.chosen == 0
    assert list(verdict.states[::2]) == [2, 100]


def test_a_call_larger_than_the_limit_is_made_when_nothing_else_is() -> None:
    counters, alice = LocalCounters(), a_set(a_limit(100, tokens=True))
    assert counters.take(alice, [], 5_000, NOW_MS).chosen == 0
    assert counters.take(alice, [], 1, NOW_MS).chosen == CALLER_REFUSED


def test_a_call_without_tokens_is_no_matter_of_limits_of_tokens() -> None:
    counters, alice = LocalCounters(), a_set(a_limit(3), a_limit(100, tokens=True))
    assert counters.take(alice, [], 100, NOW_MS).chosen == 0
    counters.correct([Correction(a_limit(100, tokens=True), 50, NOW_MS)])

    verdicts = [counters.take(alice, [], 0, NOW_MS) for _ in range(3)]

    assert [verdict.chosen for verdict in verdicts] == [0, 0, CALLER_REFUSED]
    assert list(verdicts[1].states[::2]) == [3, 150]


def test_the_first_candidate_with_room_is_chosen_and_counted_alone() -> None:
    counters = LocalCounters()
    small, large = a_set(a_limit(1, name="small")), a_set(a_limit(2, name="large"))

    verdicts = [counters.take(a_set(a_limit(9)), [small, large], 1, NOW_MS) for _ in range(4)]

    assert [verdict.chosen for verdict in verdicts] == [0, 1, 1, NO_CANDIDATE]
    assert list(verdicts[-1].states[::2]) == [3], "a call that nobody can take costs its caller nothing"


def test_the_refusal_names_the_limit_and_the_wait() -> None:
    counters, alice = LocalCounters(), a_set(a_limit(1, window_s=3600))
    counters.take(alice, [], 1, NOW_MS)

    error = counters.take(alice, [], 1, NOW_MS).refusal()

    assert error is not None
    assert error.status == 429
    assert error.message.startswith("The limit of 1 call an hour for client alice is reached. Try again in 36")
    assert error.retry_after_s is not None
    assert 3_600 <= error.retry_after_s <= 3_600 * (1 + 1 / BUCKETS)


def test_a_correction_gives_back_what_was_not_used_and_takes_what_was() -> None:
    counters, limit = LocalCounters(), a_limit(100, tokens=True)
    alice = a_set(limit)
    assert counters.take(alice, [], 80, NOW_MS).chosen == 0
    assert counters.take(alice, [], 80, NOW_MS).chosen == CALLER_REFUSED

    counters.correct([Correction(limit, -60, NOW_MS)])
    assert counters.take(alice, [], 80, NOW_MS).chosen == 0

    counters.correct([Correction(limit, 200, NOW_MS)])
    assert counters.take(alice, [], 1, NOW_MS).chosen == CALLER_REFUSED
    counters.correct([Correction(limit, -10_000, NOW_MS)])
    assert list(counters.take(alice, [], 5, NOW_MS).states[::2]) == [5], "never below nothing"


@given(st.integers(1, 500), st.integers(1, 40))
def test_the_shares_of_all_processes_are_the_limit(most: int, processes: int) -> None:
    assert sum(Share(rank, processes).of(most) for rank in range(processes)) == most


@given(
    st.integers(1, 40),
    st.integers(1, 6),
    st.lists(st.integers(0, 40), max_size=40),
    st.lists(st.integers(0, 5), max_size=80),
)
def test_processes_that_lose_redis_let_no_more_through_together(
    most: int, processes: int, before: list[int], after: list[int]
) -> None:
    """All had heard how much was used; from then on each goes by its share of what is left."""
    limit, used = a_limit(most), min(len(before), most)
    alone = [LocalCounters() for _ in range(processes)]
    for rank, counters in enumerate(alone):
        counters.share = Share(rank, processes)
        counters.note(a_set(limit), [used, 0], 1, NOW_MS, taken=False)

    taken = sum(alone[turn % processes].take(a_set(limit), [], 1, NOW_MS + 5).chosen == 0 for turn in after)

    assert used + taken <= most


def test_what_was_counted_without_redis_is_told_once() -> None:
    counters, limit = LocalCounters(), a_limit(10)
    counters.take(a_set(limit), [], 1, NOW_MS)
    counters.take(a_set(limit), [], 1, NOW_MS)

    told = counters.unsent(NOW_MS)

    assert [(each.limit, each.amount) for each in told] == [(limit, 2)]
    assert counters.unsent(NOW_MS) == []


def test_counters_that_count_nothing_are_let_go() -> None:
    counters = LocalCounters()
    for number in range(100):
        counters.take(a_set(a_limit(10, name=str(number))), [], 1, NOW_MS)
    list(counters.tidy(NOW_MS + 2 * MINUTE_MS))
    assert not counters._windows
    assert not counters._unsent
    assert not counters._own


def test_very_many_counters_are_looked_at_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.limits.local.MOST_TIDIED", 10)
    counters, late_ms = LocalCounters(), NOW_MS + 2 * MINUTE_MS
    for number in range(25):
        counters.note(a_set(a_limit(1, name=str(number))), [1, 0], 1, NOW_MS, taken=True)
    left = []
    for _ in counters.tidy(late_ms):
        left.append((len(counters._seen), len(counters._own)))
        counters.note(a_set(a_limit(9, name="still calling")), [1, 0], 1, late_ms, taken=True)
    assert left == [(15, 25), (6, 26), (1, 26), (1, 16), (1, 6), (1, 1)]


def test_there_are_never_more_counters_than_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.limits.local.MOST_COUNTERS", 10)
    counters = LocalCounters()
    for number in range(30):
        each = a_set(a_limit(1, name=str(number)))
        counters.note(each, [1, 0], 1, NOW_MS, taken=False)
        assert counters.take(a_set(a_limit(2, name=f"other {number}")), [], 1, NOW_MS).chosen == 0
    assert [len(each) for each in (counters._own, counters._unsent, counters._windows, counters._seen)] == [10] * 4


def test_of_a_keys_own_limit_and_its_tiers_the_tighter_holds() -> None:
    numbers = {"requests_per_minute": 10, "requests_per_hour": None, "tokens_per_minute": 500}
    tier = TierLimits("basic", {**numbers, "requests_per_minute": 20}, {"/v1/llm/generate": {"requests_per_minute": 2}})
    own = limits("key:1", "the key k", numbers)

    everywhere, by_endpoint = tier.of("key:1")
    all_of_them = caller_limits([*own, *everywhere], by_endpoint)

    assert [(each.most, each.whose) for each in all_of_them.everywhere.limits] == [
        (10, "the key k"),
        (500, "the key k"),
    ]
    at_generate = all_of_them.at("/v1/llm/generate", "spec_e.generate").limits
    assert [each.most for each in at_generate] == [10, 500, 2]
    assert all_of_them.at("/v1/chat/completions", "openai.chat") is all_of_them.everywhere


def test_an_endpoint_may_be_a_path_or_the_name_of_a_door() -> None:
    one = limits("key:1:x", "the tier t", {"requests_per_minute": 1})
    found = caller_limits([], {"openai.chat": one})
    assert found.at("/v1/chat/completions", "openai.chat").limits == tuple(one)
    assert not found.at("/v1/messages", "anthropic")


@pytest.mark.parametrize("limited", ["/api/ai-providers/complete", "/api/ai-providers/complete/"])
def test_a_slash_at_the_end_of_a_path_gets_nobody_past_its_limit(limited: str) -> None:
    tier = TierLimits("basic", {}, {limited: {"requests_per_minute": 1}})
    found = caller_limits([], tier.of("key:1")[1])

    at_either = [found.at(f"/api/ai-providers/complete{end}", "spec_d") for end in ("", "/")]

    assert [each.most for either in at_either for each in either.limits] == [1, 1]


def test_without_limits_nothing_is_made() -> None:
    assert caller_limits([], {}) == CallerLimits()
    assert headers(LimitSet(), LocalCounters().take(LimitSet(), [], 1, NOW_MS)) == []


def _told(chosen: Sequence[Limit], tokens: int) -> dict[str, str]:
    caller = a_set(*chosen)
    return {
        name.decode(): value.decode()
        for name, value in headers(caller, LocalCounters().take(caller, [], tokens, NOW_MS))
    }


def test_the_headers_tell_of_the_tightest_limit_and_of_each_kind() -> None:
    told = _told([a_limit(10), a_limit(1000, window_s=3600), a_limit(100, tokens=True)], tokens=70)
    assert (told["x-ratelimit-limit"], told["x-ratelimit-remaining"]) == ("100", "30")
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("10", "9")
    assert (told["x-ratelimit-limit-tokens"], told["x-ratelimit-remaining-tokens"]) == ("100", "30")
    assert told["x-ratelimit-reset-requests"] in ("1m1s", "1m2s")
    assert int(told["x-ratelimit-reset"]) in (61, 62)
