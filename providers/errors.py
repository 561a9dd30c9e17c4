"""What can go wrong at a provider.

ProviderFailureError
├── UnreachableError          no connection; no byte of the call was sent
├── DisconnectedError         the connection broke after the call was sent
├── TimedOutError             connect, first token, between chunks, or the whole call
├── RejectedError             its 400, 404, 409, 413, 422: the call itself is wrong; another provider would say so too
├── CredentialRefusedError    its 401, 402, 403: our key, not the caller
├── RateLimitedError          its 429
├── UpstreamError             its 5xx, 408, or anything else that it should not answer
└── BadAnswerError            not what its dialect promises, or a stream cut before its finish
"""

from __future__ import annotations


class ProviderFailureError(Exception):
    """`retryable`: another provider (or another try) may do better. `detail` is safe to show to the caller.

    `sent` is False only with proof that the provider never saw the call. `status` is the provider's HTTP status.
    """

    retryable = True
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


class DisconnectedError(ProviderFailureError):
    pass


class TimedOutError(ProviderFailureError):
    code = "PROVIDER_TIMEOUT"


class RejectedError(ProviderFailureError):
    retryable = False
    code = "PROVIDER_REJECTED"


class CredentialRefusedError(ProviderFailureError):
    pass


class RateLimitedError(ProviderFailureError):
    pass


class UpstreamError(ProviderFailureError):
    pass


class BadAnswerError(ProviderFailureError):
    pass


def from_status(status: int, detail: str, *, retry_after_s: float | None = None) -> ProviderFailureError:
    """The failure that a provider's error status means."""
    if status in (401, 402, 403):
        return CredentialRefusedError(detail, status=status)
    if status == 429:
        return RateLimitedError(detail, status=status, retry_after_s=retry_after_s)
    if status in (400, 404, 409, 413, 422):
        return RejectedError(detail, status=status)
    return UpstreamError(detail, status=status, retry_after_s=retry_after_s)
