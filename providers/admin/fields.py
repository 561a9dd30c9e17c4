"""Form fields in the units and words of people."""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
)

from core import amounts
from core.display import plain
from core.vault import Secret


def is_new(row: models.Model) -> bool:
    """Not in the database yet. Our keys are made beforehand, so a key does not tell."""
    return row._state.adding


class SecondsField(forms.DecimalField):
    """Typed and shown in seconds, stored in milliseconds."""

    default_error_messages: ClassVar = {"invalid": "Enter a number of seconds, for example 2.5."}

    def __init__(self, **options: Any) -> None:
        self._bounds: list[MinValueValidator | MaxValueValidator] = []
        widget = UnfoldAdminTextInputWidget({"suffix": "seconds", "inputmode": "decimal", "class": "aip-short"})
        super().__init__(max_digits=10, decimal_places=3, widget=widget, **options)

    def prepare_value(self, value: Any) -> Any:
        return plain(Decimal(value) / 1000) if isinstance(value, int) else value

    def to_python(self, value: Any) -> Any:
        seconds = super().to_python(value)
        if seconds is None:
            return None
        if not seconds.is_finite() or seconds.adjusted() > 9:
            raise ValidationError(self.error_messages["invalid"])
        return int(seconds * 1000)

    def validate(self, value: Any) -> None:
        forms.Field.validate(self, value)

    def bound_by(self, column: Any) -> None:
        """What the column's bounds refuse in milliseconds is refused here already, and told in seconds."""
        self._bounds = [each for each in column.validators if isinstance(each, MinValueValidator | MaxValueValidator)]

    def run_validators(self, value: Any) -> None:
        for bound in self._bounds:
            if value is not None and bound.compare(value, bound.limit_value):
                side = "At least" if isinstance(bound, MinValueValidator) else "At most"
                limit = plain(Decimal(bound.limit_value) / 1000)
                raise ValidationError(f"{side} {limit} second{'' if limit == '1' else 's'}.")


class MomentField(forms.SplitDateTimeField):
    """A day and a time; a day alone is its midnight, by the reader's clock."""

    widget = UnfoldAdminSplitDateTimeWidget

    def compress(self, data_list: Any) -> Any:
        if data_list and data_list[0] and not data_list[1]:
            data_list = [data_list[0], time.min]
        return super().compress(data_list)


class NewKeyField(forms.CharField):
    """A provider's key, written and never shown. Its value is a `Secret`, or None where it was left empty."""

    def __init__(self, **options: Any) -> None:
        attrs = {"autocomplete": "new-password", "placeholder": "paste the key", "class": "aip-key"}
        super().__init__(max_length=4_000, required=False, widget=UnfoldAdminPasswordWidget(attrs), **options)

    def clean(self, value: Any) -> Any:
        text = str(super().clean(value))
        if not text:
            return None
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValidationError("That does not look like a key: a key has no spaces and only plain characters.")
        return Secret(text)


class RateField(forms.DecimalField):
    """A price per million tokens, with a dollar sign unless the form names the currency (`prefix=""`)."""

    default_error_messages: ClassVar = {"invalid": amounts.WANTED}

    def __init__(self, *, prefix: str = "$", **options: Any) -> None:
        attrs = {"inputmode": "decimal", "class": "aip-rate pl-7" if prefix else "aip-amount"}
        attrs |= {"prefix": prefix} if prefix else {}
        super().__init__(
            max_digits=20,
            decimal_places=10,
            min_value=Decimal(0),
            required=False,
            widget=UnfoldAdminTextInputWidget(attrs),
            **options,
        )

    def prepare_value(self, value: Any) -> Any:
        return plain(value) if isinstance(value, Decimal) else value

    def to_python(self, value: Any) -> Any:
        return super().to_python(amounts.without_dollar_sign(value) if isinstance(value, str) else value)


class CapabilitiesField(forms.MultipleChoiceField):
    """Ticks instead of a JSON list; a capability that the list here does not know stays."""

    KNOWN = (
        ("tools", "Tools (function calls)"),
        ("vision", "Images in the prompt"),
        ("json_schema", "Answers by a JSON schema"),
        ("reasoning", "Reasoning"),
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, choices=self.KNOWN, widget=UnfoldAdminCheckboxSelectMultipleWidget, **options)

    def offer(self, present: list[str]) -> None:
        """Let what is already there be ticked too."""
        known = {name for name, _ in self.KNOWN}
        self.choices = [*self.KNOWN, *((name, name) for name in present if name not in known)]
