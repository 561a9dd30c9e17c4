"""From a call's facts to its ledger rows: the hold before it, the record after it. Pure but for the clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from core.ids import uuid7_of
from core.money import PICO_PER_USD
from gateway.cache.stored import Stored
from gateway.calls import Call
from gateway.failures import OverBudgetError
from gateway.plans import Plan
from providers.dispatch import Sendable
from providers.errors import ErrorEventError, ProviderFailureError
from providers.specs import CredentialSpec, DeploymentSpec
from usage import estimates, pricing, taxonomy
from usage.budgets import Window
from usage.pricing import FREE, Cost, Rates
from usage.rows import HoldRow, RecordRow, facts_of
from wire.errors import ApiError
from wire.neutral import Usage

MOST_PICO = 9_000 * PICO_PER_USD  # of one hold: no call costs as much, and a sum of such must fit a column
LONGEST_STREAM_S = 3_600.0  # where the caller sets no bound: a healthy stream is not cut for its length
_PERHAPS_BILLED = (408, 504, 524)
_DETAIL_CHARS = 300
_WORD_CHARS = 200
_MOST_PAYLOAD_BYTES = 16_384  # of a provider's usage object, as its row keeps it; they have a few hundred


class Heard(msgspec.Struct):
    """How far a dispatch came: whether a byte of it went out, and what its stream had said when that was cut.

    `usage` is what the provider had told by then: most often the input, and the least that the output was.
    """

    is_sent: bool = False
    output_bytes: int = 0
    usage: Usage | None = None

    def note_sent(self) -> None:
        self.is_sent = True


class Attempt(msgspec.Struct, frozen=True):
    """One dispatch of a call: what its hold says, and the rates in force when the call began.

    It may take until `ends_at`, a stream that has begun until `stream_ends_at` (`time.perf_counter`). `is_limited`: a
    hard budget must be asked before it may cost more.
    """

    call: Call
    deployment: DeploymentSpec
    sendable: Sendable
    body: bytes
    credential: CredentialSpec | None
    hold: HoldRow
    rates: Rates | None
    ends_at: float
    stream_ends_at: float
    is_limited: bool = False
    heard: Heard = msgspec.field(default_factory=Heard)


class Outcome(msgspec.Struct, frozen=True):
    """How a dispatch ended. `usage` None: the provider told none; `output_bytes` is then what it is guessed from.

    `refusal` is ours: it was ended in the middle. `provider_s` is the time that was not ours: a stream's caller may
    have taken some of it. `is_sent` is False only with proof that the provider never saw it.
    """

    status: str
    usage: Usage | None
    output_bytes: int = 0
    served_model: str = ""
    finish: str = ""
    failure: ProviderFailureError | None = None
    refusal: ApiError | None = None
    is_sent: bool = True
    is_final: bool = True
    provider_s: float = 0.0
    first_token_s: float | None = None


def attempt(
    call: Call,
    plan: Plan,
    credential: CredentialSpec | None,
    *,
    now: datetime,
    number: int,
    lease_id: UUID,
    left_s: float | None = None,
    routing: str = "",
) -> Attempt:
    """The dispatch of `call` as planned, within `left_s` where its time is bounded. `routing`: why it goes there.

    A call belongs to the moment when it began, with all its attempts: their keys, periods and prices are of
    `call.started_at`. Only the deadline is counted from `now`, by the clock of the database, which judges deadlines.
    """
    deployment, rates = plan.deployment, plan.rates
    body = plan.sendable.body()  # before its hold: what cannot be made is not charged
    envelope = call.envelope
    input_tokens = estimates.most_input_tokens(envelope.input_bytes)
    output_tokens = plan.output_tokens
    timeout_s = deployment.provider.timeout_s if left_s is None else min(left_s, deployment.provider.timeout_s)
    lasts_s = max(timeout_s, LONGEST_STREAM_S) if envelope.stream and call.timeout_s is None else timeout_s
    hold = HoldRow(
        id=uuid7_of(call.started_at),
        request_id=call.request_id,
        client_id=call.caller.client_id,
        client=call.caller.client,
        key_id=call.caller.key_id,
        key_prefix=call.caller.key_prefix,
        end_user=call.end_user,
        tags=call.tags,
        surface=call.surface,
        stream=envelope.stream,
        requested_model=word(envelope.model),
        provider_id=deployment.provider.id,
        provider=deployment.provider.slug,
        deployment_id=deployment.id,
        deployment=deployment.name,
        credential=credential.label if credential else "",
        attempt=number,
        price_id=rates.price_id if rates else None,
        usd_per_unit=rates.usd_per_unit if rates else None,
        windows=_window_ids(plan.windows),
        routing=routing,
        started_at=call.started_at,
        amount_pico=_amount_pico(rates, input_tokens, output_tokens),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        lease_id=lease_id,
        deadline_at=now + timedelta(seconds=lasts_s),
    )
    is_limited = bool(plan.windows) and any(window.hard for window in plan.windows)
    asked_at = time.perf_counter()
    return Attempt(
        call,
        deployment,
        plan.sendable,
        body,
        credential,
        hold,
        rates,
        ends_at=asked_at + timeout_s,
        stream_ends_at=asked_at + lasts_s,
        is_limited=is_limited,
    )


def _amount_pico(rates: Rates | None, input_tokens: int, output_tokens: int) -> int | None:
    if rates is None:
        return None
    return min(pricing.upper_bound_pico(rates, input_tokens=input_tokens, output_tokens=output_tokens), MOST_PICO)


def _window_ids(windows: tuple[Window, ...]) -> str:
    return _said([window.id for window in windows])


def _said(ids: list[UUID]) -> str:
    return msgspec.json.encode(ids).decode() if ids else "[]"


def record(attempt: Attempt, outcome: Outcome) -> RecordRow:
    """The record of a dispatch that has ended."""
    used, evidence = _usage(attempt, outcome)
    usage, doubt = taxonomy.consistent(used)
    cost = _cost(attempt, usage, evidence)
    elapsed_s = time.perf_counter() - attempt.call.started
    error_code, error_detail = _error(outcome)
    hold = attempt.hold
    return RecordRow(
        *facts_of(hold),
        is_final=outcome.is_final,
        status=_status(outcome),
        error_code=error_code,
        error_detail=f"{error_detail} {doubt}".strip()[:_DETAIL_CHARS],
        finish_reason=outcome.finish,
        served_model=word(outcome.served_model),
        evidence=evidence,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_5m_tokens=usage.cache_write_5m_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        audio_input_tokens=usage.audio_input_tokens,
        image_input_tokens=usage.image_input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        audio_output_tokens=usage.audio_output_tokens,
        image_output_tokens=usage.image_output_tokens,
        usage_payload=usage.raw.decode("utf-8", "replace") if len(usage.raw) <= _MOST_PAYLOAD_BYTES else "",
        cost_pico=hold.amount_pico if evidence == "upper_bound" else cost.total_pico if cost else None,
        input_cost_pico=cost.input_pico if cost else None,
        output_cost_pico=cost.output_pico if cost else None,
        request_cost_pico=cost.request_pico if cost else None,
        latency_ms=elapsed_s * 1000,
        first_token_ms=None if outcome.first_token_s is None else outcome.first_token_s * 1000,
        overhead_ms=(elapsed_s - outcome.provider_s) * 1000,
        ended_at=datetime.now(UTC),
    )


def _cost(attempt: Attempt, usage: Usage, evidence: str) -> Cost | None:
    """By parts; None where they are unknown: there is no price, or only a bound of their sum."""
    if evidence == "none":
        return FREE
    return pricing.cost(attempt.rates, usage) if attempt.rates and evidence != "upper_bound" else None


def word(text: str) -> str:
    """A name that others chose, as a column and a header can hold it."""
    return _printable(text)[:_WORD_CHARS]


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(each for each in text if each.isprintable())


def refusal(call: Call, error: ApiError) -> RecordRow:
    """The record of a call that went to no provider. Where a budget had no room it names that budget's window."""
    return _undispatched(
        call,
        status="error" if error.code.is_failure else "refused",
        error_code=error.code.name,
        error_detail=_printable(error.message)[:_DETAIL_CHARS],
        windows=_said([error.window_id] if isinstance(error, OverBudgetError) else []),
    )


