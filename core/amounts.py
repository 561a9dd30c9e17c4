"""Amounts of money as people type them. Pure."""

from __future__ import annotations

import re

WANTED = "Write digits, with a point where there are cents: for example 1250 or 2.50."
_SIGN = re.compile(r"^(-?)\s*\$\s*")
_WITH_COMMAS = re.compile(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")


def without_dollar_sign(text: str) -> str:
    """`2.50` of `$2.50`, and all else as it is."""
    return _SIGN.sub(r"\1", text.strip())


def plain_dollars(text: str) -> str:
    """`1250.00` of `$1,250.00`, and all else as it is: what is no amount is for the form to refuse.

    For sums, whose comma before three digits parts the thousands; in a price (`1,250` a million) it might be another
    country's point.
    """
    digits = without_dollar_sign(text)
    return digits.replace(",", "") if _WITH_COMMAS.fullmatch(digits) else digits
