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
NEXT_BEST = msgspec.structs.replace(PLAN, deployment=way(2).deployment)


class Gate:
    """A limit of alice's alone, and one slot at the one deployment. `asked` are fields of her call's body."""

    def __init__(
        self,
        *,
        redis_url: str = "",
        workers: int = 1,
        longest_wait_s: float = 0.01,
        asked: dict[str, Any] | None = None,
    ) -> None:
        limiter = Limiter(redis_url=redis_url, workers=workers, process_id=PROCESS, live=lambda: [PROCESS])
        slots = Slots(most_waiting=1, longest_wait_s=longest_wait_s, share=limiter.part_of)
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
        capacity = Capacity(slots={PLAN.deployment.id: 1, NEXT_BEST.deployment.id: 1})
        first, second = [await gate.admissions.admit(gate.call, [PLAN, NEXT_BEST], capacity) for _ in range(2)]
        assert first
        assert second

        await first.enter(PLAN, gate.call)
        with pytest.raises(ApiError, match="found no place"):
            await second.enter(PLAN, gate.call)

        await second.enter(NEXT_BEST, gate.call)
        third = await gate.admissions.admit(gate.call, [PLAN, NEXT_BEST], capacity)
        assert third
        assert third.plans == [PLAN, NEXT_BEST]
        second.vacate(NEXT_BEST.deployment.id, 0.1)
        fourth = await gate.admissions.admit(gate.call, [PLAN, NEXT_BEST], capacity)
        assert fourth
        assert fourth.plans == [NEXT_BEST, PLAN]

    asyncio.run(story())


def test_nobody_waits_for_a_slot_while_another_provider_has_one_free() -> None:
    async def story() -> None:
        gate = Gate(longest_wait_s=60)
        capacity = Capacity(slots={PLAN.deployment.id: 1, NEXT_BEST.deployment.id: 1})
        first, second = [await gate.admissions.admit(gate.call, [PLAN, NEXT_BEST], capacity) for _ in range(2)]
        assert first
        assert second
        await first.enter(PLAN, gate.call)

        async with asyncio.timeout(10):
            with pytest.raises(ApiError, match="found no place"):
                await second.enter(PLAN, gate.call)

    asyncio.run(story())


def test_a_failed_dispatch_frees_its_slot_at_once_and_only_its_own() -> None:
    """Its record comes later, when another call may have that slot."""

    async def story() -> None:
        gate = Gate()
        failing, other = await gate.admit(), await gate.admit()
        seat, hold_id = await failing.enter(PLAN, gate.call), uuid7()
        seat.bind(hold_id)

        failing.leave(hold_id)
        await other.enter(PLAN, gate.call)
        gate.admissions.settled(msgspec.structs.replace(settlement.left(gate.call), id=hold_id, is_final=False))

        assert not gate.admissions.slots.has_free(PLAN.deployment.id, 1)

    asyncio.run(story())


def _bounded(*plans: Plan, most: int = 1) -> Capacity:
    """So many calls a minute at each of their deployments."""
    return Capacity(
        limits={
            plan.deployment.id: LimitSet.of(
                definitions.limits(f"deployment:{uuid7()}", plan.deployment.name, {"requests_per_minute": most})
            )
            for plan in plans
        }
    )


def test_what_nobody_has_used_of_a_providers_limit_is_given_back() -> None:
    """As where an equal call's answer was told, or the caller left the queue."""

    async def story() -> None:
        gate, capacity = Gate(), _bounded(PLAN)
        for _ in range(3):
            admission = await gate.admissions.admit(gate.call, [PLAN], capacity)
            assert admission
            admission.close()
        for _ in range(3):
            admission = await gate.admissions.admit(gate.call, [PLAN], capacity)
            assert admission
            (await admission.enter(PLAN, gate.call)).abandon()
            admission.close()

        admission = await gate.admissions.admit(gate.call, [PLAN], capacity)
        assert admission
        await admission.enter(PLAN, gate.call)
        admission.close()
        with pytest.raises(ApiError) as refused:
            await gate.admissions.admit(gate.call, [PLAN], capacity)
        assert refused.value.status == 429

    asyncio.run(story())


def test_a_provider_at_its_limit_is_passed_over_for_one_that_nothing_limits() -> None:
    async def story() -> None:
        gate, capacity = Gate(), _bounded(PLAN)
        admissions = [await gate.admissions.admit(gate.call, [PLAN, NEXT_BEST], capacity) for _ in range(3)]

        assert [admission and admission.plans[0] for admission in admissions] == [PLAN, NEXT_BEST, NEXT_BEST]

    asyncio.run(story())


def test_a_dispatch_at_another_provider_counts_by_that_ones_limit() -> None:
    async def story() -> None:
        gate, capacity = Gate(), _bounded(PLAN, NEXT_BEST, most=2)
        for tried in ([PLAN, NEXT_BEST], [NEXT_BEST, PLAN]):  # the second where the circuit of the first is open
            admission = await gate.admissions.admit(gate.call, [PLAN, NEXT_BEST], capacity)
            assert admission
            for plan in tried:
                await admission.enter(plan, gate.call)

        with pytest.raises(ApiError) as refused:
            await gate.admissions.admit(gate.call, [NEXT_BEST], capacity)
        assert refused.value.status == 429

    asyncio.run(story())
