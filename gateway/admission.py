"""Whether a call may be made, and which deployment has room for it: rate limits, then slots.

A call's limits and those of its candidates are decided together, once, before anything else is done for it but a look
for a kept answer. What was counted beyond the truth is given back, what was used beyond the estimate is charged, when
its records are written.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import UUID

from gateway.calls import Call
from gateway.http import Headers
from gateway.limits.charge import Charge
from gateway.limits.definitions import NO_LIMITS, LimitSet
from gateway.limits.limiter import Limiter
from gateway.limits.reading import Capacity
from gateway.limits.verdict import Verdict, headers
from gateway.plans import Plan
from gateway.slots import QueueFullError, Slots
from providers.resilience.outlook import ASSUMED_OUTPUT_TOKENS
from usage import estimates
from usage.rows import RecordRow
from wire.dialect import Envelope
from wire.errors import ApiError, Code


class Admissions:
    """One per process, on its event loop."""

    def __init__(self, limiter: Limiter, slots: Slots) -> None:
        self.limiter = limiter
        self.slots = slots
        self.seats: dict[UUID, Seat] = {}  # of the dispatches under way, by their hold

    async def admit(self, call: Call, plans: list[Plan], capacity: Capacity) -> Admission | None:
        """None: nothing limits it. Raises `ApiError` RATE_LIMITED."""
        caller = call.caller.limits.at(call.path, call.surface)
        if not (caller.limits or capacity.limits or capacity.slots):
            return None
        ordered, candidates = plans, [NO_LIMITS]
        if capacity.slots:
            ordered = sorted(plans, key=lambda plan: not self.has_free_slot(plan, capacity))
        if capacity.limits:
            candidates = [capacity.limits.get(plan.deployment.id, NO_LIMITS) for plan in ordered]
        tokens = _likely_tokens(call.envelope)
        verdict = await self.take(caller, _as_far_as_needed(candidates), tokens, call.told)
        first = ordered[verdict.chosen]
        if first is not plans[0]:
            # Whoever had a free slot a moment ago may have none now: the others keep their order, as they were planned.
            plans = [first, *(plan for plan in plans if plan is not first)]
        return Admission(
            self,
            capacity,
            plans,
            charge=Charge(self.limiter, caller, tokens, verdict),
            first=Charge(self.limiter, candidates[verdict.chosen], tokens, verdict),
            tokens=tokens,
        )

    async def count(self, call: Call) -> None:
        """A call that needs no provider, and no tokens. Raises `ApiError` RATE_LIMITED."""
        await self.take(call.caller.limits.at(call.path, call.surface), (), 0, call.told)

    async def take(self, caller: LimitSet, candidates: Sequence[LimitSet], tokens: int, told: Headers) -> Verdict:
        """Count a call, or raise `ApiError` RATE_LIMITED. `told` receives what its answer says of the limits."""
        if not caller and not any(candidates):
            return Verdict(0, 0)
        verdict = await self.limiter.take(caller, candidates, tokens)
        if caller:
            told += headers(caller, verdict)
        if (refusal := verdict.refusal()) is not None:
            raise refusal
        return verdict

    def has_free_slot(self, plan: Plan, capacity: Capacity) -> bool:
        most = capacity.slots.get(plan.deployment.id)
        return most is None or self.slots.has_free(plan.deployment.id, most)

    def settled(self, record: RecordRow) -> None:
        """A dispatch has ended as its record says."""
        if self.seats and (seat := self.seats.pop(record.id, None)) is not None:
            seat.settle(record.input_tokens + record.output_tokens, is_final=record.is_final)


class Admission:
    """A call that may be made, to `plans` in this order. `close` when nothing more will be tried."""

    def __init__(
        self,
        admissions: Admissions,
        capacity: Capacity,
        plans: list[Plan],
        *,
        charge: Charge,
        first: Charge,
        tokens: int,
    ) -> None:
        self.plans = plans
        self.charge = charge
        self.seated = 0  # dispatches that are under way or about to be, and the final one: its record settles the call
        self._admissions = admissions
        self._capacity = capacity
        self._first: Charge | None = first  # of the first of the plans, until it is entered
        self._tokens = tokens
        self._entered: set[UUID] = set()

    async def enter(self, plan: Plan, call: Call) -> Seat:
        """Room for a dispatch of `call`. Raises `ApiError` RATE_LIMITED or QUEUE_FULL, `CallerLeftError`."""
        if plan is self.plans[0] and self._first is not None:
            seat, self._first = Seat(self, self._first), None  # it was counted with the caller
        else:
            seat = Seat(self, await self._counted(plan))
        if self._capacity.slots:
            self._entered.add(plan.deployment.id)
            try:
                await self._find_slot(seat, plan, call)
            except BaseException:  # a caller who leaves the queue too
                seat.charge.give_back()
                raise
        self.seated += 1
        return seat

    def close(self) -> None:
        """Give back what nobody has used."""
        if self._first is not None:
            self._first.give_back()
            self._first = None
        if not self.seated:
            self.charge.settle(0)

    def leave(self, hold_id: UUID) -> None:
        """The dispatch has failed. Its record comes later: its slot is free now."""
        if (seat := self._admissions.seats.get(hold_id)) is not None:
            seat.leave()

    def bind(self, seat: Seat, hold_id: UUID) -> None:
        self._admissions.seats[hold_id] = seat

    def vacate(self, deployment_id: UUID, after_s: float) -> None:
        self._admissions.slots.leave(deployment_id, after_s=after_s)

    async def _counted(self, plan: Plan) -> Charge:
        """By its deployment's limits."""
        limits = self._capacity.limits.get(plan.deployment.id, NO_LIMITS)
        verdict = await self._admissions.take(NO_LIMITS, (limits,), self._tokens, [])
        return Charge(self._admissions.limiter, limits, self._tokens, verdict)

    async def _find_slot(self, seat: Seat, plan: Plan, call: Call) -> None:
        """Nobody waits here while another that is yet to be tried has a slot free."""
        deployment_id, slots = plan.deployment.id, self._admissions.slots
        most = self._capacity.slots.get(deployment_id)
        if most is None:
            return
        untried = [each for each in self.plans if each.deployment.id not in self._entered]
        try:
            if not slots.try_enter(deployment_id, most):
                if any(self._admissions.has_free_slot(each, self._capacity) for each in untried):
                    raise slots.full(deployment_id)
                gone = call.watch() if call.watch else None
                await slots.enter(deployment_id, most, priority=call.priority, limit_s=call.left_s, gone=gone)
        except QueueFullError as error:
            raise ApiError(
                Code.QUEUE_FULL,
                f"'{plan.deployment.name}' answers as many calls as it may, and this one found no place in time.",
                retry_after_s=error.retry_after_s,
            ) from error
        seat.occupy(deployment_id)


