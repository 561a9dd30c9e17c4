"""Money as whole pico-dollars: $1 = 10**12 pico-dollars, so $1 per million tokens is exactly 1,000,000 a token.

Integers add up exactly, in any order, in every database; dollars appear only where a person or a client reads.
"""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

PICO_PER_USD = 10**12
MAX_PICO_USD = 2**63 - 1  # a column is 64 bits wide: about $9.2 million in one row
MOST_USD = Decimal(9_000_000)  # that anybody may type, and that a budget's period counts
MOST_PICO = int(MOST_USD) * PICO_PER_USD


def pico_from_usd(amount_usd: Decimal | int | str) -> int:
    """Whole pico-dollars of a dollar amount, rounded half-even below one pico-dollar."""
    with localcontext(prec=60):
        return int((Decimal(amount_usd) * PICO_PER_USD).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def usd_from_pico(amount_pico: int) -> Decimal:
    """The exact dollar amount, without trailing zeros and never in exponent form."""
    with localcontext(prec=60):
        amount = Decimal(amount_pico) / PICO_PER_USD
        return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.normalize()


def usd_text(amount_pico: int) -> str:
    """`0.0000125`: the exact dollar amount as plain digits, for headers and JSON."""
    whole, rest = divmod(abs(amount_pico), PICO_PER_USD)
    text = f"{whole}.{rest:012d}".rstrip("0") if rest else str(whole)
    return f"-{text}" if amount_pico < 0 else text


def divide_half_even(numerator: int, denominator: int) -> int:
    """`numerator / denominator` to the nearest integer, ties to even; `denominator` is positive."""
    quotient, remainder = divmod(numerator, denominator)
    doubled = 2 * remainder
    if doubled > denominator or (doubled == denominator and quotient % 2):
        return quotient + 1
    return quotient
