"""What can go wrong at a provider, and what follows from it.

                            fault of   another     the same   counts against
                                       provider?   again?     the circuit?
ProviderFailureError
├── UnreachableError        provider   yes         yes        yes    no connection; no byte of the call was sent
│   └── ForbiddenAddressError          yes         no         yes    our own settings allow no connection there
├── NoSocketError           us         yes         yes        no     this process has no socket left; nothing was sent
├── DisconnectedError       provider   yes         yes        yes    the connection broke after the call was sent
├── TimedOutError           provider   yes         no         yes    connect, first token, between chunks, or the whole
├── RejectedError           caller     no          no         no     its 400, 404, 409, 413, 422: the call is wrong
│   └── UnknownModelError   provider   yes         no         no     its 400 or 404 about the model, whose name is ours
├── CredentialRefusedError  key        yes         no         no     its 401, 402, 403: our key, not the caller
├── RateLimitedError        key        yes         yes        (1)    its 429
├── UpstreamError           provider   yes         yes        yes    its 5xx, 408, a 404 about the address, and the rest
│   ├── ErrorEventError     provider   yes         yes        yes    the error event of its stream
│   └── BadGenerationError  provider   yes         yes        no     its 400 about what its own model has made
└── BadAnswerError          provider   yes         no         yes    not what its dialect promises, or a stream cut

(1) once, when it leaves the deployment without a key that may be used: the wait that it asks for is kept anyway.
"""

from __future__ import annotations

import math
from typing import Literal

Fault = Literal["caller", "key", "provider", "us"]
_NEARLY = 0.9  # of a provider's own time: who has so much is in no hurry, but has had a hold written first
_PATIENCE_S = 10.0
_CONNECT_PATIENCE_S = 2.0  # one lost packet included: it is sent again after a second (RFC 6298, section 2)


class ProviderFailureError(Exception):
    """`retryable`: another provider may do better; `repeatable`: so may this one, a little later.

    `counts`: the deployment's circuit must know. `detail` is safe to show to the caller. `sent` is False only with
    proof that the provider never saw the call. `status` is the provider's HTTP status.
    """

    fault: Fault = "provider"
    retryable = True
    repeatable = True
    counts = True
    code = "PROVIDER_ERROR"

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.retry_after_s = retry_after_s
        self.sent = sent


class UnreachableError(ProviderFailureError):
    code = "PROVIDER_UNAVAILABLE"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, sent=False)


class ForbiddenAddressError(UnreachableError):
    """`core.egress` says why."""

    repeatable = False


class NoSocketError(ProviderFailureError):
    """Other calls will let go of theirs. `aiplatform.serving` asks the system for as many as it gives."""

    fault: Fault = "us"
    counts = False
    code = "QUEUE_FULL"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, sent=False)


class DisconnectedError(ProviderFailureError):
    pass


class TimedOutError(ProviderFailureError):
    """Not asked again at the same place: what took too long may have been done, and billed.

    `had_s`: it had only so long of the `usual_s` that are its own, because the call was to end then. A caller in a
    great hurry says nothing of the provider.
    """

    repeatable = False
    code = "PROVIDER_TIMEOUT"

    def __init__(self, detail: str, *, had_s: float = math.inf, usual_s: float = math.inf, sent: bool = True) -> None:
        super().__init__(detail, sent=sent)
        self.counts = had_s >= min(usual_s * _NEARLY, _PATIENCE_S if sent else _CONNECT_PATIENCE_S)


class RejectedError(ProviderFailureError):
    fault: Fault = "caller"
    retryable = False
    repeatable = False
    counts = False
    code = "PROVIDER_REJECTED"


class UnknownModelError(RejectedError):
    """Perhaps it has been retired there. Callers are told so where no other candidate has said anything else."""

    fault = "provider"
    retryable = True
    code = "MODEL_NOT_FOUND"


class CredentialRefusedError(ProviderFailureError):
    fault = "key"
    repeatable = False
    counts = False


class RateLimitedError(ProviderFailureError):
    fault = "key"


class UpstreamError(ProviderFailureError):
    pass


class ErrorEventError(UpstreamError):
    pass


class BadGenerationError(UpstreamError):
    """Whether it happens depends on the call too: a caller's odd tools shall open no circuit for the others."""

    counts = False


class BadAnswerError(ProviderFailureError):
    repeatable = False


def from_status(status: int, detail: str, *, retry_after_s: float | None = None) -> ProviderFailureError:
    """The failure that a provider's error status means."""
    if status in (401, 402, 403):
        return CredentialRefusedError(detail, status=status)
    if status == 429:
        return RateLimitedError(detail, status=status, retry_after_s=retry_after_s)
    if status in (400, 404, 409, 413, 422):
        return RejectedError(detail, status=status)
    return UpstreamError(detail, status=status, retry_after_s=retry_after_s)
