"""Token counts where nobody has counted yet. Pure.

English text is about 4.5 bytes a token in today's tokenizers, code about 3, most other scripts 2 to 3 (UTF-8).
"""

_BYTES_PER_TOKEN = 4


def likely_tokens(size_bytes: int) -> int:
    """A fair guess, never 0 for something: what a call is charged for whose provider reports no usage."""
    return -(-size_bytes // _BYTES_PER_TOKEN)


def likely_bytes(tokens: int) -> int:
    """The size of so many tokens, by the same guess."""
    return tokens * _BYTES_PER_TOKEN


def most_input_tokens(size_bytes: int) -> int:
    """For holds: no text has more tokens than bytes.

    Today's tokenizers fall back to single bytes at worst, which random letters and rare scripts come close to; what a
    chat template adds to a message is less than the JSON around it. Two things this cannot bound: a picture given by
    its address, and text that a provider adds by itself. What they cost beyond the hold shows as overrun.
    """
    return size_bytes
