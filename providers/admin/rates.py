"""Prices in forms: shown as they are in force, and changed only by adding a row."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from core import display
from providers.admin.fields import RateField, is_new
from providers.models import Deployment, Price
from providers.operations import Rates
from providers.prices import has_exchange_rate

UNPRICED = "no price: cost unknown"
NO_EXCHANGE_RATE = "no exchange rate: cost unknown"
_COLUMNS = {
    "input_price": "input_per_million",
    "output_price": "output_per_million",
    "cached_price": "cached_input_per_million",
}
PRICES = tuple(_COLUMNS)


def in_force(deployment: Deployment, now: datetime) -> Price | None:
    """As `Deployment.price_at`, from rows that may have been fetched already."""
    return max(
        (price for price in deployment.prices.all() if price.valid_from <= now),
        key=lambda price: price.valid_from,
        default=None,
    )


def trouble(price: Price | None, now: datetime) -> str:
    """Why the cost of calls at `price` is unknown; "" where it is known."""
    if price is None:
        return UNPRICED
    return "" if has_exchange_rate(price.currency, now) else NO_EXCHANGE_RATE


def summary(price: Price) -> str:
    """`$2.50 in · $10 out`."""
    both = (price.input_per_million, price.output_per_million)
    into, out = (display.rate(amount, price.currency) for amount in both)
    return f"{into} in · {out} out"


def shown(name: str, deployment: Deployment) -> str:
    """The rate in force that `PricedModelForm` has under this name."""
    price = in_force(deployment, timezone.now())
    return display.rate(getattr(price, _COLUMNS[name]), price.currency) if price is not None else "–"


class PricedModelForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    """A model with the price in force beside it. `new_rates()` tells whether its price was changed."""

    input_price = RateField(label="Input")
    output_price = RateField(label="Output")
    cached_price = RateField(label="Cached input")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.price = in_force(self.instance, timezone.now()) if not is_new(self.instance) else None
        if self.price is not None:
            for name, column in _COLUMNS.items():
                self.initial[name] = getattr(self.price, column)
        if self.price is not None and self.price.currency != "USD":
            for name in _COLUMNS:
                attrs = self.fields[name].widget.attrs
                attrs["prefix"] = self.price.currency
                attrs["class"] += " aip-currency"

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        is_embedding = data.get("type") == Deployment.Type.EMBEDDING
        if is_embedding and data.get("input_price") is not None and data.get("output_price") is None:
            data["output_price"] = Decimal(0)  # it puts nothing out
        given = {name: data.get(name) for name in _COLUMNS}
        both = given["input_price"] is not None and given["output_price"] is not None
        if both or self.errors.keys() & _COLUMNS.keys():
            return data
        if self.price is not None:
            raise ValidationError(
                {"input_price": "A price cannot be taken back. Enter the new one; 0 is free of charge."}
            )
        if any(amount is not None for amount in given.values()):
            missing = "input_price" if given["input_price"] is None else "output_price"
            raise ValidationError({missing: "Enter both prices, input and output; 0 is free of charge."})
        return data

    def new_rates(self) -> Rates | None:
        """The rates to be in force from now on; None where they are what they were."""
        if not self.has_changed() or not set(self.changed_data) & _COLUMNS.keys():
            return None
        given = {column: self.cleaned_data[name] for name, column in _COLUMNS.items()}
        if given["input_per_million"] is None:
            return None
        before = (
            Rates.of(self.price)
            if self.price is not None
            else Rates(input_per_million=Decimal(0), output_per_million=Decimal(0))
        )
        return dataclasses.replace(before, **given)
