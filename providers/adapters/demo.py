"""A provider that needs no key and no network: the same question always gets the same answer.

It speaks the OpenAI dialect in process, so that every call takes the path of a real one. Its tokenizer is words and
punctuation marks, so its token counts are true of what it reads and writes. What it says: `demo_reply`.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

import msgspec

from core.http1 import Session
from providers.adapters import demo_reply, demo_vectors
from providers.adapters.base import Answer, Chat, Embeddings, Request
from providers.adapters.demo_reply import TOKEN
from providers.adapters.openai import ChatCompletions
from providers.errors import RejectedError
from providers.specs import CredentialSpec, DeploymentSpec
from wire import openai_embeddings, sse

_EMBEDDINGS = "/embeddings"
_DEFAULT_TOKENS = 200
_BETWEEN_CHUNKS_S = 0.02


class DemoAdapter:
    chats: tuple[Chat, ...] = (ChatCompletions(),)
    embeddings: Embeddings | None = Embeddings(openai_embeddings, _EMBEDDINGS)
    forwarded_headers: Collection[str] = ()

    def headers(self, deployment: DeploymentSpec, credential: CredentialSpec | None) -> dict[str, str]:
        del deployment, credential
        return {}

    async def send(self, session: Session, deployment: DeploymentSpec, request: Request) -> Answer:
        del session, deployment
        request.sent()
        try:
            if request.url.endswith(_EMBEDDINGS):
                return _Vectors(demo_vectors.decode(request.body))
            asked = demo_reply.decode(request.body)
        except msgspec.MsgspecError as error:
            raise RejectedError(f"The demo provider cannot read this: {error}.", status=400) from error
        if asked.n not in (None, 1):
            raise RejectedError("The demo provider gives one answer: leave 'n' out.", status=400)
        return _DemoAnswer(asked)


class _DemoAnswer:
    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, asked: demo_reply.Asked) -> None:
        self._created = int(time.time())
        called = demo_reply.called(asked)
        self._call = _call(called) if called else None
        limit = asked.max_tokens or _DEFAULT_TOKENS
        words = [] if called else re.findall(r"\s*(?:\w+|[^\w\s])", demo_reply.said(asked))
        self._pieces = words[:limit]
        self._model = asked.model
        self._id = "chatcmpl-demo-" + hashlib.sha256(msgspec.json.encode(asked.messages)).hexdigest()[:16]
        self._finish = "tool_calls" if called else "length" if len(words) > limit else "stop"
        prompt_tokens = demo_reply.tokens_in([message.text for message in asked.messages])
        written = len(self._pieces) + (len(TOKEN.findall(self._call["function"]["arguments"])) if self._call else 0)
        self._usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": written,
            "total_tokens": prompt_tokens + written,
        }
        self._chunks = self._said()

    async def read(self) -> bytes:
        content = None if self._call else "".join(self._pieces)
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if self._call:
            message["tool_calls"] = [self._call]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish}
        return msgspec.json.encode(self._body("chat.completion") | {"choices": [choice], "usage": self._usage})

    async def next_chunk(self) -> bytes | None:
        return await anext(self._chunks, None)

    async def _said(self) -> AsyncIterator[bytes]:
        yield self._chunk({"role": "assistant", "content": ""})
        for piece in self._pieces:
            await asyncio.sleep(_BETWEEN_CHUNKS_S)
            yield self._chunk({"content": piece})
        if self._call:
            yield self._chunk({"tool_calls": [{"index": 0, **self._call}]})
        yield self._chunk({}, finish=self._finish)
        yield sse.event(
            msgspec.json.encode(self._body("chat.completion.chunk") | {"choices": [], "usage": self._usage})
        )
        yield sse.event(b"[DONE]")

    def close(self) -> None:
        """Nothing is open."""

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse.event(msgspec.json.encode(self._body("chat.completion.chunk") | {"choices": [choice]}))

    def _body(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


class _Vectors:
    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, asked: demo_vectors.Embedded) -> None:
        self._asked = asked
        self._is_read = False

    async def read(self) -> bytes:
        self._is_read = True
        return demo_vectors.answer(self._asked)

    async def next_chunk(self) -> bytes | None:
        return None if self._is_read else await self.read()

    def close(self) -> None:
        """Nothing is open."""


def _call(function: demo_reply.Function) -> dict[str, Any]:
    """The same call always has the same id."""
    arguments = demo_reply.arguments(function)
    digest = hashlib.sha256(f"{function.name}{arguments}".encode()).hexdigest()[:16]
    return {
        "id": f"call_demo_{digest}",
        "type": "function",
        "function": {"name": function.name, "arguments": arguments},
    }
