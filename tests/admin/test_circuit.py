"""Circuits in words: what has been is not told as what is still to come."""

from __future__ import annotations

import pytest

from providers.admin import circuit
from providers.models import Deployment
from providers.resilience.reports import Seen

NOW = 1_000_000.0
FOUR_MINUTES = NOW - 240


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (
            Seen("open", since_at=NOW - 20, failures=5, reopens_at=NOW + 40),
            (
                "large is left alone: after failures, its calls go elsewhere for a while. "
                "So for 20 s so far, after 5 failures in a row; tried again in 40 s."
            ),
        ),
        (
            Seen("open", since_at=FOUR_MINUTES, failures=1, reopens_at=NOW - 180),
            (
                "large is left alone: after failures, its calls go elsewhere for a while. "
                "So for 4 min so far, after a failure; the next call tries again."
            ),
        ),
        (
            Seen("half_open", since_at=FOUR_MINUTES, failures=5),
            (
                "large is on trial: single calls are let through, to see whether it works again. "
                "So for 4 min so far, after 5 failures in a row."
            ),
        ),
    ],
)
def test_how_long_it_has_been_so_and_what_comes_next(seen: Seen, told: str) -> None:
    model = Deployment(name="large")

    assert circuit.sentences([model], {model.pk: seen}, now=NOW) == [told]
    assert "so far" in circuit.label([model], {model.pk: seen}, now=NOW)
