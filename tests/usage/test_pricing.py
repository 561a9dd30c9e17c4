"""Pricing, with exact fractions as the judge."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import PICO_PER_USD
from usage import pricing
from usage.pricing import DOLLARS, Exchange, ListPrice, PerMillion, Rates, TierPrice
from wire.neutral import Usage

_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


def _price(**given: Any) -> ListPrice:
    usual: dict[str, Any] = {
        "price_id": UUID(int=1),
        "valid_from": _SINCE,
        "input_per_million": Decimal("2.50"),
        "output_per_million": Decimal(10),
    }
    return ListPrice(**usual | given)


def _rates(**given: Any) -> Rates:
    return pricing.rates(_price(**given))


def _usd(dollars: str) -> Fraction:
    return Fraction(dollars) * PICO_PER_USD


# --- one call -----------------------------------------------------------------------------------------------------


def test_a_call_costs_its_tokens_at_the_published_price() -> None:
    cost = pricing.cost(_rates(), Usage(input_tokens=1_000, output_tokens=500))
    assert cost.total_pico == _usd("0.0075")


def test_cached_and_reasoning_tokens_are_not_billed_twice() -> None:
    price = _rates(cached_input_per_million=Decimal("0.25"), reasoning_per_million=Decimal(20))
    usage = Usage(input_tokens=1_000, cached_input_tokens=800, output_tokens=100, reasoning_tokens=60)
    cost = pricing.cost(price, usage)
    assert cost.input_pico == (200 * Fraction("2.50") + 800 * Fraction("0.25")) / 10**6 * PICO_PER_USD
    assert cost.output_pico == (40 * 10 + 60 * 20) * PICO_PER_USD // 10**6


def test_a_rate_that_is_not_given_is_that_of_the_tokens_it_is_a_kind_of() -> None:
    usage = Usage(
        input_tokens=100,
        cached_input_tokens=50,
        cache_write_1h_tokens=30,
        image_input_tokens=20,
        output_tokens=10,
        reasoning_tokens=5,
        image_output_tokens=5,
    )
    assert pricing.cost(_rates(), usage) == pricing.cost(_rates(), Usage(input_tokens=100, output_tokens=10))


def test_a_price_for_the_call_itself_is_added_once_whatever_its_length() -> None:
    cost = pricing.cost(_rates(per_request=Decimal("0.012")), Usage())
    assert cost.request_pico == cost.total_pico == _usd("0.012")


def test_ten_decimals_a_million_are_exact() -> None:
    price = _rates(input_per_million=Decimal("0.0000000001"))
    assert pricing.cost(price, Usage(input_tokens=10_000)).input_pico == 1
    assert pricing.cost(price, Usage(input_tokens=5_000)).input_pico == 0  # half a pico-dollar, to even
    assert pricing.cost(price, Usage(input_tokens=15_000)).input_pico == 2


# --- long prompts -------------------------------------------------------------------------------------------------

_GEMINI = {
    "input_per_million": Decimal("1.25"),
    "cached_input_per_million": Decimal("0.125"),
    "tiers": (
        TierPrice(above_tokens=500_000, input_per_million=Decimal(4), output_per_million=Decimal(20)),
        TierPrice(
            above_tokens=200_000,
            input_per_million=Decimal("2.50"),
            output_per_million=Decimal(15),
            cached_input_per_million=Decimal("0.25"),
        ),
    ),
}


@pytest.mark.parametrize(
    ("prompt", "into", "out"),
    [(199_999, "1.25", 10), (200_000, "1.25", 10), (200_001, "2.50", 15), (500_000, "2.50", 15), (500_001, "4", 20)],
)
def test_the_whole_call_costs_what_its_prompts_tier_says(prompt: int, into: str, out: int) -> None:
    cost = pricing.cost(_rates(**_GEMINI), Usage(input_tokens=prompt, output_tokens=1_000))
    assert cost.input_pico == prompt * Fraction(into) * 10**6
    assert cost.output_pico == 1_000 * out * 10**6


def test_cached_tokens_count_towards_the_tier_and_cost_its_own_rate() -> None:
    cost = pricing.cost(_rates(**_GEMINI), Usage(input_tokens=200_001, cached_input_tokens=200_000))
    assert cost.input_pico == (200_000 * Fraction("0.25") + Fraction("2.50")) * 10**6


def test_a_tier_without_a_cached_rate_bills_cached_tokens_as_its_input() -> None:
    cost = pricing.cost(_rates(**_GEMINI), Usage(input_tokens=600_000, cached_input_tokens=600_000))
    assert cost.input_pico == 600_000 * 4 * 10**6


def test_a_bound_covers_only_the_tiers_that_the_prompt_can_reach() -> None:
    price = _rates(**_GEMINI)
    assert pricing.upper_bound_pico(price, input_tokens=1_000, output_tokens=10) == (1_250 + 100) * 10**6
    assert pricing.more_output_bound_pico(price, input_tokens=1_000, output_tokens=10) == 100 * 10**6
    assert pricing.more_output_bound_pico(price, input_tokens=200_001, output_tokens=10) == 150 * 10**6
    first = pricing.cost(price, Usage(input_tokens=200_001, output_tokens=10))
    assert pricing.upper_bound_pico(price, input_tokens=200_001, output_tokens=10) == first.total_pico


# --- against an oracle --------------------------------------------------------------------------------------------

_INPUT = {
    "cached_input_tokens": "cached_input_per_million",
    "cache_write_5m_tokens": "cache_write_5m_per_million",
    "cache_write_1h_tokens": "cache_write_1h_per_million",
    "audio_input_tokens": "audio_input_per_million",
    "image_input_tokens": "image_input_per_million",
}
_OUTPUT = {
    "reasoning_tokens": "reasoning_per_million",
    "audio_output_tokens": "audio_output_per_million",
    "image_output_tokens": "image_output_per_million",
}


@pytest.mark.parametrize("kind", [*_INPUT, *_OUTPUT])
def test_a_kind_that_comes_alone_is_billed_at_its_own_rate(kind: str) -> None:
    """As the first call of a prompt that is cached: some is written, and nothing read."""
    price = _rates(**{(_INPUT | _OUTPUT)[kind]: Decimal(7)})
    counts: dict[str, Any] = {"input_tokens" if kind in _INPUT else "output_tokens": 10, kind: 10}
    assert pricing.cost(price, Usage(**counts)).total_pico == 10 * 7 * 10**6


_money = st.decimals(0, 10_000, places=10)


def _per_million(shape: type[PerMillion], **more: Any) -> st.SearchStrategy[Any]:
    optional = {name: st.none() | _money for name in (*_INPUT.values(), *_OUTPUT.values())}
    return st.builds(shape, input_per_million=_money, output_per_million=_money, **optional, **more)


_tiers = st.lists(
    _per_million(TierPrice, above_tokens=st.integers(1, 2_000_000)),
    max_size=3,
    unique_by=lambda tier: tier.above_tokens,
).map(tuple)
_prices = _per_million(
    ListPrice,
    price_id=st.just(UUID(int=1)),
    valid_from=st.just(_SINCE),
    currency=st.just("EUR"),
    per_request=st.decimals(0, 10, places=10),
    tiers=_tiers,
)
_parts = st.integers(0, 300_000)


@st.composite
def _usages(draw: st.DrawFn) -> Usage:
    counts = {name: draw(_parts) for name in (*_INPUT, *_OUTPUT)}
    totals = {
        "input_tokens": sum(counts[name] for name in _INPUT) + draw(_parts),
        "output_tokens": sum(counts[name] for name in _OUTPUT) + draw(_parts),
    }
    return Usage(**counts, **totals)  # type: ignore[arg-type]  # every name is a count's


def _exact(price: ListPrice, usage: Usage, factor: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    """Input, output, request, in pico-dollars."""
    reached = [tier for tier in price.tiers if usage.input_tokens > tier.above_tokens]
    rates = max(reached, key=lambda tier: tier.above_tokens) if reached else price
    into = _side(rates, usage, "input_tokens", "input_per_million", _INPUT)
    out = _side(rates, usage, "output_tokens", "output_per_million", _OUTPUT)
    return into * factor, out * factor, Fraction(price.per_request) * PICO_PER_USD * factor


def _side(rates: PerMillion, usage: Usage, total: str, whole: str, kinds: Mapping[str, str]) -> Fraction:
    plain = getattr(usage, total) - sum(getattr(usage, kind) for kind in kinds)
    summed: Fraction = plain * Fraction(getattr(rates, whole))
    for kind, rate in kinds.items():
        own = getattr(rates, rate)
        summed += getattr(usage, kind) * Fraction(getattr(rates, whole) if own is None else own)
    return summed * 10**6


@given(_prices, _usages(), st.none() | st.decimals("0.0000000001", 1_000, places=10))
def test_every_part_is_the_exact_amount_rounded_once_half_even(
    price: ListPrice, usage: Usage, usd_per_unit: Decimal | None
) -> None:
    cost = pricing.cost(pricing.rates(price, usd_per_unit=usd_per_unit), usage)
    exact = _exact(price, usage, Fraction(1 if usd_per_unit is None else usd_per_unit))
    assert (cost.input_pico, cost.output_pico, cost.request_pico) == tuple(round(part) for part in exact)


@given(_prices, _usages(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_no_call_within_the_bounds_tokens_costs_more_than_the_bound(
    price: ListPrice, usage: Usage, fewer_read: int, fewer_written: int
) -> None:
    rates = pricing.rates(price, usd_per_unit=Decimal("1.0842"))
    bound = pricing.upper_bound_pico(
        rates, input_tokens=usage.input_tokens + fewer_read, output_tokens=usage.output_tokens + fewer_written
    )
    assert pricing.cost(rates, usage).total_pico <= bound


@given(_prices, _usages(), st.integers(0, 10**6))
def test_a_bound_and_its_extension_cover_the_longer_answer(price: ListPrice, usage: Usage, more: int) -> None:
    rates = pricing.rates(price)
    bound = pricing.upper_bound_pico(rates, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    added = pricing.more_output_bound_pico(rates, input_tokens=usage.input_tokens, output_tokens=more)
    whole = pricing.upper_bound_pico(rates, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens + more)
    assert bound + added >= whole


def test_two_halves_that_round_up_fit_the_bound() -> None:
    price = _rates(input_per_million=Decimal("0.0000015"), output_per_million=Decimal("0.0000015"))
    usage = Usage(input_tokens=1, output_tokens=1)
    assert pricing.cost(price, usage).total_pico == 4  # 1.5 and 1.5, each to the even 2
    assert pricing.upper_bound_pico(price, input_tokens=1, output_tokens=1) == 4


# --- in force -----------------------------------------------------------------------------------------------------


def _euros(first_day: int, usd: str) -> Exchange:
    return Exchange("EUR", _SINCE + first_day * _DAY, Decimal(usd))


def test_the_row_in_force_is_the_newest_that_has_begun() -> None:
    newer = _price(price_id=UUID(int=2), valid_from=_SINCE + 30 * _DAY)
    history = pricing.timeline([newer, _price()], [])
    assert [row.price_id.int for row in history] == [2, 1]
    assert pricing.in_force(history, _SINCE + 30 * _DAY) is history[0]
    assert pricing.in_force(history, _SINCE + 29 * _DAY) is history[1]
    assert pricing.in_force(history, _SINCE - timedelta(seconds=1)) is None


def test_a_price_in_euros_follows_the_exchange_rates_day_by_day() -> None:
    history = pricing.timeline([_price(currency="EUR")], [_euros(10, "1.20"), _euros(-5, "1.10")])
    rates = [pricing.in_force(history, _SINCE + day * _DAY) for day in (0, 9, 10, 400)]
    assert [each and each.usd_per_unit for each in rates] == [
        Decimal(each) for each in ("1.10", "1.10", "1.20", "1.20")
    ]
    assert {each and each.price_id for each in rates} == {UUID(int=1)}


def test_before_the_first_exchange_rate_a_price_is_unknown_and_the_older_price_stays_away() -> None:
    euros = _price(price_id=UUID(int=2), currency="EUR", valid_from=_SINCE + 5 * _DAY)
    history = pricing.timeline([_price(), euros], [_euros(8, "1.10")])
    found = [pricing.in_force(history, _SINCE + day * _DAY) for day in (4, 5, 7, 8)]
    assert [each and each.price_id.int for each in found] == [1, None, None, 2]


def test_and_so_it_does_where_both_are_in_other_currencies() -> None:
    pounds = _price(price_id=UUID(int=2), currency="GBP", valid_from=_SINCE + 5 * _DAY)
    history = pricing.timeline([_price(currency="EUR"), pounds], [_euros(0, "1.10"), _euros(3, "1.20")])
    found = [pricing.in_force(history, _SINCE + day * _DAY) for day in (2, 4, 5)]
    assert [each and each.usd_per_unit for each in found] == [Decimal("1.10"), Decimal("1.20"), None]


def test_a_price_without_any_exchange_rate_is_unknown() -> None:
    other = Exchange("GBP", _SINCE, Decimal(1))
    assert pricing.timeline([_price(currency="EUR")], [other]) == ()


def test_what_ended_before_is_left_out() -> None:
    newer = _price(price_id=UUID(int=2), valid_from=_SINCE + _DAY)
    assert len(pricing.timeline([_price(), newer], [], since=_SINCE + _DAY)) == 1
    assert len(pricing.timeline([_price(), newer], [], since=_SINCE)) == 2


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from([DOLLARS, "EUR"])), max_size=5, unique_by=lambda row: row[0]
    ),
    st.lists(st.integers(-5, 40), max_size=6, unique=True),
    st.integers(-1, 45),
)
def test_the_timeline_says_what_searching_both_tables_says(
    rows: list[tuple[int, str]], days: list[int], day: int
) -> None:
    prices = [_price(price_id=UUID(int=at), currency=currency, valid_from=_SINCE + at * _DAY) for at, currency in rows]
    history = pricing.timeline(prices, [_euros(at, f"1.{at + 10}") for at in days])
    begun = max((row for row in rows if row[0] <= day), default=None)
    known = max((at for at in days if at <= day), default=None)
    found = pricing.in_force(history, _SINCE + day * _DAY)
    if begun is None or (begun[1] == "EUR" and known is None):
        assert found is None
    else:
        assert found is not None
        assert found.price_id.int == begun[0]
        assert found.usd_per_unit == (None if begun[1] == DOLLARS else Decimal(f"1.{(known or 0) + 10}"))
