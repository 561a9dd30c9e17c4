"""What processes tell each other, and people, of circuits: how each stands, and how its calls have gone."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import msgspec

from providers.resilience.board import Board
from providers.resilience.breaker import State
from providers.specs import DeploymentSpec

REPORT_LASTS_S = 10.0
UNTRIED_S = 600.0
_WORST_FIRST = ("open", "half_open", "closed")


class Seen(msgspec.Struct, frozen=True):
    """A deployment as one process knows it, or several together.

    `since_at` is in Unix seconds, None where it has always been closed; `reopens_at` too, None where it is not open.
    `failures` are those in a row; `calls` and `failed` those of the provider's monitoring period. `keys_aside`: labels,
    and what the provider answered to them.
    """

    circuit_state: str = "closed"
    since_at: float | None = None
    failures: int = 0
    calls: int = 0
    failed: int = 0
    latency_ms: float | None = None
    keys_aside: dict[str, int] = {}
    reopens_at: float | None = None

    def is_down(self, now: float) -> bool:
        """Not closed, until trials have succeeded. Where no call comes to try it, that is forgotten after a while."""
        if self.circuit_state == "closed":
            return False
        tried_at = self.reopens_at or self.since_at
        return tried_at is None or now < tried_at + UNTRIED_S

    @property
    def success_share(self) -> float | None:
        return 1 - self.failed / self.calls if self.calls else None


class Report(msgspec.Struct, frozen=True):
    """What one process has seen by `told_at`, in Unix seconds."""

    told_at: float
    seen: dict[UUID, Seen]


def seen(board: Board, deployments: Iterable[DeploymentSpec], now: float, wall: float) -> dict[UUID, Seen]:
    """All that `board` knows of those who have been called. `wall` is the time of `now` in Unix seconds."""
    return {each.id: _seen(board, each, now, wall) for each in deployments if each.id in board.circuits}


def _seen(board: Board, deployment: DeploymentSpec, now: float, wall: float) -> Seen:
    circuit = board.circuits[deployment.id]
    breaker, window_s = circuit.breaker, deployment.provider.circuit.window_s
    calls, failed = circuit.figures.calls(now, window_s)
    return Seen(
        circuit_state=breaker.state.value,
        since_at=wall - (now - breaker.since) if breaker.has_changed else None,
        failures=breaker.failures,
        calls=calls,
        failed=failed,
        latency_ms=circuit.figures.latency_ms,
        keys_aside={key.label: aside.status for key, aside in board.keys.asides(deployment, now)},
        reopens_at=wall - (now - breaker.reopens_at) if breaker.state is State.OPEN else None,
    )


def together(found: Iterable[Seen]) -> Seen:
    """Several reports as one: the worst state, all calls, and the mean latency, by calls."""
    listed = list(found)
    if len(listed) == 1:
        return listed[0]
    worst = min((each.circuit_state for each in listed), key=_WORST_FIRST.index, default="closed")
    calls = sum(each.calls for each in listed)
    timed = [(each.latency_ms, each.calls or 1) for each in listed if each.latency_ms is not None]
    weight = sum(share for _, share in timed)
    return Seen(
        circuit_state=worst,
        since_at=min((each.since_at for each in listed if each.since_at and each.circuit_state == worst), default=None),
        failures=max((each.failures for each in listed), default=0),
        calls=calls,
        failed=sum(each.failed for each in listed),
        latency_ms=sum(ms * share for ms, share in timed) / weight if weight else None,
        keys_aside={label: status for each in listed for label, status in each.keys_aside.items()},
        reopens_at=max((each.reopens_at for each in listed if each.reopens_at), default=None),
    )
