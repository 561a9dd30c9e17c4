"""Anthropic's usage object <-> neutral usage.

Anthropic's `input_tokens` leaves out what was read from its cache and written to it; ours counts all
(anthropic-sdk-python 2.12.0, `types/usage.py`: "Total input tokens in a request is the summation of `input_tokens`,
`cache_creation_input_tokens`, and `cache_read_input_tokens`"). `output_tokens` counts thinking in both. What a
compaction took is told among the `iterations` alone (`types/beta/beta_usage.py`), and is added.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.body import MALFORMED
from wire.counts import Count
from wire.neutral import Usage


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: Count = None
    ephemeral_1h_input_tokens: Count = None


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: Count = None


class _Counts(msgspec.Struct, gc=False):
    input_tokens: Count = None
    output_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_creation: _CacheCreation | None = None


class _Iteration(_Counts, gc=False):
    type: str | None = None


class _Usage(_Counts, gc=False):
    output_tokens_details: _OutputDetails | None = None
    iterations: list[_Iteration] | None = None


_USAGE: msgspec.json.Decoder[_Usage] = msgspec.json.Decoder(_Usage, strict=False)
_FIELDS: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL = msgspec.Raw(b"null")


def decode_usage(raw: bytes | msgspec.Raw) -> Usage | None:
    """None where the provider reported nothing, or nothing that can be believed."""
    try:
        said = _USAGE.decode(raw)
    except MALFORMED:
        return None
    if said.input_tokens is None and said.output_tokens is None:
        return None
    counted = [said, *(each for each in said.iterations or () if each.type == "compaction")]
    read = sum(each.cache_read_input_tokens or 0 for each in counted)
    written_5m, written_1h = map(sum, zip(*map(_written, counted), strict=True))
    return Usage(
        input_tokens=sum(each.input_tokens or 0 for each in counted) + read + written_5m + written_1h,
        cached_input_tokens=read,
        cache_write_5m_tokens=written_5m,
        cache_write_1h_tokens=written_1h,
        output_tokens=sum(each.output_tokens or 0 for each in counted),
        reasoning_tokens=(said.output_tokens_details and said.output_tokens_details.thinking_tokens) or 0,
        raw=bytes(raw),
    )


def merge(earlier: bytes, later: msgspec.Raw) -> bytes:
    """A stream's usage, of which `message_start` tells one part and each `message_delta` the new totals of another."""
    try:
        changed = {name: value for name, value in _FIELDS.decode(later).items() if value != _NULL}
        return msgspec.json.encode({**(_FIELDS.decode(earlier) if earlier else {}), **changed})
    except MALFORMED:
        return earlier


def encode_usage(usage: Usage | None) -> dict[str, Any]:
    """Anthropic's clients count on the numbers, so that unknown usage is shown as 0."""
    usage = usage or Usage()
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    encoded: dict[str, Any] = {
        "input_tokens": max(0, usage.input_tokens - usage.cached_input_tokens - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    }
    if written:
        encoded["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        }
    if usage.reasoning_tokens:
        encoded["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return encoded


def _written(said: _Counts) -> tuple[int, int]:
    """What was written for five minutes and for an hour; the total, where it is greater, counts as the former."""
    kinds = said.cache_creation or _CacheCreation()
    written_1h = kinds.ephemeral_1h_input_tokens or 0
    total = said.cache_creation_input_tokens or 0
    return max(kinds.ephemeral_5m_input_tokens or 0, total - written_1h), written_1h
