"""What tokens cost. Pure: list prices and token counts in, whole pico-dollars out.

Exactness: rates are integers (ten decimals of money per million tokens, times ten decimals of dollars per unit of a
currency), sums of tokens x rates are integers, and each of a cost's three parts (input, output, request) is rounded
once, half-even, to whole pico-dollars. The total is the sum of its parts. Nothing else rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import zip_longest
from typing import TypeVar
from uuid import UUID

import msgspec

from core.money import PICO_PER_USD, divide_half_even
from wire.neutral import Usage

DOLLARS = "USD"
_RATE_PER_UNIT_A_MILLION = 10**10  # of a rate: ten decimals
_EXCHANGE_SCALE = 10**10  # of an exchange rate: ten decimals
_RATES_IN_A_PICO = 10**4  # $1 a million tokens is 10**6 pico-dollars a token, and 10**10 as a rate


# --- prices as they are published ---------------------------------------------------------------------------------


class PerMillion(msgspec.Struct, frozen=True, kw_only=True):
    """Money for a million tokens of each kind. None: billed as the kind it is part of, input or output."""

    input_per_million: Decimal
    output_per_million: Decimal
    cached_input_per_million: Decimal | None = None
    cache_write_5m_per_million: Decimal | None = None
    cache_write_1h_per_million: Decimal | None = None
    audio_input_per_million: Decimal | None = None
    image_input_per_million: Decimal | None = None
    reasoning_per_million: Decimal | None = None
    audio_output_per_million: Decimal | None = None
    image_output_per_million: Decimal | None = None


class TierPrice(PerMillion, frozen=True, kw_only=True):
    """What the whole call costs whose prompt has more than `above_tokens` tokens."""

    above_tokens: int


class ListPrice(PerMillion, frozen=True, kw_only=True):
    """A price in its own currency. `per_request` is for the call itself, whatever its tier."""

    price_id: UUID
    valid_from: datetime
    currency: str = DOLLARS
    per_request: Decimal = Decimal(0)
    tiers: tuple[TierPrice, ...] = ()


class Exchange(msgspec.Struct, frozen=True):
    """Dollars for a unit of `currency`, in force until a later one of the same currency."""

    currency: str
    valid_from: datetime
    usd_per_unit: Decimal


RATE_NAMES = PerMillion.__struct_fields__
_Dated = TypeVar("_Dated", ListPrice, Exchange)


# --- prices ready to multiply -------------------------------------------------------------------------------------


class Scale(msgspec.Struct, frozen=True, gc=False):
    """Integers for a token of each kind, and the dearest of each side. `Rates.divisor` of them are a pico-dollar."""

    input: int
    output: int
    cached_input: int
    cache_write_5m: int
    cache_write_1h: int
    audio_input: int
    image_input: int
    reasoning: int
    audio_output: int
    image_output: int
    dearest_input: int
    dearest_output: int


class Tier(msgspec.Struct, frozen=True):
    """`scale` prices calls whose prompt has more than `above_tokens` tokens."""

    above_tokens: int
    scale: Scale


class Rates(msgspec.Struct, frozen=True):
    """A price at one exchange rate, in force until `valid_until` (None: for good). `tiers`: the highest first.

    `usd_per_unit` is None where the price is in dollars. Make it with `rates` or `timeline`.
    """

    price_id: UUID
    valid_from: datetime
    valid_until: datetime | None
    usd_per_unit: Decimal | None
    scale: Scale
    tiers: tuple[Tier, ...]
    divisor: int
    per_request_pico: int


class Cost(msgspec.Struct, frozen=True, gc=False):
    """Pico-dollars by part."""

    input_pico: int
    output_pico: int
    request_pico: int

    @property
    def total_pico(self) -> int:
        return self.input_pico + self.output_pico + self.request_pico


FREE = Cost(0, 0, 0)


def timeline(
    prices: Sequence[ListPrice], exchanges: Sequence[Exchange], *, since: datetime | None = None
) -> tuple[Rates, ...]:
    """A model's rates, newest first, from its list prices: one for each price and exchange rate that meet.

    What ended before `since` is left out. A time whose exchange rate is unknown is a gap.
    """
    found = [
        each
        for price, end in _spans(prices)
        for each in _segments(price, exchanges, until=end)
        if since is None or each.valid_until is None or each.valid_until > since
    ]
    return tuple(reversed(found))


def _segments(price: ListPrice, exchanges: Sequence[Exchange], *, until: datetime | None) -> Iterator[Rates]:
    """`price` until `until`, at the exchange rates of its time."""
    if price.currency == DOLLARS:
        yield rates(price, valid_until=until)
        return
    for exchange, replaced in _spans([each for each in exchanges if each.currency == price.currency]):
        start = max(price.valid_from, exchange.valid_from)
        end = min((each for each in (until, replaced) if each is not None), default=None)
        if end is None or start < end:
            dated = msgspec.structs.replace(price, valid_from=start)
            yield rates(dated, valid_until=end, usd_per_unit=exchange.usd_per_unit)


def _spans(rows: Sequence[_Dated]) -> Iterator[tuple[_Dated, datetime | None]]:
    """Each row, oldest first, and when the next begins."""
    ordered = sorted(rows, key=lambda row: row.valid_from)
    for row, after in zip_longest(ordered, ordered[1:]):
        yield row, after.valid_from if after else None


def rates(price: ListPrice, *, valid_until: datetime | None = None, usd_per_unit: Decimal | None = None) -> Rates:
    """`price` ready to multiply; `usd_per_unit` converts it where it is not in dollars."""
    factor, unit = (1, 1) if usd_per_unit is None else (int(usd_per_unit * _EXCHANGE_SCALE), _EXCHANGE_SCALE)
    tiers = sorted(price.tiers, key=lambda tier: tier.above_tokens, reverse=True)
    per_request_pico = int(price.per_request * PICO_PER_USD)
    return Rates(
        price_id=price.price_id,
        valid_from=price.valid_from,
        valid_until=valid_until,
        usd_per_unit=usd_per_unit,
        scale=_scale(price, factor),
        tiers=tuple(Tier(tier.above_tokens, _scale(tier, factor)) for tier in tiers),
        divisor=_RATES_IN_A_PICO * unit,
        per_request_pico=divide_half_even(per_request_pico * factor, unit),
    )


def _scale(price: PerMillion, factor: int) -> Scale:
    def scaled(rate: Decimal | None, whole: Decimal) -> int:
        return int((whole if rate is None else rate) * _RATE_PER_UNIT_A_MILLION) * factor

    prompt, answer = price.input_per_million, price.output_per_million
    read = {
        "input": scaled(prompt, prompt),
        "cached_input": scaled(price.cached_input_per_million, prompt),
        "cache_write_5m": scaled(price.cache_write_5m_per_million, prompt),
        "cache_write_1h": scaled(price.cache_write_1h_per_million, prompt),
        "audio_input": scaled(price.audio_input_per_million, prompt),
        "image_input": scaled(price.image_input_per_million, prompt),
    }
    written = {
        "output": scaled(answer, answer),
        "reasoning": scaled(price.reasoning_per_million, answer),
        "audio_output": scaled(price.audio_output_per_million, answer),
        "image_output": scaled(price.image_output_per_million, answer),
    }
    return Scale(**read, **written, dearest_input=max(read.values()), dearest_output=max(written.values()))


def in_force(history: Sequence[Rates], moment: datetime) -> Rates | None:
    """The rates in force at `moment`, of a `timeline`; None: the price is unknown then."""
    for each in history:
        if each.valid_from <= moment:
            return each if each.valid_until is None or moment < each.valid_until else None
    return None


# --- what a call costs --------------------------------------------------------------------------------------------


def cost(price: Rates, usage: Usage) -> Cost:
    """What `usage`, which is consistent (`usage.taxonomy`), costs: every token once, at the rate of its kind."""
    scale = price.scale
    prompt, answer = usage.input_tokens, usage.output_tokens
    for tier in price.tiers:
        if prompt > tier.above_tokens:
            scale = tier.scale
            break
    cached, written_5m, written_1h = usage.cached_input_tokens, usage.cache_write_5m_tokens, usage.cache_write_1h_tokens
    heard, seen = usage.audio_input_tokens, usage.image_input_tokens
    into = prompt * scale.input
    if cached or written_5m or written_1h or heard or seen:
        plain = scale.input
        into += (
            cached * (scale.cached_input - plain)
            + written_5m * (scale.cache_write_5m - plain)
            + written_1h * (scale.cache_write_1h - plain)
            + heard * (scale.audio_input - plain)
            + seen * (scale.image_input - plain)
        )
    thought, said, drawn = usage.reasoning_tokens, usage.audio_output_tokens, usage.image_output_tokens
    out = answer * scale.output
    if thought or said or drawn:
        plain = scale.output
        out += (
            thought * (scale.reasoning - plain)
            + said * (scale.audio_output - plain)
            + drawn * (scale.image_output - plain)
        )
    divisor = price.divisor
    return Cost(divide_half_even(into, divisor), divide_half_even(out, divisor), price.per_request_pico)


def upper_bound_pico(price: Rates, *, input_tokens: int, output_tokens: int) -> int:
    """The most that a call of at most so many tokens can cost: each at the dearest rate of its side and of any tier.

    Each side is rounded up: two halves that `cost` rounds up must fit.
    """
    dearest_input = price.scale.dearest_input
    for tier in price.tiers:
        if input_tokens > tier.above_tokens:
            dearest_input = max(dearest_input, tier.scale.dearest_input)
    into_pico = -(-input_tokens * dearest_input // price.divisor)
    more_pico = more_output_bound_pico(price, input_tokens=input_tokens, output_tokens=output_tokens)
    return into_pico + more_pico + price.per_request_pico


def more_output_bound_pico(price: Rates, *, input_tokens: int, output_tokens: int) -> int:
    """The most that `output_tokens` further tokens add to a call whose prompt has at most `input_tokens`."""
    dearest_output = price.scale.dearest_output
    for tier in price.tiers:
        if input_tokens > tier.above_tokens:
            dearest_output = max(dearest_output, tier.scale.dearest_output)
    return -(-output_tokens * dearest_output // price.divisor)
