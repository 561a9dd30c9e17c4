"""Our prices beside the published ones, and the published ones taken over. A price set by hand stays unless told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec
from django.db import transaction
from django.db.models import Prefetch

from core import display
from providers import published
from providers.models import Deployment, Price
from providers.operations import Rates, join_with_first_price, set_price
from providers.published import Published
from usage.pricing import DOLLARS, RATE_NAMES, TierPrice

LABELS = {
    "input_per_million": "Input",
    "output_per_million": "Output",
    "cached_input_per_million": "Cached input",
    "cache_write_5m_per_million": "Cache write, 5 min",
    "cache_write_1h_per_million": "Cache write, 1 hour",
    "audio_input_per_million": "Audio input",
    "image_input_per_million": "Image input",
    "reasoning_per_million": "Reasoning",
    "audio_output_per_million": "Audio output",
    "image_output_per_million": "Image output",
    "per_request": "Per call",
}


_NONE = dict.fromkeys(LABELS) | {"per_request": Decimal(0)}  # the rates of a model without a price


class Verdict(StrEnum):
    """What is to be done about a model's price."""

    NEW = "no price yet"
    CHANGED = "changed"
    BY_HAND = "set by hand"
    SAME = "the same"
    UNKNOWN = "not published"


class Change(msgspec.Struct, frozen=True):
    """One rate, as people read it; a dash where there is none of its own."""

    label: str
    old: str
    new: str


class Comparison(msgspec.Struct, frozen=True):
    """A model's price and what is published for it. `found` is None where nothing is."""

    deployment: Deployment
    price: Price | None
    found: Published | None
    verdict: Verdict
    changes: tuple[Change, ...] = ()

    @property
    def differs(self) -> bool:
        return self.verdict in (Verdict.NEW, Verdict.CHANGED, Verdict.BY_HAND)


def compare(*, now: datetime) -> list[Comparison]:
    """Every model that gets calls."""
    deployments = Deployment.objects.filter(is_active=True, provider__is_active=True).select_related("provider")
    begun = Price.objects.filter(valid_from__lte=now).order_by("-valid_from").prefetch_related("tiers")
    deployments = deployments.prefetch_related(Prefetch("prices", begun))
    return [_comparison(each, now) for each in deployments.order_by("provider__slug", "name")]


def adopt(comparisons: Iterable[Comparison], *, now: datetime) -> int:
    """Take the published prices over, from `now` on. Returns how many."""
    number = 0
    with transaction.atomic():
        for each in comparisons:
            if each.found is not None and each.differs:
                set_price(each.deployment, each.found.rates, now=now)
                join_with_first_price(each.deployment)
                number += 1
    return number


def _comparison(deployment: Deployment, now: datetime) -> Comparison:
    price = next(iter(deployment.prices.all()), None)  # those that have begun, the newest first
    address, model = deployment.provider.address, deployment.model_at_provider
    found = published.find(address=address, model=model, now=now)
    ours = Rates.of(price) if price is not None else None
    if found is None:
        return Comparison(deployment, price, None, Verdict.UNKNOWN)
    changes = tuple(_changes(ours, found.rates))
    return Comparison(deployment, price, found, _verdict(price, ours, found.rates), changes)


def _verdict(price: Price | None, ours: Rates | None, theirs: Rates) -> Verdict:
    if price is None:
        return Verdict.NEW
    if ours == theirs:
        return Verdict.SAME
    return Verdict.CHANGED if price.source else Verdict.BY_HAND


def _changes(old: Rates | None, new: Rates) -> list[Change]:
    """The rates that differ, those of long prompts after the others."""
    before = old.currency if old is not None else DOLLARS
    found = [
        _change(label, getattr(old, name, _NONE[name]), before, getattr(new, name)) for name, label in LABELS.items()
    ]
    mine, theirs = _by_bound(old), _by_bound(new)
    for bound in sorted(mine.keys() | theirs.keys()):
        found += [
            _change(
                f"{LABELS[name]}, over {bound:,}",
                getattr(mine.get(bound), name, None),
                before,
                getattr(theirs.get(bound), name, None),
            )
            for name in RATE_NAMES
        ]
    return [each for each in found if each.old != each.new]


def _by_bound(rates: Rates | None) -> dict[int, TierPrice]:
    return {tier.above_tokens: tier for tier in rates.tiers} if rates is not None else {}


def _change(label: str, old: Decimal | None, currency: str, new: Decimal | None) -> Change:
    return Change(label, display.rate(old, currency), display.rate(new))
