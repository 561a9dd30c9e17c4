"""What a process knows of every deployment: its circuit, its figures, its keys, and what may be retried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from random import Random
from uuid import UUID

import msgspec

from providers.errors import CredentialRefusedError, ProviderFailureError, RateLimitedError
from providers.resilience.breaker import EARLY_SHARE, Breaker, Permit, State
from providers.resilience.credentials import Keys, NoneReady
from providers.resilience.figures import Figures
from providers.resilience.retry import RetryBudget
from providers.specs import CredentialSpec, DeploymentSpec, ProviderSpec

_MOSTLY = 0.5
_OVERDUE_S = 5.0


class Pass(msgspec.Struct, frozen=True):
    """Leave to call a deployment once, with a key. How it went is told to the board, once."""

    deployment: DeploymentSpec
    credential: CredentialSpec | None
    permit: Permit


class Obstacle(msgspec.Struct, frozen=True):
    """Why a deployment takes no call now. `last_resort`: it could, if only with a key that was refused."""

    why: str
    ready_in_s: float
    last_resort: CredentialSpec | None = None


class Change(msgspec.Struct, frozen=True):
    """A circuit has opened, until `until` in the time of `now`, or closed. `forgiven_at`: its last reset by then."""

    state: State
    until: float
    forgiven_at: datetime | None


class Circuit:
    """One deployment's breaker and figures."""

    __slots__ = ("breaker", "figures", "told", "told_until")

    def __init__(self, now: float) -> None:
        self.breaker = Breaker(now)
        self.figures = Figures()
        self.told = State.CLOSED  # what other processes know of it, or have told us
        self.told_until = 0.0  # how long it stays open, as they know

    @property
    def is_news(self) -> bool:
        """Whether it has opened, opened again after a trial, or closed, and nobody else knows."""
        if self.breaker.state is State.OPEN:
            return self.told is not State.OPEN or self.breaker.reopens_at > self.told_until
        return self.breaker.state is State.CLOSED and self.told is not State.CLOSED


