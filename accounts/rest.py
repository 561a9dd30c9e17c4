"""Who may use the management API: administrators in their session, and keys with the `manage` scope."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ObjectDoesNotExist, RequestDataTooBig
from django.core.exceptions import ValidationError as InvalidModelError
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils import timezone
from django.views import defaults
from rest_framework import exceptions, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.fields import get_error_detail
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import keys, tokens
from accounts.api.camel import camel_errors
from accounts.models import ApiKey, Client
from accounts.tokens import Claims, TokenError

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which loads this module

_USE_NOTED_EVERY = timedelta(seconds=30)  # as that of calls is (`gateway.key_use`)

log = structlog.get_logger(__name__)


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer KEY`, `x-api-key: KEY` or `x-goog-api-key: KEY`, or a token instead of it.

    The request has no user. Its `auth` is the `ApiKey`, or the token's `Claims`.
    """

    def authenticate(self, request: Request) -> tuple[None, ApiKey | Claims] | None:
        given = request.headers
        names = ("Authorization", "x-api-key", "x-goog-api-key")
        secret = keys.presented(*(given.get(name, "") for name in names))
        if not secret:
            return None
        if tokens.is_token(secret):
            return None, _claims(secret)
        now = timezone.now()
        key = ApiKey.objects.select_related("client").filter(digest__in=keys.digests(secret)).first()
        if key is None or not key.is_usable(now):
            raise exceptions.AuthenticationFailed("This key is unknown, inactive or expired.")
        _note_use(key, now)
        return None, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _note_use(key: ApiKey, now: datetime) -> None:
    """Nobody's change of the key: the audit trail has nothing of it."""
    long_ago = now - _USE_NOTED_EVERY
    if key.last_used_at is not None and key.last_used_at > long_ago:
        return
    rows: QuerySet[ApiKey] = QuerySet(ApiKey).filter(Q(last_used_at=None) | Q(last_used_at__lte=long_ago), pk=key.pk)
    try:
        rows.update(last_used_at=now)
    except DatabaseError as error:  # what only reads goes on where nothing can be written
        log.warning("when a key was last used could not be written", error=str(error))


def _claims(token: str) -> Claims:
    """Raises `AuthenticationFailed`."""
    verifier = tokens.verifier()
    if verifier is None:
        raise exceptions.AuthenticationFailed("This key is unknown, inactive or expired.")
    try:
        claims = verifier.known(token, now=time.time()) or verifier.verify(token)
    except TokenError as error:
        raise exceptions.AuthenticationFailed(str(error)) from error
    if not Client.objects.filter(name=claims.client, is_active=True).exists():
        raise exceptions.AuthenticationFailed(f"There is no active client '{claims.client}'.")
    return claims


class CanEnter(BasePermission):
    """The session of one who may sign in to the admin, or a key of scope `manage`."""

    message = "This needs an administrator, or a key with the manage scope."

    def has_permission(self, request: Request, view: APIView) -> bool:
        if isinstance(request.auth, ApiKey | Claims):
            return request.auth.scope == ApiKey.Scope.MANAGE
        return bool(request.user and request.user.is_active and request.user.is_staff)


class CanManage(CanEnter):
    """The same, and in a session what the admin's pages allow its user: to see, add, change or delete `about`'s rows.

    `about` is the view's, else the model of its rows. `writes` are permissions that every change takes besides, and so
    does what `calls_out`, with a provider's key.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not super().has_permission(request, view):
            return False
        if request.auth is not None:
            return True
        missing = [needed for needed in _permissions(request, view) if not request.user.has_perm(needed)]
        if missing:
            self.message = f"This needs permissions that your user does not have: {', '.join(missing)}."
        return not missing


def _permissions(request: Request, view: APIView) -> list[str]:
    meta = (getattr(view, "about", None) or view.queryset.model)._meta  # type: ignore[attr-defined]  # one has each
    if request.method in SAFE_METHODS and not getattr(view, "calls_out", False):
        return [f"{meta.app_label}.view_{meta.model_name}"]
    verb = _VERBS.get(getattr(view, "action", None) or "", "change")
    return [f"{meta.app_label}.{verb}_{meta.model_name}", *getattr(view, "writes", ())]


_VERBS = {"create": "add", "destroy": "delete"}


def error_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every refusal in the platform's own form (API.md, section 1)."""
    from rest_framework.views import exception_handler  # noqa: PLC0415  # it loads this module

    error = _as_api_error(error, context.get("view"))
    answer = exception_handler(error, context)
    if answer is None:
        return None
    request: Request = context["request"]
    operation = getattr(context.get("view"), "action", None)
    detail = camel_errors(answer.data) if isinstance(answer.data, Mapping) else answer.data
    answer.data = error_body(request, answer.status_code, _message(detail), operation=operation)
    if isinstance(error, exceptions.ValidationError):
        answer.data["fields"] = detail
    if answer.status_code < _OURS:
        answer["x-should-retry"] = "false"
    return answer


