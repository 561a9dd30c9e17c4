"""The neutral logprobs, which are OpenAI's: `{"content": [{"token", "logprob", "top_logprobs": [...]}, ...]}`."""

from __future__ import annotations

from typing import Any


def believed(said: Any) -> dict[str, Any] | None:
    """What a provider says, where it has the shape that every dialect reads; else None: no answer is lost for it."""
    if not isinstance(said, dict):
        return None
    steps = said.get("content") or []
    return said if _are_objects(steps) and all(_are_objects(step.get("top_logprobs") or []) for step in steps) else None


def _are_objects(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, dict) for value in values)
