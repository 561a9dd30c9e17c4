"""Failures, a provider's and our own, as the caller is told of them (the table of errors in API.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from uuid import UUID

from core.money import usd_text
from gateway.http import Headers
from providers.errors import CredentialRefusedError, ProviderFailureError
from usage.budgets import BudgetExceededError
from wire.errors import ApiError, Code

BUSY = ApiError(Code.QUEUE_FULL, "The platform is busy. Try again in a moment.", retry_after_s=5)
STOPPING = ApiError(Code.QUEUE_FULL, "The platform is stopping, and cut this call off. Try again.", retry_after_s=1)
OUR_FAULT = ApiError(Code.INTERNAL, "Something went wrong on our side.")  # the log has its cause
_LEAST_RETRY_S = 1.0
# Some clients sleep out any Retry-After within the call, an hour too: what takes longer must reach their code at once.
_LONGEST_SLEEP_S = 120


def api_error(
    failure: ProviderFailureError, provider: str, *, attempts: int | None = None, again_s: float | None = None
) -> ApiError:
    """`attempts`: how many the call has had. `again_s`: when somebody may take such a call; who cannot be reached has
    not said it.
    """
    code = Code[failure.code]
    retry_after_s = failure.retry_after_s
    if code in (Code.PROVIDER_UNAVAILABLE, Code.QUEUE_FULL):
        retry_after_s = max(again_s or 0.0, _LEAST_RETRY_S)
    return ApiError(
        code,
        _told(failure, provider),
        status=failure.status if code is Code.PROVIDER_REJECTED else None,
        retry_after_s=retry_after_s,
        provider=provider,
        attempts=attempts,
    )


def _told(failure: ProviderFailureError, provider: str) -> str:
    """Whose failure it is, by its slug. A rejected call keeps the provider's own words, whoever that is.

    What a provider says of our own key would mislead a caller about its key; the usage row keeps it.
    """
    if isinstance(failure, CredentialRefusedError):
        return f"{provider} refuses this platform's own key (status {failure.status}): an administrator must see to it."
    if failure.fault == "caller" or failure.detail.startswith(provider):
        return failure.detail
    return (
        f"{provider} answered {failure.status}: {failure.detail}" if failure.status else f"{provider}: {failure.detail}"
    )


def error_headers(error: ApiError) -> Headers:
    """What a refusal says in headers, or in the metadata of a gRPC call."""
    headers: Headers = []
    if not error.retryable or (error.retry_after_s or 0) > _LONGEST_SLEEP_S:
        headers.append((b"x-should-retry", b"false"))
    if (wait_s := retry_after_s(error)) is not None:
        headers.append((b"retry-after", b"%d" % wait_s))
    if error.provider:
        headers.append((b"x-provider", error.provider.encode()))
    if error.attempts:
        headers.append((b"x-attempts", b"%d" % error.attempts))
    return headers


def retry_after_s(error: ApiError) -> int | None:
    """In whole seconds, never too few. None where nothing is known."""
    return None if error.retry_after_s is None else max(math.ceil(error.retry_after_s), 1)


def nobody_left(skipped: Mapping[str, str], retry_after_s: float | None) -> ApiError:
    """No provider could be asked. `skipped` says of each model at its provider why not."""
    reasons = ", ".join(f"{name} ({why})" for name, why in skipped.items())
    return ApiError(
        Code.PROVIDER_UNAVAILABLE,
        f"No provider can take this call now: {reasons}.",
        retry_after_s=max(retry_after_s or 0.0, _LEAST_RETRY_S),
    )


class OverBudgetError(ApiError):
    """`window_id`: of the budget that has no room."""

    def __init__(self, message: str, *, window_id: UUID) -> None:
        super().__init__(Code.BUDGET_EXCEEDED, message)
        self.window_id = window_id


def over_budget(error: BudgetExceededError) -> OverBudgetError:
    return OverBudgetError(
        f"The budget '{error.name}' has ${usd_text(error.left_pico)} left of ${usd_text(error.cap_pico)}, "
        f"and this call may cost up to ${usd_text(error.wanted_pico)}.",
        window_id=error.window_id,
    )
