"""Which deployments may take a call, in the order of trying: the ways it may go, and what it would be on each.

What a way asks is enough to find a kept answer. A plan takes longer: the call may have to be translated.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import msgspec

from gateway.calls import Call
from gateway.catalogue import Snapshot
from providers import dispatch, routing
from providers.dispatch import Sendable
from providers.resilience.board import Board
from providers.resilience.outlook import ASSUMED_OUTPUT_TOKENS as LIKELY_OUTPUT_TOKENS
from providers.resilience.outlook import BoardOutlook
from providers.routing import Choice
from providers.specs import DeploymentSpec, Topology
from usage import estimates, pricing
from usage.budgets import Window
from usage.pricing import Rates
from wire.errors import ApiError, Code

IMPOSED_OUTPUT_TOKENS = 4_000  # the answer's bound for callers with a hard budget who give none
ASSUMED_OUTPUT_TOKENS = 4_000  # what a hold assumes where nothing bounds the answer


class Way(msgspec.Struct, frozen=True):
    """`output_tokens` bounds all choices together, `imposed_tokens` is the bound that we set for each (None: none).

    `windows` are of the budgets in which the call would count. `why` it stands where it stands, in words.
    """

    deployment: DeploymentSpec
    output_tokens: int
    imposed_tokens: int | None
    windows: tuple[Window, ...]
    why: str = ""


class Plan(msgspec.Struct, frozen=True):
    """The call on one of its ways, among the candidates of `route` ("": of a plain name).

    `rates` are those in force now; None: the model has no price.
    """

    deployment: DeploymentSpec
    sendable: Sendable
    output_tokens: int
    rates: Rates | None
    windows: tuple[Window, ...]
    why: str = ""
    route: str = ""


def ways(call: Call, snapshot: Snapshot, board: Board, *, now: datetime) -> list[Way]:
    """One at least. Raises `ApiError` MODEL_NOT_FOUND and MODEL_NOT_ALLOWED."""
    return [_way(call, snapshot, choice, now) for choice in _choices(call, snapshot, board, now)]


def plans(call: Call, snapshot: Snapshot, ways: list[Way], *, now: datetime) -> list[Plan]:
    """A plan for each way on which the call can be made. Where there is none, the first one's `ApiError` is raised."""
    found: list[Plan] = []
    reason: ApiError | None = None
    route = routing.sharing(snapshot.topology, call.envelope.model).name
    for way in ways:
        try:
            found.append(_plan(call, way, now, route=route))
        except ApiError as error:
            reason = reason or error
    if reason and not found:
        raise reason
    return found


def _choices(call: Call, snapshot: Snapshot, board: Board, now: datetime) -> list[Choice]:
    envelope = call.envelope
    outlook = BoardOutlook(
        board,
        call.started,
        now,
        input_tokens=estimates.likely_tokens(envelope.input_bytes),
        output_tokens=envelope.max_output_tokens or LIKELY_OUTPUT_TOKENS,
    )
    seen = snapshot.seen_by(call.caller)

    def candidates(topology: Topology) -> list[Choice]:
        return routing.candidates(
            topology,
            model=envelope.model,
            kind=envelope.kind,
            outlook=outlook,
            provider=call.provider,
            end_user=call.end_user,
        )

    try:
        return candidates(seen)
    except routing.ModelNotFoundError as error:
        if seen is not snapshot.topology:
            with suppress(routing.ModelNotFoundError):
                candidates(snapshot.topology)
                raise _not_allowed(envelope.model, call.provider, seen) from None
        raise ApiError(Code.MODEL_NOT_FOUND, str(error), param="model") from error


def _not_allowed(model: str, provider: str | None, seen: Topology) -> ApiError:
    wanted = (repr(model) if model else "that") + (f" at provider {provider!r}" if provider else "")
    may = f"It may use: {routing.some_of(seen.listed)}." if seen.listed else "There is none that it may use."
    return ApiError(Code.MODEL_NOT_ALLOWED, f"This key may not use {wanted}. {may}", param="model")


def _way(call: Call, snapshot: Snapshot, choice: Choice, now: datetime) -> Way:
    windows = _windows(call, snapshot, choice.deployment, now)
    given, most = call.envelope.max_output_tokens, choice.deployment.max_output_tokens
    imposed = min(most or IMPOSED_OUTPUT_TOKENS, IMPOSED_OUTPUT_TOKENS) if given is None and _is_hard(windows) else None
    bound = next(bound for bound in (given, imposed, most, ASSUMED_OUTPUT_TOKENS) if bound is not None)
    return Way(choice.deployment, bound * call.envelope.choices, imposed, windows, choice.why)


def _is_hard(windows: tuple[Window, ...]) -> bool:
    return bool(windows) and any(window.hard for window in windows)


def _plan(call: Call, way: Way, now: datetime, *, route: str) -> Plan:
    """Raises `ApiError`: the deployment's API cannot say what is asked, or a hard budget cannot bound its cost."""
    deployment = way.deployment
    rates = pricing.in_force(deployment.prices, now)
    if rates is None and _is_hard(way.windows):
        raise ApiError(
            Code.UNPRICED_MODEL,
            f"'{deployment.name}' has no price, and this caller has a budget that it could not be held against.",
            param="model",
        )
    sendable = dispatch.encode(call.envelope, call.dialect, deployment, max_output_tokens=way.imposed_tokens)
    return Plan(deployment, sendable, way.output_tokens, rates, way.windows, way.why, route)


_tags = msgspec.json.Decoder(dict[str, str]).decode


def _windows(call: Call, snapshot: Snapshot, deployment: DeploymentSpec, now: datetime) -> tuple[Window, ...]:
    if not snapshot.budgets:
        return ()
    return snapshot.budgets.windows(
        client=call.caller.client,
        key_id=call.caller.key_id,
        end_user=call.end_user,
        tags=_tags(call.tags),
        provider=deployment.provider.slug,
        now=now,
    )
