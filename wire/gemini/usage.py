"""Gemini's usage metadata <-> neutral usage.

Google counts side by side what ours counts inclusively: the total is `promptTokenCount` (with the cached ones) +
`toolUsePromptTokenCount` + `candidatesTokenCount` + `thoughtsTokenCount` (google-genai 3.4.0, `types.py`,
`GenerateContentResponseUsageMetadata`). Film and documents are counted as plain input: they have no price of their own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.body import MALFORMED
from wire.counts import Count, apart
from wire.neutral import Usage


class _Modality(msgspec.Struct, rename="camel", gc=False):
    modality: str | None = None
    token_count: Count = None


_Details = list[_Modality] | None


class _Usage(msgspec.Struct, rename="camel", gc=False):
    prompt_token_count: Count = None
    cached_content_token_count: Count = None
    tool_use_prompt_token_count: Count = None
    candidates_token_count: Count = None
    thoughts_token_count: Count = None
    prompt_tokens_details: _Details = None
    cache_tokens_details: _Details = None
    tool_use_prompt_tokens_details: _Details = None
    candidates_tokens_details: _Details = None


_USAGE: msgspec.json.Decoder[_Usage] = msgspec.json.Decoder(_Usage, strict=False)


def decode_usage(raw: bytes | msgspec.Raw) -> Usage | None:
    """None where the provider reported nothing, or nothing that can be believed."""
    try:
        said = _USAGE.decode(raw)
    except MALFORMED:
        return None
    if said.prompt_token_count is None and said.candidates_token_count is None and said.thoughts_token_count is None:
        return None
    input_tokens = (said.prompt_token_count or 0) + (said.tool_use_prompt_token_count or 0)
    output_tokens = (said.candidates_token_count or 0) + (said.thoughts_token_count or 0)
    cached, audio_in, image_in = apart(
        input_tokens, said.cached_content_token_count, _uncached(said, "AUDIO"), _uncached(said, "IMAGE")
    )
    reasoning, audio_out, image_out = apart(
        output_tokens,
        said.thoughts_token_count,
        _tokens(said.candidates_tokens_details, "AUDIO"),
        _tokens(said.candidates_tokens_details, "IMAGE"),
    )
    return Usage(
        input_tokens=input_tokens,
        cached_input_tokens=cached,
        audio_input_tokens=audio_in,
        image_input_tokens=image_in,
        output_tokens=output_tokens,
        reasoning_tokens=reasoning,
        audio_output_tokens=audio_out,
        image_output_tokens=image_out,
        raw=bytes(raw),
    )


def encode_usage(usage: Usage) -> dict[str, Any]:
    """Parts that some hosts report beyond their total count up to it: no count is below zero."""
    (reasoning_tokens,) = apart(usage.output_tokens, usage.reasoning_tokens)
    said_tokens = usage.output_tokens - reasoning_tokens
    encoded: dict[str, Any] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": said_tokens,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.cached_input_tokens:
        encoded["cachedContentTokenCount"] = usage.cached_input_tokens
    if reasoning_tokens:
        encoded["thoughtsTokenCount"] = reasoning_tokens
    if usage.audio_input_tokens or usage.image_input_tokens:
        encoded["promptTokensDetails"] = _modalities(
            usage.input_tokens, usage.audio_input_tokens, usage.image_input_tokens
        )
    if usage.audio_output_tokens or usage.image_output_tokens:
        encoded["candidatesTokensDetails"] = _modalities(
            said_tokens, usage.audio_output_tokens, usage.image_output_tokens
        )
    return encoded


def _uncached(said: _Usage, modality: str) -> int:
    read = _tokens(said.prompt_tokens_details, modality) + _tokens(said.tool_use_prompt_tokens_details, modality)
    return max(0, read - _tokens(said.cache_tokens_details, modality))


def _tokens(details: _Details, modality: str) -> int:
    return sum(each.token_count or 0 for each in details or () if each.modality == modality)


def _modalities(total: int, audio: int, image: int) -> list[dict[str, Any]]:
    audio, image, text = apart(total, audio, image, total)
    counts = {"TEXT": text, "AUDIO": audio, "IMAGE": image}
    return [{"modality": modality, "tokenCount": tokens} for modality, tokens in counts.items() if tokens]