def left(call: Call) -> RecordRow:
    """The final record of a call whose caller has left while no provider was at work for it."""
    return _undispatched(call, status="cancelled")


def cached(call: Call, answer: Stored) -> RecordRow:
    """The record of a call that was told a kept answer: it cost nothing, and saved what that once cost."""
    return _undispatched(
        call,
        status="cached",
        provider_id=answer.provider_id,
        provider=answer.provider,
        deployment_id=answer.deployment_id,
        deployment=answer.deployment,
        served_model=answer.served_model,
        finish_reason=answer.finish_reason,
        saved_pico=answer.cost_pico,
        overhead_ms=(time.perf_counter() - call.started) * 1000,
    )


_NOWHERE = {"provider_id": None, "provider": "", "deployment_id": None, "deployment": ""}


def _undispatched(call: Call, **more: Any) -> RecordRow:
    facts = _NOWHERE | more
    return RecordRow(
        id=uuid7_of(call.started_at),
        request_id=call.request_id,
        client_id=call.caller.client_id,
        client=call.caller.client,
        key_id=call.caller.key_id,
        key_prefix=call.caller.key_prefix,
        end_user=call.end_user,
        tags=call.tags,
        surface=call.surface,
        stream=call.envelope.stream,
        requested_model=word(call.envelope.model),
        started_at=call.started_at,
        evidence="none",
        cost_pico=0,
        input_cost_pico=0,
        output_cost_pico=0,
        request_cost_pico=0,
        latency_ms=(time.perf_counter() - call.started) * 1000,
        ended_at=datetime.now(UTC),
        credential="",
        attempt=0,
        price_id=None,
        **facts,
    )


