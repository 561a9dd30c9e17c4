"""What a model of Anthropic's takes of temperature, `top_p` and `top_k`: less with each generation.

Those since Claude Opus 4.7 refuse all three, those from 4.1 to 4.6 a temperature beside a `top_p`
(https://platform.claude.com/docs/en/about-claude/models/migration-guide). A name that is none of Claude's says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from wire.neutral import ChatRequest

_CLAUDE = re.compile(r"claude-")
_SAMPLED = re.compile(r"claude-(?:v?[1-3]\b|instant\b|(?:[a-z]+-)?4(?![-.][7-9]\b)\b)")
_ONE_AT_A_TIME = re.compile(r"claude-(?:[a-z]+-)?4[-.][156]\b")

_OF_TWO = {"temperature": "top_p", "top_p": "temperature", "top_k": ""}  # the settings, and beside which each stands


def takes(name: str, *, model: str, beside: Collection[str]) -> bool:
    """Whether a setting of this name may go out in a call that says `beside` too."""
    if name in _OF_TWO and _takes_none(model):
        return False
    return _OF_TWO.get(name) not in beside or not _ONE_AT_A_TIME.search(model)


def _takes_none(model: str) -> bool:
    return _CLAUDE.search(model) is not None and _SAMPLED.search(model) is None


def as_taken(request: ChatRequest) -> ChatRequest:
    """Without what its model would refuse the whole call for."""
    if _takes_none(request.model):
        return msgspec.structs.replace(request, temperature=None, top_p=None, top_k=None)
    if request.temperature is None or request.top_p is None or not _ONE_AT_A_TIME.search(request.model):
        return request
    if request.temperature == 1:  # as it is anyway
        return msgspec.structs.replace(request, temperature=None)
    return msgspec.structs.replace(request, top_p=None)
