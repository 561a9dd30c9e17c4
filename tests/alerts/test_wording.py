"""Figures and rules in words: nothing that is more than nothing reads as nothing, and one is not many."""

from __future__ import annotations

import pytest

from alerts import wording
from alerts.measures import Unit
from alerts.models import Rule


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "percent", "0%"),
        (0.00004, "percent", "under 0.0001%"),
        (0.0333333, "percent", "0.0333%"),
        (0.05, "percent", "0.05%"),
        (9.44, "percent", "9.4%"),
        (62.4, "percent", "62%"),
        (0, "dollars", "$0.00"),
        (0.00004, "dollars", "under $0.0001"),
        (0.005, "dollars", "$0.005"),
        (0.014, "dollars", "$0.01"),
        (1234.5, "dollars", "$1,234.50"),
        (0.04, "seconds", "0.04 seconds"),
        (12.44, "seconds", "12.4 seconds"),
        (0.02, "days", "0.02 days"),
        (1, "days", "1 day"),
        (1.2, "days", "1.2 days"),
        (0, "calls", "0 calls"),
        (1, "calls", "1 call"),
        (12_345, "calls", "12,345 calls"),
        (1, "yes", "yes"),
        (0, "yes", "no"),
    ],
)
def test_amounts(value: float, unit: Unit, text: str) -> None:
    assert wording.amount(value, unit) == text


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        *((1, "a minute"), (15, "15 minutes"), (60, "an hour"), (90, "90 minutes"), (120, "2 hours")),
        *((1_440, "24 hours"), (2_160, "36 hours"), (2_880, "2 days"), (4_320, "3 days")),
    ],
)
def test_spans(minutes: int, text: str) -> None:
    assert wording.span(Rule(window_minutes=minutes).window) == text


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        ("key_expiry", 6.5, "shop: the key expires in 6.5 days. The limit is 14 days."),
        ("key_expiry", 0, "shop: the key has expired. The limit is 14 days."),
        ("certificate_expiry", -1, "shop: the certificate of its address has expired. The limit is 14 days."),
        ("provider_down", 1, "shop: it does not answer as it should, or is left alone after failures."),
        ("error_share", 0.02, "shop: 0.02% of 1 call failed in the last hour. The limit is 14%."),
    ],
)
def test_findings(measure: str, value: float, text: str) -> None:
    rule = Rule(measure=measure, scope="key", window_minutes=60)

    assert wording.finding(rule, subject="shop", value=value, limit=14, calls=1) == text


def test_what_is_about_everything_names_nobody() -> None:
    books = Rule(measure="ledger_drift", scope="all", window_minutes=60)
    found = wording.finding(books, subject="", value=2, limit=0, calls=None)

    assert wording.condition(books, 0) == "the last proof of the books found a difference"
    assert found == "The last proof of the books found 2 differences."
    spent = Rule(measure="cost", scope="client", subject="shop", window_minutes=60)
    assert wording.condition(spent, 5) == "more than $5.00 is spent within an hour, for the client shop"
