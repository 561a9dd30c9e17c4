from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from core.money import PICO_PER_USD, divide_half_even, pico_from_usd, usd_from_pico, usd_text


@given(st.integers(-(2**63), 2**63))
def test_a_dollar_amount_survives_the_way_there_and_back(pico: int) -> None:
    assert pico_from_usd(usd_from_pico(pico)) == pico
    assert pico_from_usd(usd_text(pico)) == pico
    assert "E" not in usd_text(pico)


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_division_rounds_to_the_nearest_and_ties_to_even(numerator: int, denominator: int) -> None:
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


def test_a_dollar_per_million_tokens_is_a_million_pico_a_token() -> None:
    assert pico_from_usd(1) // 10**6 == 10**6


def test_amounts_read_as_people_write_them() -> None:
    assert usd_text(12_500_000) == "0.0000125"
    assert usd_text(100 * PICO_PER_USD) == "100"
    assert usd_text(0) == "0"
    assert usd_from_pico(PICO_PER_USD // 2) == Decimal("0.5")