class Board:
    """One per process. Not for several threads, but for reading."""

    def __init__(self, rng: Random | None = None) -> None:
        self.rng = rng or Random()  # noqa: S311 - chance spreads load here, it keeps no secret
        self.keys = Keys()
        self.circuits: dict[UUID, Circuit] = {}
        self.claims: set[UUID] | None = None  # whose trials are ours to make; None: nobody else makes any
        self.unhealthy: frozenset[UUID] = frozenset()  # providers whose last probe has failed
        self._wanted: dict[
            UUID, float
        ] = {}  # circuits that calls would have tried, or have, and when the last one came
        self._budgets: dict[UUID, RetryBudget] = {}
        self._turns: dict[str, int] = {}
        self._forgiven: dict[UUID, datetime | None] = {}

    def circuit(self, deployment_id: UUID, now: float) -> Circuit:
        circuit = self.circuits.get(deployment_id)
        if circuit is None:
            circuit = self.circuits[deployment_id] = Circuit(now)
        return circuit

    def seek(
        self, deployment: DeploymentSpec, now: float, *, early: bool = False, any_key: bool = False
    ) -> Pass | Obstacle:
        """Leave to call `deployment`, or what is in the way.

        `early`: an open circuit may be tried before its time; `any_key`: with a key that was refused, if need be.
        """
        breaker = self.circuit(deployment.id, now).breaker
        if breaker.state is not State.CLOSED:
            if breaker.is_due(now, early=early):
                self._wanted[deployment.id] = now
            if not self._may_try(deployment.id, breaker, now, early=early):
                return Obstacle(f"circuit {breaker.state.value}", breaker.ready_in_s(now))
        chosen = self.keys.choose(deployment, now)
        credential = chosen.last_resort if isinstance(chosen, NoneReady) else chosen.credential
        if isinstance(chosen, NoneReady) and not (any_key and credential):
            why = "key refused" if credential else "rate limited"
            return Obstacle(why, chosen.ready_in_s, credential)
        permit = breaker.permit(now, early=early)
        assert permit is not None
        return Pass(deployment, credential, permit)

    def obstacle_s(self, deployment: DeploymentSpec, now: float) -> float:
        """How long until `deployment` may take a call that has nowhere else to go: 0 for now."""
        breaker = self.circuit(deployment.id, now).breaker
        if breaker.state is not State.CLOSED and not self._may_try(deployment.id, breaker, now):
            # Nobody knows how long a trial under way takes: if it fails, this is how long nobody makes another.
            return breaker.ready_in_s(now) or EARLY_SHARE * deployment.provider.circuit.open_s
        return self.keys.ready_in_s(deployment, now)

    def answered(self, leave: Pass, latency_ms: float, now: float) -> None:
        """It answered as it should."""
        circuit, policy = self.circuit(leave.deployment.id, now), leave.deployment.provider.circuit
        circuit.breaker.succeeded(leave.permit, policy, now)
        circuit.figures.succeeded(latency_ms, now, policy.window_s)
        if leave.credential:
            self.keys.accepted(leave.credential, leave.deployment)

    def failed(self, leave: Pass, failure: ProviderFailureError, now: float) -> None:
        """It failed, in whatever way."""
        deployment, credential = leave.deployment, leave.credential
        circuit, policy = self.circuit(deployment.id, now), deployment.provider.circuit
        counts = failure.counts
        if credential and isinstance(failure, CredentialRefusedError):
            self.keys.refused(credential, deployment, failure.status or 401, now)
        elif credential and isinstance(failure, RateLimitedError):
            news = self.keys.limited(credential, deployment, failure.retry_after_s, now)
            counts = news and not self.keys.has_ready(deployment, now)
        if failure.fault not in ("caller", "us"):
            circuit.figures.failed(now, policy.window_s)
        if counts:
            circuit.breaker.failed(leave.permit, policy, now)
        else:
            circuit.breaker.dropped(leave.permit)

    def cut(self, leave: Pass, failure: ProviderFailureError, now: float) -> None:
        """A trial that had begun well, and was told so, has failed after all."""
        permit = Permit(self.circuit(leave.deployment.id, now).breaker.generation, is_trial=False)
        self.failed(msgspec.structs.replace(leave, permit=permit), failure, now)

    def dropped(self, leave: Pass) -> None:
        """The call was not made after all, or the caller left: that says nothing of the provider."""
        if leave.permit.is_trial:
            self.circuits[leave.deployment.id].breaker.dropped(leave.permit)

    def budget(self, provider: ProviderSpec, now: float) -> RetryBudget:
        budget = self._budgets.get(provider.id)
        if budget is None:
            budget = self._budgets[provider.id] = RetryBudget(now)
        return budget

    def turn(self, name: str) -> int:
        """How often the name has been asked for: whose turn it is, where targets take turns."""
        turn = self._turns[name] = self.next_turn(name)
        return turn

    def next_turn(self, name: str) -> int:
        """What `turn` will say."""
        return self._turns.get(name, -1) + 1

    def is_open(self, deployment: DeploymentSpec) -> bool:
        circuit = self.circuits.get(deployment.id)
        return circuit is not None and circuit.breaker.state is not State.CLOSED

    def heed(self, deployments: Iterable[DeploymentSpec], now: float) -> None:
        """Forgive those whose provider somebody has reset since the configuration was last looked at."""
        for deployment in deployments:
            provider = deployment.provider
            before = self._forgiven.get(deployment.id)
            self._forgiven[deployment.id] = provider.forgiven_at
            if provider.forgiven_at != before and deployment.id in self.circuits:
                self.keys.forgive(provider.credentials)
                self.circuits[deployment.id].breaker.close(now)

    def expected_ms(self, deployment: DeploymentSpec, now: float) -> float:
        """How long it may take to answer; 0 where nobody knows."""
        circuit = self.circuits.get(deployment.id)
        return circuit.figures.expected_ms(now) if circuit else 0.0

    def success_share(self, deployment: DeploymentSpec, now: float) -> float | None:
        circuit = self.circuits.get(deployment.id)
        return circuit.figures.success_share(now, deployment.provider.circuit.window_s) if circuit else None

    def is_healthy(self, deployment: DeploymentSpec, now: float) -> bool:
        """By what live calls have met; where there were none of late, by what the last probe found.

        Who is due for a trial is well enough to be given one, whichever process makes it.
        """
        circuit = self.circuits.get(deployment.id)
        if circuit is not None and circuit.breaker.state is not State.CLOSED:
            return circuit.breaker.is_due(now)
        share = self.success_share(deployment, now)
        if share is not None:
            return share >= _MOSTLY
        return deployment.provider.id not in self.unhealthy

    def news(self) -> dict[UUID, Change]:
        """Circuits that have opened or closed here, of which nobody else knows until `told`."""
        return {
            key: Change(circuit.breaker.state, circuit.breaker.reopens_at, self._forgiven.get(key))
            for key, circuit in self.circuits.items()
            if circuit.is_news
        }

    def told(self, news: Mapping[UUID, Change]) -> None:
        for deployment_id, change in news.items():
            circuit = self.circuits[deployment_id]
            circuit.told, circuit.told_until = change.state, change.until

    def hear(self, deployment_id: UUID, change: Change, now: float) -> None:
        """Another process has opened or closed a circuit. What it opened before it knew of a reset says nothing."""
        circuit = self.circuit(deployment_id, now)
        breaker = circuit.breaker
        if change.state is State.CLOSED:
            if breaker.state is not State.CLOSED:
                breaker.close(now)
        elif self._is_forgiven_since(deployment_id, change):
            return
        elif breaker.state is State.CLOSED or (change.until > breaker.reopens_at and not breaker.is_trying):
            breaker.open(change.until - now, now)
        circuit.told, circuit.told_until = change.state, breaker.reopens_at

    def _is_forgiven_since(self, deployment_id: UUID, change: Change) -> bool:
        forgiven_at = self._forgiven.get(deployment_id)
        return forgiven_at is not None and (change.forgiven_at is None or change.forgiven_at < forgiven_at)

    def awaits_trial(self, deployment: DeploymentSpec, now: float) -> bool:
        """Whether a trial is under way there, or due, and not yet this process's to make: there will be news soon."""
        circuit = self.circuits.get(deployment.id)
        if circuit is None or circuit.breaker.state is State.CLOSED:
            return False
        is_due = circuit.breaker.is_due(now, early=True)
        return circuit.breaker.is_trying or (is_due and not self._may_try(deployment.id, circuit.breaker, now))

    def wanted(self) -> dict[UUID, float]:
        """Open circuits that calls here have tried, or would have, had it been theirs to: when the last one came."""
        self._wanted = {key: at for key, at in self._wanted.items() if self._is_troubled(key)}
        return self._wanted

    def _is_troubled(self, deployment_id: UUID) -> bool:
        return self.circuits[deployment_id].breaker.state is not State.CLOSED

    def _may_try(self, deployment_id: UUID, breaker: Breaker, now: float, *, early: bool = True) -> bool:
        """A trial that is overdue is anybody's: the claim may go round where no call comes just then."""
        is_ours = self.claims is None or deployment_id in self.claims
        return breaker.is_due(now, early=early) and (is_ours or now >= breaker.reopens_at + _OVERDUE_S)
