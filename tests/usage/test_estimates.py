"""Guesses that charge, and bounds that hold."""

from __future__ import annotations

from usage import estimates


def test_a_guess_is_never_nothing_for_something() -> None:
    assert [estimates.likely_tokens(size) for size in (0, 1, 4, 5, 400)] == [0, 1, 1, 2, 100]


def test_a_bound_holds_for_a_text_of_single_bytes() -> None:
    """The worst of tokenizers: each byte of its UTF-8 is a token."""
    text = "\u1f00" * 10 + "x" * 7
    size_bytes = len(text.encode())
    assert estimates.most_input_tokens(size_bytes) >= size_bytes >= estimates.likely_tokens(size_bytes)
