"""Which key takes the next call: turns, waits, and what is put aside."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.vault import Secret
from providers.resilience.credentials import MOST_COOLING_S, RETRIAL_S, Chosen, Keys, NoneReady
from providers.specs import CredentialSpec, DeploymentSpec
from tests.providers.topologies import deployment, key

A, B = key("a"), key("b")
MODEL = deployment("acme", "big", keys=(A, B))
OTHER = deployment("acme", "small", keys=(A, B))


def label(keys: Keys, where: DeploymentSpec, now: float) -> str | None:
    chosen = keys.choose(where, now)
    return chosen.credential.label if isinstance(chosen, Chosen) and chosen.credential else None


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_keys_take_turns_by_weight(weights: list[int]) -> None:
    keys = Keys()
    spec = deployment("acme", keys=tuple(key(f"k{n}", weight=weight) for n, weight in enumerate(weights)))

    taken = Counter(label(keys, spec, 0) for _ in range(3 * sum(weights)))

    assert taken == {f"k{n}": 3 * weight for n, weight in enumerate(weights)}


def test_a_provider_without_keys_needs_none() -> None:
    assert Keys().choose(deployment("demo"), 0) == Chosen(None)


def test_a_limited_key_waits_as_long_as_it_was_told() -> None:
    keys = Keys()
    keys.limited(A, MODEL, 7, 0)

    assert {label(keys, MODEL, now) for now in (0, 3, 6.9)} == {"b"}
    assert {label(keys, MODEL, 7.1) for _ in range(4)} == {"a", "b"}
    assert {label(keys, OTHER, 0) for _ in range(4)} == {"a", "b"}  # limits are by model


def test_when_all_are_limited_the_soonest_is_waited_for() -> None:
    keys = Keys()
    keys.limited(A, MODEL, 7, 0)
    keys.limited(B, MODEL, 4, 0)

    assert keys.choose(MODEL, 1) == NoneReady(3, None)
    assert keys.ready_in_s(MODEL, 1) == 3


def test_who_says_nothing_of_when_is_left_alone_longer_each_time() -> None:
    keys, now, waits = Keys(), 0.0, []
    for _ in range(7):
        keys.limited(A, MODEL, None, now)
        keys.limited(B, MODEL, None, now)
        waits.append(keys.ready_in_s(MODEL, now))
        now += waits[-1]

    assert waits == [1, 2, 4, 8, 16, 30, 30]
    keys.accepted(A, MODEL)
    for each in (A, B):
        keys.limited(each, MODEL, None, now)
    assert keys.ready_in_s(MODEL, now) == 1


def test_an_absurd_wait_is_bounded() -> None:
    keys = Keys()
    for each in (A, B):
        keys.limited(each, MODEL, 86_400, 0)

    assert keys.ready_in_s(MODEL, 0) == MOST_COOLING_S


def test_a_second_429_in_the_same_wait_is_no_news() -> None:
    keys = Keys()

    assert keys.limited(A, MODEL, 7, 0)
    assert not keys.limited(A, MODEL, 7, 1)
    assert keys.limited(A, MODEL, 7, 7.5)


@pytest.mark.parametrize(("status", "elsewhere"), [(401, {"b"}), (402, {"b"}), (403, {"a", "b"})])
def test_a_refused_key_is_put_aside(status: int, elsewhere: set[str]) -> None:
    """403 often means one model."""
    keys = Keys()
    keys.refused(A, MODEL, status, 0)

    assert {label(keys, MODEL, 1) for _ in range(4)} == {"b"}
    assert {label(keys, OTHER, 1) for _ in range(4)} == elsewhere


def test_one_call_a_minute_looks_whether_a_refused_key_is_taken_again() -> None:
    keys = Keys()
    keys.refused(A, MODEL, 401, 0)

    later = [label(keys, MODEL, RETRIAL_S + 1) for _ in range(6)]

    assert later.count("a") == 1
    assert "a" in [label(keys, MODEL, 2 * RETRIAL_S + 2) for _ in range(2)]


@pytest.mark.parametrize("status", [401, 403])
def test_one_that_is_taken_again_takes_its_turns(status: int) -> None:
    keys = Keys()
    keys.refused(A, MODEL, status, 0)
    keys.accepted(A, MODEL)

    assert {label(keys, MODEL, 1) for _ in range(4)} == {"a", "b"}


def test_that_a_changed_key_is_limited_is_news() -> None:
    keys = Keys()
    keys.limited(A, MODEL, 7, 0)

    assert keys.limited(CredentialSpec(A.id, A.label, Secret("sk-new")), MODEL, 7, 1)


def test_a_key_that_was_changed_is_another_key() -> None:
    keys = Keys()
    keys.refused(A, MODEL, 401, 0)
    mended = CredentialSpec(A.id, A.label, Secret("sk-new"))

    assert label(keys, deployment("acme", "big", keys=(mended,)), 1) == "a"


def test_where_all_are_refused_one_is_there_as_a_last_resort() -> None:
    keys = Keys()
    keys.refused(A, MODEL, 401, 0)
    keys.refused(B, MODEL, 401, 0)

    assert keys.choose(MODEL, 10) == NoneReady(50, A)


def test_forgiven_keys_are_used_at_once() -> None:
    keys = Keys()
    keys.refused(A, MODEL, 401, 0)
    keys.limited(B, MODEL, 60, 0)

    keys.forgive((A, B))

    assert {label(keys, MODEL, 1) for _ in range(4)} == {"a", "b"}