def _status(outcome: Outcome) -> str:
    """What a provider rejects as its caller's mistake is refused, as it would be here: nobody has failed."""
    is_rejected = outcome.failure is not None and outcome.failure.fault == "caller"
    return "refused" if is_rejected else outcome.status


def _error(outcome: Outcome) -> tuple[str, str]:
    if outcome.failure:
        return outcome.failure.code, outcome.failure.detail
    if outcome.refusal:
        return outcome.refusal.code.name, outcome.refusal.message
    return "", ""


def _usage(attempt: Attempt, outcome: Outcome) -> tuple[Usage, str]:
    """What was used, and how well that is known: reported, guessed from what was heard, at most the hold, none."""
    if outcome.usage is not None:
        return outcome.usage, "reported"
    hold, heard = attempt.hold, attempt.heard
    output_bytes = outcome.output_bytes or heard.output_bytes
    told = heard.usage if heard.usage and heard.usage.input_tokens else None  # some hosts count nothing at first
    if output_bytes == 0 and told is None and outcome.status != "ok":
        if _is_free(outcome):
            return Usage(), "none"
        return Usage(input_tokens=hold.input_tokens, output_tokens=hold.output_tokens), "upper_bound"
    output_tokens = estimates.likely_tokens(output_bytes)
    if attempt.call.envelope.max_output_tokens is not None:  # the provider was told to stop there
        output_tokens = min(output_tokens, hold.output_tokens)
    return _guessed(attempt, told, output_tokens), "estimated"


def _guessed(attempt: Attempt, told: Usage | None, output_tokens: int) -> Usage:
    """The input as the provider has told it, cached parts and all, where it has; of the output that was the least."""
    if told is None:
        input_tokens = estimates.likely_tokens(attempt.call.envelope.input_bytes)
        return Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    return msgspec.structs.replace(told, output_tokens=max(output_tokens, told.output_tokens))


def _is_free(outcome: Outcome) -> bool:
    """Never seen by the provider, or refused by it: none bills an error status, or an error event without an answer.

    A timeout's status says only that somebody on the way, or the provider itself, would not wait for the answer.
    """
    failure = outcome.failure
    if failure is None:
        return not outcome.is_sent
    if failure.status is None:
        return not failure.sent or isinstance(failure, ErrorEventError)
    return failure.status not in _PERHAPS_BILLED
