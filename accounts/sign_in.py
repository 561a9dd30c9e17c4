"""The form on which administrators sign in."""

from __future__ import annotations

import math
import threading
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.forms import AuthenticationForm

from accounts import guessing

PATIENCE_S = 3.0
# Finding out whether a password is right takes 100 MB and all cores: strangers could fill a process with that.
_one_at_a_time = threading.Lock()


class SignInForm(AuthenticationForm):  # type: ignore[misc]  # unfold publishes no types
    """It refuses whoever guesses (`accounts.guessing`)."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any]
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not name or not password:
            cleaned = super().clean()
            return cleaned
        if not _one_at_a_time.acquire(timeout=PATIENCE_S):
            raise ValidationError("Many are signing in just now. Try again in a moment.", code="busy")
        try:
            return self._tried(name)
        finally:
            _one_at_a_time.release()

    def _tried(self, name: str) -> dict[str, Any]:
        # Where a proxy that is trusted stands before us it has said who asks (`aiplatform.asgi`).
        address: str = self.request.META.get("REMOTE_ADDR") or ""
        number = self._counted(name, address)
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            guessing.was_wrong(number, name=name, address=address)
            raise
        guessing.was_right(name=name, address=address)
        return cleaned

    def _counted(self, name: str, address: str) -> int:
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
