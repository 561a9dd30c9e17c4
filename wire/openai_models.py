"""What OpenAI's models take, by their names; deployments at Azure mostly bear these too."""

from __future__ import annotations

import re

# One digit alone: Azure calls GPT-3.5 "gpt-35".
_VERSION = re.compile(r"gpt-(\d)(?:\.(\d+))?(?!\d)")
# They always think, or never, and refuse to be told.
_OF_ONE_WAY = re.compile(r"-(?:chat|codex|pro)\b")
_CHAT = re.compile(r"-chat\b")
_O_SERIES = re.compile(r"(?:^|[/:])o\d\b")


def calls_tools_in_responses_alone(model: str) -> bool:
    """In Chat Completions GPT-5.4 and 5.5 refuse functions where an effort is given, and 5.6 also where none is.

    https://github.com/openai/openai-openapi/issues/541, https://github.com/BerriAI/litellm/pull/34569
    """
    return _version(model) >= (5, 4)


def takes_no_effort(model: str) -> bool:
    """Whether it knows the effort "none", as the general models since GPT-5.1 do (OpenAI's API reference)."""
    return _version(model) >= (5, 1) and not _OF_ONE_WAY.search(model)


def takes_sampling(model: str, *, effort: str | None) -> bool:
    """Whether it takes a temperature and a `top_p`: none that thinks does, so GPT-5.1 to 5.4 do unless asked to.

    https://platform.openai.com/docs/guides/latest-model; GPT-5.5 and later take none however they are asked
    (https://github.com/khoj-ai/khoj/issues/1377).
    """
    version = _version(model)
    if version < (5, 0) or (version == (5, 0) and _CHAT.search(model)):
        return not _O_SERIES.search(model)
    return takes_no_effort(model) and version < (5, 5) and effort in (None, "none")


def _version(model: str) -> tuple[int, int]:
    """(0, 0) for all that are not called GPT and a number."""
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)
