from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage import taxonomy
from wire.neutral import Usage

_INPUT_KINDS = (
    "cached_input_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "image_input_tokens",
)
_OUTPUT_KINDS = ("reasoning_tokens", "audio_output_tokens", "image_output_tokens")
_counts = st.integers(-10, 2 * taxonomy.MOST_TOKENS) | st.integers(0, 100)
_usages = st.builds(
    Usage, **dict.fromkeys((*_INPUT_KINDS, *_OUTPUT_KINDS, "input_tokens", "output_tokens"), _counts), raw=st.binary()
)


def test_what_adds_up_is_left_as_it_is() -> None:
    usage = Usage(
        input_tokens=100, cached_input_tokens=60, cache_write_5m_tokens=40, output_tokens=5, reasoning_tokens=5
    )
    same, doubt = taxonomy.consistent(usage)
    assert same is usage
    assert not doubt


def test_more_cached_than_read_is_cut_to_what_was_read_and_said() -> None:
    usage, doubt = taxonomy.consistent(Usage(input_tokens=200, cached_input_tokens=800, output_tokens=5))
    assert (usage.input_tokens, usage.cached_input_tokens) == (200, 200)
    assert doubt == "The reported usage does not add up: cached_input_tokens 800 counted as 200."


def test_the_kinds_listed_first_keep_their_tokens() -> None:
    said = Usage(input_tokens=100, cached_input_tokens=70, audio_input_tokens=50, image_input_tokens=9, raw=b"{}")
    usage, doubt = taxonomy.consistent(said)
    assert (usage.cached_input_tokens, usage.audio_input_tokens, usage.image_input_tokens) == (70, 30, 0)
    assert "audio_input_tokens 50 counted as 30, image_input_tokens 9 counted as 0" in doubt
    assert usage.raw == b"{}"


@pytest.mark.parametrize("kind", [*_INPUT_KINDS, *_OUTPUT_KINDS])
def test_nothing_counts_less_than_none(kind: str) -> None:
    """It would else take something off the bill."""
    counts: dict[str, Any] = {"input_tokens": 10, "output_tokens": 10, kind: -5}
    assert taxonomy.consistent(Usage(**counts))[0] == Usage(input_tokens=10, output_tokens=10)


@pytest.mark.parametrize("total", ["input_tokens", "output_tokens"])
def test_a_count_that_no_column_has_room_for_is_cut(total: str) -> None:
    counts: dict[str, Any] = {total: 2**63}
    assert getattr(taxonomy.consistent(Usage(**counts))[0], total) == taxonomy.MOST_TOKENS


@given(_usages)
def test_every_report_can_be_billed_once(said: Usage) -> None:
    usage, doubt = taxonomy.consistent(said)
    for total, kinds in ((usage.input_tokens, _INPUT_KINDS), (usage.output_tokens, _OUTPUT_KINDS)):
        parts = [getattr(usage, kind) for kind in kinds]
        assert min(parts) >= 0
        assert sum(parts) <= total <= taxonomy.MOST_TOKENS
    assert (usage == said) == (not doubt)
    assert taxonomy.consistent(usage) == (usage, "")
