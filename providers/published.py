"""The prices that providers publish, as the package genai-prices lists them. It is read offline: nothing is loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import msgspec

from providers.operations import Rates
from usage.pricing import TierPrice

_PACKAGE = "genai-prices"
# Its names for our rates; of several, the first that is there. Cache writes without a kind are for five minutes.
_RATES = {
    "input_per_million": ("input_mtok",),
    "output_per_million": ("output_mtok",),
    "cached_input_per_million": ("cache_read_mtok",),
    "cache_write_5m_per_million": ("cache_write_5m_mtok", "cache_write_mtok"),
    "cache_write_1h_per_million": ("cache_write_1h_mtok", "cache_write_mtok"),
    "audio_input_per_million": ("input_audio_mtok",),
    "image_input_per_million": ("input_image_mtok",),
    "reasoning_per_million": ("output_reasoning_mtok",),
    "audio_output_per_million": ("output_audio_mtok",),
    "image_output_per_million": ("output_image_mtok",),
}
_PER_1000_REQUESTS = "requests_kcount"
_KNOWN = {_PER_1000_REQUESTS, *(name for names in _RATES.values() for name in names)}


class Published(msgspec.Struct, frozen=True):
    """`name` is the list's own for the model; `notes` say what of the list our rates cannot express."""

    name: str
    rates: Rates
    notes: tuple[str, ...] = ()


def find(*, address: str, model: str, now: datetime) -> Published | None:
    """The published price of `model` at the API of that address; None where the list has none per token."""
    from genai_prices.data import providers  # noqa: PLC0415 -- takes 0.3 s, and few processes ask

    for provider in providers:
        if re.match(provider.api_pattern, address):
            found = provider.find_model(model, all_providers=providers)
            return _published(f"{provider.id}/{found.id}", found, now) if found else None
    return None


def _published(name: str, model: Any, now: datetime) -> Published | None:
    prices, notes = _in_force(model, now)
    listed = {key: value for key, value in vars(prices).items() if value is not None}
    if "input_mtok" not in listed:
        return None  # by the hour, the page, the picture
    beyond = sorted(listed.keys() - _KNOWN)
    if beyond:
        notes = [*notes, f"Not covered by our rates: {', '.join(map(_words, beyond))}."]
    return Published(name, _rates(listed), tuple(notes))


def _in_force(model: Any, now: datetime) -> tuple[Any, list[str]]:
    """The prices at `now`; of those that depend on the time of day the dearest, so that no call costs more."""
    if not isinstance(model.prices, list):
        return model.prices, []
    by_clock = [each.prices for each in model.prices if hasattr(each.constraint, "start_time")]
    if by_clock:
        candidates = [*by_clock, *(each.prices for each in model.prices if each.constraint is None)]
        return max(candidates, key=_dearness), ["It depends on the time of day: this is the dearest."]
    planned = [each.constraint.start_date for each in model.prices if each.constraint is not None]
    coming = [f"Another price comes on {day:%-d %b %Y}." for day in planned if day > now.date()][:1]
    return model.get_prices(now), coming


def _words(key: str) -> str:
    """`web searches`, of `web_searches_kcount`."""
    return key.removesuffix("_kcount").removesuffix("_mtok").replace("_", " ")


def _dearness(prices: Any) -> Decimal:
    listed = vars(prices)
    return _at(listed.get("input_mtok"), 0) + _at(listed.get("output_mtok"), 0)


def _rates(listed: Mapping[str, Any]) -> Rates:
    starts = sorted({tier.start for value in listed.values() for tier in getattr(value, "tiers", ())})
    return Rates(
        **_columns(listed, lambda value: _at(value, 0)),
        per_request=_at(listed.get(_PER_1000_REQUESTS), 0) / 1000,
        tiers=tuple(_tier(listed, start) for start in starts),
        source=f"{_PACKAGE} {version(_PACKAGE)}",
    )


def _tier(listed: Mapping[str, Any], above_tokens: int) -> TierPrice:
    return TierPrice(above_tokens=above_tokens, **_columns(listed, lambda value: _at(value, above_tokens + 1)))


def _columns(listed: Mapping[str, Any], at: Callable[[Any], Decimal]) -> dict[str, Any]:
    """Our rates. What the list leaves out is part of input or output with it as with us; an answer may be free."""
    columns = {
        ours: at(next(listed[name] for name in names if name in listed))
        for ours, names in _RATES.items()
        if any(name in listed for name in names)
    }
    return {"output_per_million": Decimal(0)} | columns


def _at(value: Any, prompt_tokens: int) -> Decimal:
    """A price, or that of its tier in which a prompt of so many tokens falls."""
    if value is None:
        return Decimal(0)
    if isinstance(value, Decimal):
        return value
    reached: list[Decimal] = [tier.price for tier in value.tiers if prompt_tokens > tier.start]
    return reached[-1] if reached else Decimal(value.base)
