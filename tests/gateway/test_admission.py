"""What a call's admission has counted by an estimate, when all of its dispatches have ended."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest

from core.ids import uuid7
from gateway import settlement
from gateway.admission import Admission, Admissions
from gateway.calls import Call
from gateway.limits import definitions
from gateway.limits.definitions import NO_LIMITS, CallerLimits, LimitSet
from gateway.limits.limiter import Limiter
from gateway.limits.reading import Capacity
from gateway.plans import Plan
from gateway.slots import Slots
from providers.dispatch import Sendable
from tests.gateway.cache_calls import ALICE, call, way
from tests.servers import Servers
from wire import openai_chat
from wire.errors import ApiError

TOKENS = 10_000
PROCESS = UUID(int=1)
PLAN = Plan(way().deployment, Sendable("", bytes, openai_chat), 100, None, ())


class Gate:
    """A limit of alice's alone, and one slot at the one deployment. `asked` are fields of her call's body."""

    def __init__(self, *, redis_url: str = "", workers: int = 1, asked: dict[str, Any] | None = None) -> None:
        limiter = Limiter(redis_url=redis_url, workers=workers, process_id=PROCESS, live=lambda: [PROCESS])
        slots = Slots(most_waiting=1, longest_wait_s=0.01, share=limiter.part_of)
        self.admissions = Admissions(limiter, slots)
        self.limits = LimitSet.of(definitions.limits(f"client:{uuid7()}", "alice", {"tokens_per_minute": TOKENS}))
        alice = msgspec.structs.replace(ALICE, limits=CallerLimits(self.limits))
        self.call: Call = call(caller=alice, asked=asked)

    async def admit(self) -> Admission:
        capacity = Capacity(slots={PLAN.deployment.id: 1})
        admission = await self.admissions.admit(self.call, [PLAN], capacity)
        assert admission is not None
        return admission

    async def dispatch(self, admission: Admission, *, tokens: int, is_final: bool) -> None:
        """One that ends in a record of so many tokens."""
        seat, hold_id = await admission.enter(PLAN, self.call), uuid7()
        seat.bind(hold_id)
        record = settlement.left(self.call)
        self.admissions.settled(
            msgspec.structs.replace(record, id=hold_id, input_tokens=tokens, is_final=is_final, attempt=1)
        )

    async def used(self) -> int:
        """By alice: what the next call is told, but for its own estimate."""
        verdict = await self.admissions.limiter.take(self.limits, (NO_LIMITS,), 0)
        return verdict.states[0]


@pytest.mark.parametrize(
    ("dispatches", "used"),
    [
        ([], 0),
        ([(70, True)], 70),
        ([(0, False), (70, True)], 70),
        ([(30, False), (70, True)], 100),
        # The last attempt was refused by us, so that no record settles the call.
        ([(0, False)], 0),
        ([(30, False)], 30),
    ],
)
def test_what_was_used_takes_the_place_of_the_estimate(dispatches: list[tuple[int, bool]], used: int) -> None:
    async def story() -> None:
        gate = Gate()
        admission = await gate.admit()
        for tokens, is_final in dispatches:
            await gate.dispatch(admission, tokens=tokens, is_final=is_final)
        admission.close()

        assert await gate.used() == used
        assert not gate.admissions.seats
        assert gate.admissions.slots.has_free(PLAN.deployment.id, 1)

    asyncio.run(story())


@pytest.mark.parametrize("used", [2_000, 12_000])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("place", ["memory", "Redis"])
def test_a_bound_beyond_the_whole_limit_hides_nothing(servers: Servers, place: str, workers: int, used: int) -> None:
    """An estimate that is larger than the limit was charged as the limit: the truth takes the place of that."""

    async def story() -> None:
        gate = Gate(
            redis_url=servers.redis.url if place == "Redis" else "", workers=workers, asked={"max_tokens": 64_000}
        )
        await gate.admissions.limiter.start()
        before = await gate.used()
        admission = await gate.admit()
        await gate.dispatch(admission, tokens=used, is_final=True)
        admission.close()
        assert await gate.used() - before == used
        await gate.admissions.limiter.stop()

    asyncio.run(story())


def test_a_caller_who_leaves_after_its_place_was_found_gives_it_back() -> None:
    async def story() -> None:
        gate = Gate()
        admission = await gate.admit()
        (await admission.enter(PLAN, gate.call)).abandon()
        admission.close()

        assert await gate.used() == 0
        assert gate.admissions.slots.has_free(PLAN.deployment.id, 1)

    asyncio.run(story())


def test_the_preferred_is_called_while_it_has_a_slot_free_and_then_the_next() -> None:
    async def story() -> None:
        gate = Gate()
        next_best = msgspec.structs.replace(PLAN, deployment=way(2).deployment)
        capacity = Capacity(slots={PLAN.deployment.id: 1, next_best.deployment.id: 1})
        first, second = [await gate.admissions.admit(gate.call, [PLAN, next_best], capacity) for _ in range(2)]
        assert first
        assert second

        await first.enter(PLAN, gate.call)
        with pytest.raises(ApiError, match="found no place"):
            await second.enter(PLAN, gate.call)

        await second.enter(next_best, gate.call)
        third = await gate.admissions.admit(gate.call, [PLAN, next_best], capacity)
        assert third
        assert third.plans == [PLAN, next_best]
        second.vacate(next_best.deployment.id, 0.1)
        fourth = await gate.admissions.admit(gate.call, [PLAN, next_best], capacity)
        assert fourth
        assert fourth.plans == [next_best, PLAN]

    asyncio.run(story())
