"""The closed vocabulary of errors: each code with its HTTP status, its gRPC status and whose fault it is."""

from __future__ import annotations

from enum import Enum
from typing import Literal, Self

Fault = Literal["caller", "policy", "provider", "us"]


class Code(Enum):
    """`code.name` is what clients read; `code.http` is its default status (PROVIDER_REJECTED keeps the provider's)."""

    INVALID_REQUEST = (400, "INVALID_ARGUMENT", "caller")
    UNSUPPORTED_FIELD = (400, "INVALID_ARGUMENT", "caller")
    UNAUTHENTICATED = (401, "UNAUTHENTICATED", "caller")
    BUDGET_EXCEEDED = (402, "RESOURCE_EXHAUSTED", "policy")
    FORBIDDEN = (403, "PERMISSION_DENIED", "caller")
    MODEL_NOT_ALLOWED = (403, "PERMISSION_DENIED", "caller")
    NOT_FOUND = (404, "NOT_FOUND", "caller")
    MODEL_NOT_FOUND = (404, "NOT_FOUND", "caller")
    IDEMPOTENCY_CONFLICT = (409, "ABORTED", "caller")
    UNPRICED_MODEL = (409, "FAILED_PRECONDITION", "policy")
    PAYLOAD_TOO_LARGE = (413, "INVALID_ARGUMENT", "caller")
    RATE_LIMITED = (429, "RESOURCE_EXHAUSTED", "policy")
    PROVIDER_REJECTED = (400, "INVALID_ARGUMENT", "caller")
    PROVIDER_ERROR = (502, "UNAVAILABLE", "provider")
    PROVIDER_UNAVAILABLE = (503, "UNAVAILABLE", "provider")
    QUEUE_FULL = (503, "UNAVAILABLE", "us")
    LEDGER_UNAVAILABLE = (503, "UNAVAILABLE", "us")
    PROVIDER_TIMEOUT = (504, "DEADLINE_EXCEEDED", "provider")
    INTERNAL = (500, "INTERNAL", "us")

    def __init__(self, http: int, grpc: str, fault: Fault) -> None:
        self.http = http
        self.grpc = grpc
        self.fault: Fault = fault

    @property
    def is_failure(self) -> bool:
        """A call that ends with it has failed; with any other it was refused, for what its caller or a policy says."""
        return self.fault in ("provider", "us")

    # Members whose numbers are equal would become aliases of each other: identity is the name.
    def __new__(cls, *_: object) -> Self:
        member = object.__new__(cls)
        member._value_ = len(cls.__members__)
        return member


class ApiError(Exception):
    """What a caller is told. Each door renders it in its own dialect.

    `status` is the HTTP status; `param` names the field at fault; `retry_after_s` becomes `Retry-After`.
    `retryable` says whether the same call may succeed later; where it is False the answer says so to SDKs. `provider`
    is whose failure it is, after so many `attempts` in all.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        param: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
        provider: str | None = None,
        attempts: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.status = status or code.http
        self.retry_after_s = retry_after_s
        self.provider = provider
        self.attempts = attempts

    @property
    def retryable(self) -> bool:
        return self.code.is_failure or self.code is Code.RATE_LIMITED


def invalid(message: str, *, param: str | None = None) -> ApiError:
    return ApiError(Code.INVALID_REQUEST, message, param=param)


def unsupported(field: str, reason: str) -> ApiError:
    """A field that would be lost in translation, refused by name."""
    return ApiError(Code.UNSUPPORTED_FIELD, f"'{field}' {reason}", param=field)
