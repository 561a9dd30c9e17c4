"""The Responses API's usage object <-> neutral usage. Both count inclusively.

Source: openai-python 3.54.0, `types/responses/response_usage.py`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.body import MALFORMED
from wire.counts import Count, apart
from wire.neutral import Usage


class _Writes(msgspec.Struct, gc=False):
    ttl_12h_tokens: Count = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    cache_write_tokens_details: _Writes | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


_USAGE: msgspec.json.Decoder[_Usage] = msgspec.json.Decoder(_Usage, strict=False)


def decode_usage(raw: msgspec.Raw) -> Usage | None:
    """None where the provider reported nothing, or nothing that can be believed.

    OpenAI's cache lives for 30 minutes or for 12 hours; ours is written for five minutes or an hour: as the shorter
    and the longer.
    """
    try:
        said = _USAGE.decode(raw)
    except MALFORMED:
        return None
    if said.input_tokens is None and said.output_tokens is None:
        return None
    reads = said.input_tokens_details or _InputDetails()
    writes = said.output_tokens_details or _OutputDetails()
    input_tokens, output_tokens = said.input_tokens or 0, said.output_tokens or 0
    cached_tokens, written_tokens = apart(input_tokens, reads.cached_tokens, reads.cache_write_tokens)
    kinds = reads.cache_write_tokens_details or _Writes()
    written_12h, written_30m = apart(written_tokens, kinds.ttl_12h_tokens, written_tokens)
    (reasoning_tokens,) = apart(output_tokens, writes.reasoning_tokens)
    return Usage(
        input_tokens=input_tokens,
        cached_input_tokens=cached_tokens,
        cache_write_5m_tokens=written_30m,
        cache_write_1h_tokens=written_12h,
        output_tokens=output_tokens,
        reasoning_tokens=reasoning_tokens,
        raw=bytes(raw),
    )


def encode_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
