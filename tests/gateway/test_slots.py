"""Slots and their waiting room: who gets in, who waits, and who is sent away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.slots import Priority, QueueFullError, Slots
from tests.servers import PATIENCE_S

MODEL = UUID(int=1)


def slots(*, most_waiting: int = 10, longest_wait_s: float = 30, parts: int = 1) -> Slots:
    return Slots(most_waiting=most_waiting, longest_wait_s=longest_wait_s, share=lambda most: most // parts)


async def enter(
    room: Slots, priority: Priority = Priority.NORMAL, *, most: int = 1, limit_s: float | None = None
) -> None:
    await room.enter(MODEL, most, priority=priority, limit_s=limit_s)


def leave(room: Slots) -> None:
    room.leave(MODEL, after_s=0.1)


async def soon() -> None:
    """Let whoever can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def waiting(room: Slots, served: list[Any], name: Any, priority: Priority = Priority.NORMAL) -> asyncio.Task[None]:
    async def wait() -> None:
        await enter(room, priority)
        served.append(name)

    return asyncio.create_task(wait())


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await story()

    asyncio.run(bounded())


def test_free_slots_cost_no_wait() -> None:
    async def story() -> None:
        room = slots()
        await enter(room, most=2)
        await enter(room, most=2)
        assert not room.try_enter(MODEL, 2)
        leave(room)
        assert room.try_enter(MODEL, 2)

    run(story)


def test_the_most_urgent_are_served_first_and_equals_in_turn() -> None:
    async def story() -> None:
        room, served = slots(), list[str]()
        await enter(room)
        come = [("low 1", Priority.LOW), ("normal 1", Priority.NORMAL), ("high 1", Priority.HIGH)]
        come += [("normal 2", Priority.NORMAL), ("high 2", Priority.HIGH), ("low 2", Priority.LOW)]
        for name, priority in come:
            waiting(room, served, name, priority)
            await soon()
        for _ in come:
            leave(room)
            await soon()
        assert served == ["high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"]

    run(story)


def test_nobody_who_comes_overtakes_one_who_was_just_served() -> None:
    async def story() -> None:
        room, served = slots(), list[str]()
        await enter(room)
        waiting(room, served, "waited")
        await soon()
        leave(room)
        assert not room.try_enter(MODEL, 1), "the slot is taken before its taker has woken up"
        await soon()
        assert served == ["waited"]

    run(story)


def test_whoever_gives_up_leaves_at_once_and_the_next_is_served() -> None:
    async def story() -> None:
        room, served = slots(most_waiting=2), list[str]()
        await enter(room)
        first = waiting(room, served, "first")
        waiting(room, served, "second")
        await soon()
        first.cancel()
        await soon()
        waiting(room, served, "third")  # there is room again
        await soon()
        leave(room)
        await soon()
        leave(room)
        await soon()
        assert served == ["second", "third"]

    run(story)


def test_a_slot_found_in_the_moment_of_giving_up_is_passed_on() -> None:
    async def story() -> None:
        room, served = slots(), list[str]()
        await enter(room)
        first, *_ = [waiting(room, served, name) for name in ("first", "second", "third")]
        await soon()
        leave(room)  # it is the first one's now
        first.cancel()  # who does not know yet
        await soon()
        assert served == ["second"]

    run(story)


def test_a_full_room_sends_newcomers_away_and_says_when_to_come_again() -> None:
    async def story() -> None:
        room, served = slots(most_waiting=2), list[str]()
        await enter(room)
        for name in ("first", "second"):
            waiting(room, served, name)
        await soon()
        with pytest.raises(QueueFullError) as refused:
            await enter(room)
        assert 1 <= refused.value.retry_after_s <= 60

    run(story)


def test_in_a_full_room_the_urgent_take_the_place_of_the_last_of_the_least_urgent() -> None:
    async def story() -> None:
        room, served = slots(most_waiting=3), list[str]()
        await enter(room)
        waiting(room, served, "low 1", Priority.LOW)
        await soon()
        last = waiting(room, served, "low 2", Priority.LOW)
        await soon()
        waiting(room, served, "normal")
        await soon()
        waiting(room, served, "high", Priority.HIGH)
        await soon()
        assert isinstance(last.exception(), QueueFullError)
        for _ in range(3):
            leave(room)
            await soon()
        assert served == ["high", "normal", "low 1"]

    run(story)


@pytest.mark.parametrize(("longest_wait_s", "limit_s"), [(0.05, None), (0.05, 30.0), (30.0, 0.05)])
def test_nobody_waits_beyond_the_bound_or_the_calls_own_deadline(longest_wait_s: float, limit_s: float | None) -> None:
    async def story() -> None:
        room = slots(longest_wait_s=longest_wait_s)
        await enter(room)
        with pytest.raises(QueueFullError):
            await enter(room, limit_s=limit_s)
        leave(room)
        assert room.try_enter(MODEL, 1), "the one who gave up takes no slot"

    run(story)


def test_a_process_answers_for_its_part_but_for_one_at_least() -> None:
    async def story() -> None:
        assert [slots(parts=4).try_enter(MODEL, most) for most in (8, 3)] == [True, True]
        room = slots(parts=4)
        assert [room.try_enter(MODEL, 8) for _ in range(3)] == [True, True, False]
        assert [room.try_enter(UUID(int=2), 3) for _ in range(2)] == [True, False]

    run(story)


def test_a_raised_bound_lets_those_in_who_wait() -> None:
    async def story() -> None:
        room, served = slots(), list[str]()
        await enter(room)
        waiting(room, served, "waited")
        await soon()
        assert room.try_enter(MODEL, 3), "one for who waited, one for who comes"
        await soon()
        assert served == ["waited"]

    run(story)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["come", "leave", "give up"]), max_size=60), st.integers(1, 3))
def test_there_are_never_more_under_way_than_slots_and_none_is_lost(acts: list[str], most: int) -> None:
    async def story() -> None:
        room, tasks, under_way = slots(most_waiting=1_000), list[asyncio.Task[None]](), [0]

        async def come() -> None:
            await enter(room, most=most)
            under_way[0] += 1

        for act in acts:
            if act == "come":
                tasks.append(asyncio.create_task(come()))
            elif act == "leave" and under_way[0]:
                under_way[0] -= 1
                leave(room)
            elif act == "give up" and tasks:
                tasks.pop().cancel()
            await soon()
            assert under_way[0] <= most
        for task in tasks:
            task.cancel()
        await soon()
        while under_way[0]:
            under_way[0] -= 1
            leave(room)
        assert [room.try_enter(MODEL, most) for _ in range(most + 1)] == [True] * most + [False]

    run(story)
