"""From a call's facts to its ledger rows: the hold before it, the record after it. Pure but for the clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from core.ids import uuid7_of
from core.money import PICO_PER_USD
from gateway.calls import Call
from gateway.plans import Plan
from providers.dispatch import Sendable
from providers.errors import ProviderFailureError
from providers.specs import CredentialSpec, DeploymentSpec
from usage import estimates, pricing, taxonomy
from usage.budgets import Window
from usage.pricing import FREE, Rates
from usage.rows import CallFacts, HoldRow, RecordRow
from wire.errors import ApiError
from wire.neutral import Usage

MOST_PICO = 9_000 * PICO_PER_USD  # of one hold: no call costs as much, and a sum of such must fit a column
_DETAIL_CHARS = 300
_WORD_CHARS = 200


class Attempt(msgspec.Struct, frozen=True):
    """One dispatch of a call: what its hold says, and the rates in force when it was reserved."""

    call: Call
    deployment: DeploymentSpec
    sendable: Sendable
    credential: CredentialSpec | None
    hold: HoldRow
    rates: Rates | None
    timeout_s: float


class Outcome(msgspec.Struct, frozen=True):
    """How a dispatch ended. `usage` None: the provider told none; `output_bytes` is then what it is guessed from.

    `refusal` is ours: it was ended in the middle.
    """

    status: str
    usage: Usage | None
    output_bytes: int = 0
    served_model: str = ""
    finish: str = ""
    failure: ProviderFailureError | None = None
    refusal: ApiError | None = None
    is_final: bool = True
    provider_s: float = 0.0
    first_token_s: float | None = None


def attempt(
    call: Call,
    plan: Plan,
    credential: CredentialSpec | None,
    *,
    now: datetime,
    ahead: timedelta,
    number: int,
    lease_id: UUID,
) -> Attempt:
    """The dispatch of `call` as planned. `ahead` is how far the database's clock, which judges deadlines, is ahead."""
    deployment, rates = plan.deployment, plan.rates
    envelope = call.envelope
    input_tokens = estimates.most_input_tokens(envelope.input_bytes)
    output_tokens = plan.output_tokens
    left_s = call.left_s
    timeout_s = deployment.provider.timeout_s if left_s is None else min(left_s, deployment.provider.timeout_s)
    hold = HoldRow(
        id=uuid7_of(now),
        request_id=call.request_id,
        client_id=call.caller.client_id,
        client=call.caller.client,
        key_id=call.caller.key_id,
        key_prefix=call.caller.key_prefix,
        end_user=call.end_user,
        tags=call.tags,
        surface=call.surface,
        stream=envelope.stream,
        requested_model=_word(envelope.model),
        provider_id=deployment.provider.id,
        provider=deployment.provider.slug,
        deployment_id=deployment.id,
        deployment=deployment.name,
        credential=credential.label if credential else "",
        attempt=number,
        price_id=rates.price_id if rates else None,
        usd_per_unit=rates.usd_per_unit if rates else None,
        windows=_window_ids(plan.windows),
        started_at=now,
        amount_pico=_amount_pico(rates, input_tokens, output_tokens),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        lease_id=lease_id,
        deadline_at=now + ahead + timedelta(seconds=timeout_s),
    )
    return Attempt(call, deployment, plan.sendable, credential, hold, rates, timeout_s)


def _amount_pico(rates: Rates | None, input_tokens: int, output_tokens: int) -> int | None:
    if rates is None:
        return None
    return min(pricing.upper_bound_pico(rates, input_tokens=input_tokens, output_tokens=output_tokens), MOST_PICO)


def _window_ids(windows: tuple[Window, ...]) -> str:
    return msgspec.json.encode([window.id for window in windows]).decode() if windows else "[]"


def record(attempt: Attempt, outcome: Outcome) -> RecordRow:
    """The record of a dispatch that has ended."""
    used, evidence = _usage(attempt, outcome)
    usage, doubt = taxonomy.consistent(used)
    cost = pricing.cost(attempt.rates, usage) if attempt.rates and evidence != "none" else None
    if evidence == "none":
        cost = FREE
    elapsed_s = time.perf_counter() - attempt.call.started
    error_code, error_detail = _error(outcome)
    return RecordRow(
        **_facts(attempt.hold),
        is_final=outcome.is_final,
        status=outcome.status,
        error_code=error_code,
        error_detail=" ".join(filter(None, (error_detail, doubt)))[:_DETAIL_CHARS],
        finish_reason=outcome.finish,
        served_model=_word(outcome.served_model),
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
        usage_payload=usage.raw.decode("utf-8", "replace"),
        cost_pico=cost.total_pico if cost else None,
        input_cost_pico=cost.input_pico if cost else None,
        output_cost_pico=cost.output_pico if cost else None,
        request_cost_pico=cost.request_pico if cost else None,
        latency_ms=elapsed_s * 1000,
        first_token_ms=None if outcome.first_token_s is None else outcome.first_token_s * 1000,
        overhead_ms=(elapsed_s - outcome.provider_s) * 1000,
        ended_at=datetime.now(UTC),
    )


def _word(text: str) -> str:
    """A name that others chose, as a column and a header can hold it."""
    return _printable(text)[:_WORD_CHARS]


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(each for each in text if each.isprintable())


def refusal(call: Call, error: ApiError) -> RecordRow:
    """The record of a call that went to no provider."""
    now = datetime.now(UTC)
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
        requested_model=_word(call.envelope.model),
        provider_id=None,
        provider="",
        deployment_id=None,
        deployment="",
        credential="",
        attempt=0,
        price_id=None,
        started_at=call.started_at,
        status="refused",
        error_code=error.code.name,
        error_detail=_printable(error.message)[:_DETAIL_CHARS],
        evidence="none",
        cost_pico=0,
        input_cost_pico=0,
        output_cost_pico=0,
        request_cost_pico=0,
        latency_ms=(time.perf_counter() - call.started) * 1000,
        ended_at=now,
    )


def _error(outcome: Outcome) -> tuple[str, str]:
    if outcome.failure:
        return outcome.failure.code, outcome.failure.detail
    if outcome.refusal:
        return outcome.refusal.code.name, outcome.refusal.message
    return "", ""


def _usage(attempt: Attempt, outcome: Outcome) -> tuple[Usage, str]:
    """What was used, and how well that is known."""
    if outcome.usage is not None:
        return outcome.usage, "reported"
    failure = outcome.failure
    if failure is not None and outcome.output_bytes == 0 and (not failure.sent or failure.status is not None):
        return Usage(), "none"  # never seen by the provider, or refused by it: providers don't bill an error status
    output_tokens = estimates.likely_tokens(outcome.output_bytes)
    if attempt.call.envelope.max_output_tokens is not None:  # the provider was told to stop there
        output_tokens = min(output_tokens, attempt.hold.output_tokens)
    input_tokens = estimates.likely_tokens(attempt.call.envelope.input_bytes)
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens), "estimated"


_FACTS = CallFacts.__struct_fields__


def _facts(hold: HoldRow) -> dict[str, Any]:
    return {name: getattr(hold, name) for name in _FACTS}
