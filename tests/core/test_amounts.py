"""What people type for money, and what is left for the form to refuse."""

from __future__ import annotations

import pytest

from core.amounts import plain_dollars, without_dollar_sign


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("5", "5"),
        ("$5", "5"),
        (" $ 5.25 ", "5.25"),
        ("-$3", "-3"),
        ("1,000", "1000"),
        ("$1,250,000.50", "1250000.50"),
        ("", ""),
        # Another country's decimal point, or nobody's number: as it is.
        ("2,5", "2,5"),
        ("0,075", "0,075"),
        ("1,00", "1,00"),
        ("1,0000", "1,0000"),
        ("1.000,50", "1.000,50"),
        ("5$", "5$"),
        ("five", "five"),
    ],
)
def test_a_sum_may_have_its_sign_and_its_thousands_commas(typed: str, plain: str) -> None:
    assert plain_dollars(typed) == plain


def test_a_price_may_have_its_sign_and_keeps_its_commas() -> None:
    assert [without_dollar_sign(typed) for typed in ("$0.075", "1,250")] == ["0.075", "1,250"]
