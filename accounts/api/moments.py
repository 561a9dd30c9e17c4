"""Times in the management API."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from rest_framework import serializers

from core.models import OF_ANY_CLOCK


class Moment(serializers.DateTimeField):
    """A time without a zone is of the installation's, whose clock may not reach it: there DRF's own field overflows."""

    default_error_messages: ClassVar[dict[str, Any]] = {"overflow": OF_ANY_CLOCK}

    def enforce_timezone(self, value: datetime) -> datetime:
        try:
            return super().enforce_timezone(value)
        except OverflowError:
            self.fail("overflow")
