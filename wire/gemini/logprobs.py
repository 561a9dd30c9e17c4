"""Gemini's `logprobsResult` <-> the neutral logprobs, which are OpenAI's.

Source: google-genai 3.4.0, `types.py` (`LogprobsResult`); openai-python 3.54.0, `types/chat/chat_completion.py`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.body import MALFORMED


class _Token(msgspec.Struct, rename="camel", gc=False):
    token: str = ""
    log_probability: float = 0.0


class _Likeliest(msgspec.Struct, rename="camel", gc=False):
    candidates: list[_Token] | None = None


class _Result(msgspec.Struct, rename="camel", gc=False):
    chosen_candidates: list[_Token] | None = None
    top_candidates: list[_Likeliest] | None = None


_RESULT: msgspec.json.Decoder[_Result] = msgspec.json.Decoder(_Result, strict=False)


def decode_logprobs(raw: msgspec.Raw) -> dict[str, Any] | None:
    try:
        result = _RESULT.decode(raw)
    except MALFORMED:
        return None
    chosen, likeliest = result.chosen_candidates or [], result.top_candidates or []
    return {
        "content": [
            _decoded(token) | {"top_logprobs": [_decoded(each) for each in _at(likeliest, step)]}
            for step, token in enumerate(chosen)
        ],
        "refusal": None,
    }


def encode_logprobs(logprobs: Any) -> dict[str, Any] | None:
    """None for what another provider says in a shape of its own."""
    steps = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        return None
    return {
        "chosenCandidates": [_encoded(step) for step in steps],
        "topCandidates": [
            {"candidates": [_encoded(each) for each in step.get("top_logprobs") or ()]} for step in steps
        ],
    }


def _at(likeliest: list[_Likeliest], step: int) -> list[_Token]:
    return (likeliest[step].candidates or []) if step < len(likeliest) else []


def _decoded(token: _Token) -> dict[str, Any]:
    return {"token": token.token, "logprob": token.log_probability, "bytes": list(token.token.encode())}


def _encoded(token: dict[str, Any]) -> dict[str, Any]:
    return {"token": token.get("token"), "logProbability": token.get("logprob")}
