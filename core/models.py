"""What our models share."""

import json
from datetime import UTC, datetime
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from core.ids import uuid7


class Identified(models.Model):
    """A UUIDv7 primary key: made by us, ordered by time, safe to show."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta:
        abstract = True


def _rate(name: str) -> models.PositiveIntegerField:  # type: ignore[type-arg]  # generic only in the stubs
    return models.PositiveIntegerField(name, null=True, blank=True, validators=[MinValueValidator(1)])


class RateLimited(models.Model):
    """How much in any minute and in any hour. An empty limit is no limit."""

    requests_per_minute = _rate("calls a minute")
    requests_per_hour = _rate("calls an hour")
    tokens_per_minute = _rate("tokens a minute")
    tokens_per_hour = _rate("tokens an hour")

    class Meta:
        abstract = True


def printable(name: str) -> None:
    """Refuse what no HTTP header, log line or list can hold: line breaks, tabs, and what nobody sees."""
    if not name.isprintable():
        raise ValidationError("Use letters, digits, signs and plain spaces, without line breaks.")


def json_object(value: object) -> None:
    """Refuse what is no object, or not for every database: PostgreSQL takes no NUL or half a pair, none a NaN."""
    if not isinstance(value, dict):
        raise ValidationError('Write a JSON object, for example {"temperature": 0.7}.')
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        text = None
    if text is None or rb"\u0000" in text:
        raise ValidationError("This holds a NUL, half a surrogate pair, or a number without a value.")


_EXACT_DIGITS = 15  # what SQLite keeps of a decimal number


def exact(amount: Decimal) -> None:
    """Refuse what a database would round."""
    if len(amount.normalize().as_tuple().digits) > _EXACT_DIGITS:
        raise ValidationError(f"At most {_EXACT_DIGITS} significant digits can be kept.")


OF_ANY_CLOCK = "Choose a time between the years 1971 and 9989."
_FIRST_MOMENT, _LAST_MOMENT = datetime(1971, 1, 1, tzinfo=UTC), datetime(9990, 1, 1, tzinfo=UTC)


def moment_of_any_clock(moment: datetime) -> None:
    """Refuse what some time zone's clock cannot tell: years end at 9999, and keys of the books begin in 1970."""
    if not _FIRST_MOMENT <= moment < _LAST_MOMENT:
        raise ValidationError(OF_ANY_CLOCK)
