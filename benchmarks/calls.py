"""The calls that are made, as whole HTTP requests: by door, as each door's own clients send them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

Door = Literal["openai", "anthropic", "gemini", "embeddings", "spec_b", "session"]

_SENTENCE = "Tell me, in one paragraph, why a benchmark that nobody reads is still worth running every night. "
PROMPT = _SENTENCE * 4
LARGE_PROMPT = _SENTENCE * 4_100  # 400 KB: about 100,000 tokens
_MAX_TOKENS = 256
BUDGETED_USER = "spender"  # an end user who has a hard budget


class Identity(msgspec.Struct, frozen=True):
    """Who calls: by key, or as an administrator in the browser, whose forms carry `csrf`."""

    key: str = "none"
    session: str = ""
    csrf: str = ""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `cached`: the answer may be one that was given before. `is_large`: with a large prompt.

    `is_budgeted`: for an end user with a hard budget.
    """

    model: str
    stream: bool = False
    cached: bool = False
    is_large: bool = False
    is_budgeted: bool = False

    @property
    def prompt(self) -> str:
        return LARGE_PROMPT if self.is_large else PROMPT

    @property
    def chat(self) -> dict[str, Any]:
        """As OpenAI's and Anthropic's dialects say it, and specification B's."""
        said = [{"role": "user", "content": self.prompt}]
        body: dict[str, Any] = {"model": self.model, "messages": said, "max_tokens": _MAX_TOKENS}
        body |= {"user": BUDGETED_USER} if self.is_budgeted else {}
        return body | ({"temperature": 0} if self.cached else {}) | ({"stream": True} if self.stream else {})


def request(door: Door, who: Identity, wish: Wish) -> str:
    """The whole of it."""
    path, headers, body = _DOORS[door](wish)
    encoded = json.dumps(body, separators=(",", ":"))
    sent = (_of_session(who) if door == "session" else {"authorization": f"Bearer {who.key}"}) | dict(headers)
    lines = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        *(f"{name}: {value}" for name, value in sent.items()),
        "content-type: application/json",
        "accept: application/json",
        "user-agent: benchmark/1.0",
        f"content-length: {len(encoded)}",
    ]
    return "\r\n".join([*lines, "", encoded])


def _of_session(who: Identity) -> dict[str, str]:
    return {"cookie": f"sessionid={who.session}; csrftoken={who.csrf}", "x-csrftoken": who.csrf}


_Parts = tuple[str, Mapping[str, str], Mapping[str, Any]]


def _openai(wish: Wish) -> _Parts:
    with_usage: dict[str, Any] = {"stream_options": {"include_usage": True}} if wish.stream else {}
    return "/v1/chat/completions", {}, wish.chat | with_usage


def _anthropic(wish: Wish) -> _Parts:
    return "/v1/messages", {"anthropic-version": "2023-06-01"}, wish.chat


def _gemini(wish: Wish) -> _Parts:
    body = {
        "contents": [{"role": "user", "parts": [{"text": wish.prompt}]}],
        "generationConfig": {"maxOutputTokens": _MAX_TOKENS},
    }
    return f"/v1beta/models/{wish.model}:generateContent", {}, body


def _embeddings(wish: Wish) -> _Parts:
    return "/v1/embeddings", {}, {"input": wish.prompt, "model": wish.model, "encoding_format": "base64"}


def _spec_b(wish: Wish) -> _Parts:
    """Its equal requests are answered from the cache unless told otherwise."""
    return "/api/v1/completion", {} if wish.cached else {"x-cache": "off"}, wish.chat


def _session(wish: Wish) -> _Parts:
    return "/api/ai-providers/complete", {}, {"model": wish.model, "prompt": wish.prompt, "maxTokens": _MAX_TOKENS}


_DOORS: Mapping[Door, Callable[[Wish], _Parts]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "embeddings": _embeddings,
    "spec_b": _spec_b,
    "session": _session,
}
