"""What callers are told of a provider's failure."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from core.money import PICO_PER_USD
from core.vault import Secret
from gateway.failures import api_error, error_headers, nobody_left, over_budget
from providers.dispatch import quotable
from providers.errors import (
    DisconnectedError,
    NoSocketError,
    ProviderFailureError,
    TimedOutError,
    UnknownModelError,
    from_status,
)
from providers.specs import CredentialSpec
from tests.providers.topologies import deployment, key
from usage.budgets import BudgetExceededError
from wire.errors import ApiError, Code


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (from_status(500, "Not today."), "acme answered 500: Not today."),
        (from_status(503, "acme answered 503."), "acme answered 503."),
        (from_status(429, "Slow down."), "acme answered 429: Slow down."),
        (TimedOutError("acme did not answer within 3 s."), "acme did not answer within 3 s."),
        (DisconnectedError("The provider's connection broke."), "acme: The provider's connection broke."),
        (UnknownModelError("No model 'm'.", status=404), "acme answered 404: No model 'm'."),
        (from_status(422, "'n' is too large."), "'n' is too large."),
        (
            from_status(401, "Incorrect API key: sk-1"),
            "acme refuses this platform's own key (status 401): an administrator must see to it.",
        ),
    ],
)
def test_a_failure_names_its_provider_and_a_rejection_is_the_callers(
    failure: ProviderFailureError, message: str
) -> None:
    assert api_error(failure, "acme").message == message


@pytest.mark.parametrize(
    ("failure", "status"), [(from_status(413, ""), 413), (from_status(500, ""), 502), (from_status(429, ""), 502)]
)
def test_a_rejection_alone_keeps_its_status_and_all_say_who_it_was(failure: ProviderFailureError, status: int) -> None:
    error = api_error(failure, "acme")
    assert error.status == status
    assert dict(error_headers(error))[b"x-provider"] == b"acme"


def test_who_has_no_socket_asks_to_come_back_soon() -> None:
    error = api_error(NoSocketError("acme is not called: no more connections."), "acme")
    assert (error.code, error.status, error.message) == (
        Code.QUEUE_FULL,
        503,
        "acme is not called: no more connections.",
    )
    assert dict(error_headers(error))[b"retry-after"] == b"1"
    assert b"x-should-retry" not in dict(error_headers(error))


def test_a_providers_words_are_told_without_its_key_and_address() -> None:
    spec = deployment("acme").provider
    provider = msgspec.structs.replace(spec, address="https://llm.internal:8443/v1")
    credential: CredentialSpec = msgspec.structs.replace(key("a"), secret=Secret("sk-very-secret-key"))

    told = quotable(
        "sk-very-secret-key is wrong for https://llm.internal:8443/v1/chat (dial llm.internal:8443)\0",
        provider,
        credential,
    )

    assert "sk-very-secret-key" not in told
    assert "llm.internal" not in told
    assert told.endswith("is wrong for acme/chat (dial acme)")
    assert len(quotable("too long " * 100, provider, credential)) == 500


@pytest.mark.parametrize(("wait_s", "told"), [(None, b"1"), (0.2, b"1"), (5.2, b"6"), (54.0, b"54")])
def test_retry_after_is_never_too_short(wait_s: float | None, told: bytes) -> None:
    refused = nobody_left({"acme/chat": "circuit open"}, wait_s)
    assert dict(error_headers(refused))[b"retry-after"] == told


def test_a_provider_that_says_now_is_asked_again_in_a_second() -> None:
    limited = api_error(from_status(429, "", retry_after_s=0), "acme")
    assert dict(error_headers(limited))[b"retry-after"] == b"1"


def test_a_budget_without_room_says_what_it_has_and_what_was_wanted() -> None:
    amounts = {"cap_pico": 10 * PICO_PER_USD, "left_pico": PICO_PER_USD, "wanted_pico": 2 * PICO_PER_USD}
    error = over_budget(BudgetExceededError("team", window_id=UUID(int=1), **amounts))
    assert error.message == "The budget 'team' has $1 left of $10, and this call may cost up to $2."


def test_what_must_not_be_retried_says_so() -> None:
    assert dict(error_headers(ApiError(Code.INVALID_REQUEST, ""))) == {b"x-should-retry": b"false"}
    assert b"x-should-retry" in dict(error_headers(ApiError(Code.RATE_LIMITED, "", retry_after_s=600)))
    assert b"x-should-retry" not in dict(error_headers(ApiError(Code.RATE_LIMITED, "", retry_after_s=60)))
