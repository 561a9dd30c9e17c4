"""What would become of a call: who may take it, in which order and why, at which price, and what is in the way."""

from __future__ import annotations

import time
from datetime import datetime

import msgspec

from gateway.catalogue import Snapshot
from providers import routing
from providers.resilience.board import Board
from providers.resilience.breaker import State
from providers.resilience.outlook import BoardOutlook
from providers.routing import Choice
from providers.specs import CredentialSpec, DeploymentSpec, RouteSpec
from usage.budgets import Window
from usage.pricing import Rates, in_force, upper_bound_pico

OUTPUT_TOKENS = 500


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A call that nobody makes."""

    model: str = ""
    kind: str = "chat"
    provider: str = ""
    client: str = ""
    end_user: str = ""
    input_tokens: int = 1_000
    output_tokens: int = OUTPUT_TOKENS


class Place(msgspec.Struct, frozen=True):
    """A candidate. `obstacles` are why it would be passed by now; `keys_aside` are those of its keys not in use.

    `circuit` is half open also where the next call would be its trial.
    """

    choice: Choice
    rates: Rates | None
    cost_pico: int | None
    circuit: State
    obstacles: tuple[str, ...]
    keys_aside: tuple[str, ...]
    latency_ms: float | None
    success_share: float | None
    hard_budgets: tuple[Window, ...]

    @property
    def is_taken(self) -> bool:
        return not self.obstacles


class Findings(msgspec.Struct, frozen=True):
    sharing: RouteSpec
    places: list[Place]

    @property
    def first(self) -> Place | None:
        """Who would get the call."""
        return next((place for place in self.places if place.is_taken), None)


class _Peek(BoardOutlook, frozen=True):
    """Looks whose turn it is without taking it."""

    def turn(self, name: str) -> int:
        return self.board.next_turn(name)


def dry_run(question: Question, snapshot: Snapshot, board: Board, *, now: datetime) -> Findings:
    """Nothing is sent, and nobody's turn is used up. Raises `routing.ModelNotFoundError`."""
    monotonic = time.perf_counter()
    allowed = snapshot.keyless.allowed.get(question.client)
    choices = routing.candidates(
        snapshot.within((allowed,) if allowed else ()),
        model=question.model,
        kind=question.kind,
        outlook=_Peek(board, monotonic, now, question.input_tokens, question.output_tokens),
        provider=question.provider or None,
        end_user=question.end_user,
    )

    def places(*, early: bool) -> list[Place]:
        return [
            _place(choice, question, snapshot, board=board, at=monotonic, early=early, now=now) for choice in choices
        ]

    found = Findings(sharing=routing.sharing(snapshot.topology, question.model), places=places(early=False))
    # A call that has nowhere else to go may make a trial before its time, or be sent with a key that was refused.
    return found if found.first else msgspec.structs.replace(found, places=places(early=True))


def _place(
    choice: Choice, question: Question, snapshot: Snapshot, *, board: Board, at: float, early: bool, now: datetime
) -> Place:
    deployment = choice.deployment
    rates = in_force(deployment.prices, now)
    circuit = board.circuits.get(deployment.id)
    budgets = _hard_budgets(question, snapshot, deployment, now)
    is_due = circuit is not None and circuit.breaker.is_due(at, early=early)
    state = State.HALF_OPEN if is_due else circuit.breaker.state if circuit else State.CLOSED
    is_shut = state is not State.CLOSED and not is_due
    asides = board.keys.asides(deployment, at)
    has_key = board.keys.has_ready(deployment, at) or (early and all(aside.is_refused for _, aside in asides))
    return Place(
        choice=choice,
        rates=rates,
        cost_pico=_cost_pico(rates, question),
        circuit=state,
        obstacles=tuple(_obstacles(rates, budgets, is_shut=is_shut, has_key=has_key)),
        keys_aside=tuple(_key_in_words(key, aside.status) for key, aside in asides),
        latency_ms=circuit.figures.latency_ms if circuit else None,
        success_share=board.success_share(deployment, at),
        hard_budgets=budgets,
    )


def _cost_pico(rates: Rates | None, question: Question) -> int | None:
    if rates is None:
        return None
    return upper_bound_pico(rates, input_tokens=question.input_tokens, output_tokens=question.output_tokens)


def _obstacles(rates: Rates | None, budgets: tuple[Window, ...], *, is_shut: bool, has_key: bool) -> list[str]:
    found: list[str] = []
    if is_shut:
        found.append("it has failed of late, and is left alone for a while")
    if not has_key:
        found.append("none of its keys can be used now")
    if budgets and rates is None:
        found.append("it has no price, which a budget needs")
    return found


def _key_in_words(key: CredentialSpec, status: int) -> str:
    return f"{key.label} (it answered {status})"


def _hard_budgets(
    question: Question, snapshot: Snapshot, deployment: DeploymentSpec, now: datetime
) -> tuple[Window, ...]:
    windows = snapshot.budgets.windows(
        client=question.client,
        key_id=None,
        end_user=question.end_user,
        tags={},
        provider=deployment.provider.slug,
        now=now,
    )
    return tuple(window for window in windows if window.hard)
