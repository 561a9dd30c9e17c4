"""Tokens by kind, made to add up. Pure, and the one place where a provider's report is checked.

`wire` has made every report inclusive: cached, written, audio and image tokens are parts of the input and don't
overlap; reasoning, audio and image tokens are parts of the output. So their sums may not exceed it. Where they do, the
provider's own totals are believed: kinds are cut, in the order in which they are listed here, to what is left of
the total. A token that has been counted as one kind is never billed as another. The row says what was cut, and keeps
the raw report, by which it can be re-priced.
"""

from __future__ import annotations

import msgspec

from wire.neutral import Usage

MOST_TOKENS = 10**9  # of one side of one call; more is no count but a fault, and would not fit the columns of money
_INPUT_KINDS = (
    "cached_input_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "image_input_tokens",
)
_OUTPUT_KINDS = ("reasoning_tokens", "audio_output_tokens", "image_output_tokens")


def consistent(usage: Usage) -> tuple[Usage, str]:
    """`usage` as it can be billed, and what had to be changed for it ("" nearly always)."""
    cached, written_5m, written_1h = usage.cached_input_tokens, usage.cache_write_5m_tokens, usage.cache_write_1h_tokens
    heard, seen = usage.audio_input_tokens, usage.image_input_tokens
    thought, said, drawn = usage.reasoning_tokens, usage.audio_output_tokens, usage.image_output_tokens
    if (
        cached + written_5m + written_1h + heard + seen <= usage.input_tokens <= MOST_TOKENS
        and thought + said + drawn <= usage.output_tokens <= MOST_TOKENS
        and cached | written_5m | written_1h | heard | seen | thought | said | drawn >= 0  # as none of them is negative
    ):
        return usage, ""
    changes = _cut(usage, "input_tokens", _INPUT_KINDS) | _cut(usage, "output_tokens", _OUTPUT_KINDS)
    told = ", ".join(f"{name} {getattr(usage, name)} counted as {count}" for name, count in changes.items())
    return msgspec.structs.replace(usage, **changes), f"The reported usage does not add up: {told}."


def _cut(usage: Usage, total: str, kinds: tuple[str, ...]) -> dict[str, int]:
    """The counts to change, so that the parts fit their total."""
    left = min(max(getattr(usage, total), 0), MOST_TOKENS)
    fitting = {total: left}
    for kind in kinds:
        fitting[kind] = min(max(getattr(usage, kind), 0), left)
        left -= fitting[kind]
    return {name: count for name, count in fitting.items() if count != getattr(usage, name)}