def error_body(
    request: Request | HttpRequest, status_code: int, message: str, *, operation: str | None = None
) -> dict[str, Any]:
    return {
        "error": message,
        "error_code": _CODES.get(status_code, "INVALID_REQUEST"),
        "timestamp": time.time(),
        "request_id": request.META.get("HTTP_X_REQUEST_ID", ""),
        "context": {"operation": operation, "provider": None},
    }


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler404: under `/api/` in our form."""
    if not request.path.startswith("/api/"):
        return defaults.page_not_found(request, exception)
    body = error_body(request, 404, "There is nothing at this address.")
    return JsonResponse(body, status=404, headers={"x-should-retry": "false"})


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django's handler500: under `/api/` in our form. The trace is in the log."""
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    return JsonResponse(error_body(request, 500, "Something went wrong here. It has been logged."), status=500)


class DatabaseUnavailable(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The database cannot be reached. Try again."
    wait = 5  # seconds, sent as Retry-After


class BodyTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes."


def _as_api_error(error: Exception, view: APIView | None) -> Exception:
    """What the model or the database refused, as DRF would have refused it."""
    if isinstance(error, InvalidModelError):
        detail = get_error_detail(error)
        return exceptions.ValidationError(detail if isinstance(detail, dict) else {NON_FIELD_ERRORS: detail})
    if isinstance(error, IntegrityError):  # another writer came in between the check and the write
        return exceptions.ValidationError({"nonFieldErrors": ["This clashes with what was stored just now."]})
    if isinstance(error, OperationalError | InterfaceError):
        return DatabaseUnavailable()
    if isinstance(error, RequestDataTooBig):
        return BodyTooLarge()
    if isinstance(error, _gone(view)):  # found, and deleted before it was locked
        return exceptions.NotFound("This was deleted just now.")
    return error


def _gone(view: APIView | None) -> type[ObjectDoesNotExist] | tuple[()]:
    """What the view's own rows raise where one is not there; that another is not is a fault of ours."""
    rows: QuerySet[Any] | None = getattr(view, "queryset", None)
    return rows.model.DoesNotExist if rows is not None else ()


_OURS = 500  # from here on it is no fault of the caller, who may try again
_CODES = {
    status.HTTP_401_UNAUTHORIZED: "UNAUTHENTICATED",
    status.HTTP_403_FORBIDDEN: "FORBIDDEN",
    status.HTTP_404_NOT_FOUND: "NOT_FOUND",
    status.HTTP_413_REQUEST_ENTITY_TOO_LARGE: "PAYLOAD_TOO_LARGE",
    status.HTTP_429_TOO_MANY_REQUESTS: "RATE_LIMITED",
    status.HTTP_500_INTERNAL_SERVER_ERROR: "INTERNAL",
    status.HTTP_503_SERVICE_UNAVAILABLE: "LEDGER_UNAVAILABLE",
}


_OF_THE_WHOLE = ("nonFieldErrors", "non_field_errors")


def _message(detail: Any) -> str:
    """One text out of DRF's nested detail, naming the fields, as in `pricing.currency: This field is required.`."""
    if isinstance(detail, Mapping) and set(detail) == {"detail"}:
        return str(detail["detail"])
    return " ".join(_sentences(detail))


def _sentences(detail: Any, path: str = "") -> Iterator[str]:
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _sentences(inner, path if name in _OF_THE_WHOLE else f"{path}.{name}".lstrip("."))
    elif isinstance(detail, list | tuple):
        for inner in detail:
            yield from _sentences(inner, path)
    else:
        yield f"{path}: {detail}" if path else str(detail)