class Seat:
    """What one dispatch takes of its deployment."""

    __slots__ = ("_admission", "_occupied", "charge")

    def __init__(self, admission: Admission, charge: Charge) -> None:
        self.charge = charge
        self._admission = admission
        self._occupied: tuple[UUID, float] | None = None  # whose slot, and since when

    def occupy(self, deployment_id: UUID) -> None:
        self._occupied = (deployment_id, time.perf_counter())

    def bind(self, hold_id: UUID) -> None:
        """From now on the record of this hold settles it."""
        self._admission.bind(self, hold_id)

    def leave(self) -> None:
        """The provider is done with it: the slot is another's."""
        if self._occupied is not None:
            deployment_id, since = self._occupied
            self._occupied = None
            self._admission.vacate(deployment_id, time.perf_counter() - since)

    def abandon(self) -> None:
        """Nothing was sent."""
        self.leave()
        self.charge.give_back()
        self._admission.seated -= 1

    def settle(self, tokens: int, *, is_final: bool) -> None:
        self.leave()
        self.charge.settle(tokens)
        if is_final:
            self._admission.charge.settle(tokens)
        else:
            self._admission.charge.add(tokens)
            self._admission.seated -= 1


def _as_far_as_needed(candidates: list[LimitSet]) -> list[LimitSet]:
    """The first that nothing limits takes whatever comes to it."""
    for number, candidate in enumerate(candidates):
        if not candidate:
            return candidates[: number + 1]
    return candidates


def _likely_tokens(envelope: Envelope) -> int:
    bound = envelope.max_output_tokens
    output_tokens = ASSUMED_OUTPUT_TOKENS if bound is None else bound
    return estimates.likely_tokens(envelope.input_bytes) + output_tokens * envelope.choices
