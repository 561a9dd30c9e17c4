"""OpenAI's usage object <-> neutral usage. Both count inclusively.

Source: openai-python 3.54.0, `types/completion_usage.py`; DeepSeek's `prompt_cache_hit_tokens`:
https://api-docs.deepseek.com/guides/kv_cache
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.body import MALFORMED
from wire.counts import Count
from wire.neutral import Usage


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count = None
    audio_tokens: Count = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: Count = None


_USAGE: msgspec.json.Decoder[_Usage] = msgspec.json.Decoder(_Usage, strict=False)
_SHORTEST = len('{"prompt_tokens":0}')  # null, and nothing at all, come with nearly every chunk


def decode_usage(raw: msgspec.Raw) -> Usage | None:
    """None where the provider reported nothing, or nothing that can be believed."""
    if len(raw) < _SHORTEST:
        return None
    try:
        said = _USAGE.decode(raw)
    except MALFORMED:
        return None
    if said.prompt_tokens is None and said.completion_tokens is None:
        return None
    return _usage(said, bytes(raw))


def _usage(said: _Usage, raw: bytes) -> Usage:
    """As reported: what does not add up is the books' to judge (`usage.taxonomy`).

    OpenAI's cache lives for 30 minutes and has one price for writing, which is what ours for five is.
    """
    reads = said.prompt_tokens_details or _InputDetails()
    writes = said.completion_tokens_details or _OutputDetails()
    usage = Usage(
        input_tokens=said.prompt_tokens or 0,
        cached_input_tokens=reads.cached_tokens or said.prompt_cache_hit_tokens or 0,
        cache_write_5m_tokens=reads.cache_write_tokens or 0,
        audio_input_tokens=reads.audio_tokens or 0,
        image_input_tokens=reads.image_tokens or 0,
        output_tokens=said.completion_tokens or 0,
        reasoning_tokens=writes.reasoning_tokens or 0,
        audio_output_tokens=writes.audio_tokens or 0,
        raw=raw,
    )
    return _with_thoughts_beside(usage, said.total_tokens or 0)


def _with_thoughts_beside(usage: Usage, total_tokens: int) -> Usage:
    """Counted as by OpenAI, where a host counts thoughts beside `completion_tokens`, and shows it by its total.

    xAI (https://docs.x.ai/docs/key-information/consumption-and-rate-limits) tells the reasoning itself, Gemini's
    endpoint for OpenAI's clients by the total alone. A host that counts its cache beside the prompt (more cached than
    the prompt has, or just as much as is beside) means that by its total.
    """
    beside = total_tokens - usage.input_tokens - usage.output_tokens
    if beside <= 0 or usage.reasoning_tokens not in (0, beside):
        return usage
    cached = usage.cached_input_tokens, usage.cache_write_5m_tokens
    if not usage.reasoning_tokens and (sum(cached) > usage.input_tokens or beside in (*cached, sum(cached))):
        return usage
    return msgspec.structs.replace(usage, output_tokens=usage.output_tokens + beside, reasoning_tokens=beside)


def encode_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
            "audio_tokens": usage.audio_input_tokens,
            "image_tokens": usage.image_input_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_output_tokens,
        },
    }
