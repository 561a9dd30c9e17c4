"""The forms that look at administrators' passwords: to sign in, and to give oneself another one.

Both refuse whoever guesses (`accounts.guessing`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from unfold.forms import AdminOwnPasswordChangeForm, AuthenticationForm

from accounts import audit, guessing
from accounts.audit_entries import AuditEntry

LookedT = TypeVar("LookedT")

PATIENCE_S = 3.0
# Finding out whether a password is right takes 100 MB and all cores: strangers could fill a process with that.
_one_at_a_time = threading.Lock()


class SignInForm(AuthenticationForm):  # type: ignore[misc]  # unfold publishes no types
    def clean(self) -> dict[str, Any]:
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        look: Callable[[], dict[str, Any]] = super().clean
        return _looked_at(look, name, address_of(self.request)) if name and password else look()


class OwnPasswordForm(AdminOwnPasswordChangeForm):  # type: ignore[misc]  # as above
    """Without a bound, whoever finds a browser signed in could try all passwords as the old one."""

    def __init__(self, *args: Any, address: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._address = address

    def clean_old_password(self) -> str:
        look: Callable[[], str] = super().clean_old_password
        return _looked_at(look, self.user.get_username(), self._address)

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's
        with transaction.atomic():
            audit.note(self.user, AuditEntry.Action.CHANGED, ["password"])
            return super().save(commit)


def address_of(request: HttpRequest) -> str:
    """Who asks; where a proxy that is trusted stands before us, as it says (`aiplatform.asgi`)."""
    address: str = request.META.get("REMOTE_ADDR") or ""
    return address


def _looked_at(look: Callable[[], LookedT], name: str, address: str) -> LookedT:
    """What `look` returns, which raises `ValidationError` where the password is wrong."""
    if not _one_at_a_time.acquire(timeout=PATIENCE_S):
        raise ValidationError("Many are signing in just now. Try again in a moment.", code="busy")
    try:
        number = _counted(name, address)
        try:
            found = look()
        except ValidationError:
            guessing.was_wrong(number, name=name, address=address)
            raise
        guessing.was_right(name=name, address=address)
        return found
    finally:
        _one_at_a_time.release()


def _counted(name: str, address: str) -> int:
    try:
        return guessing.begin(name=name, address=address, now=timezone.now())
    except guessing.TooManyGuessesError as error:
        minutes = max(math.ceil(error.left.total_seconds() / 60), 1)
        wait = f"{minutes} minutes" if minutes > 1 else "a minute"
        of_whom, with_it = ("", "") if error.of_all_names else (" for this name", " with it")
        raise ValidationError(
            f"Too many wrong passwords were given{of_whom}. Nobody can sign in{with_it} from here for a while: "
            f"try again in {wait}.",
            code="too_many_guesses",
        ) from error
