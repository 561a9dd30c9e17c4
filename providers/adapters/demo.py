"""A provider that needs no key and no network: the same question always gets the same answer.

It speaks the OpenAI dialect in process, so that every call takes the path of a real one. Its tokenizer is words and
punctuation marks, so its token counts are true of what it reads and writes.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Annotated, Any, Literal

import aiohttp
import msgspec

from providers.adapters.base import Answer, Chat, Embeddings, Request
from providers.adapters.openai import ChatCompletions
from providers.errors import RejectedError
from providers.specs import CredentialSpec, DeploymentSpec
from wire import openai_embeddings, sse
from wire.neutral import EmbeddingResponse, Usage

_TOKEN = re.compile(r"\w+|[^\w\s]")
_EMBEDDINGS = "/embeddings"
_DIMENSIONS = 256
_MOST_DIMENSIONS = 4096
_DEFAULT_TOKENS = 200
_BETWEEN_CHUNKS_S = 0.02
_EXCERPT_CHARS = 120
_SENTENCES = (
    "This is the demo provider, and it needs no key.",
    "Your call went through the same path as one to a real provider: checked, reserved, answered, and accounted for.",
    "You can see it, with its tokens and its cost, under Calls in the admin pages.",
    "Add a provider with a key of your own there, and the same call will reach it.",
)


class DemoAdapter:
    chats: tuple[Chat, ...] = (ChatCompletions(),)
    embeddings: Embeddings | None = Embeddings(openai_embeddings, _EMBEDDINGS)
    forwarded_headers: Collection[str] = ()

    def headers(self, deployment: DeploymentSpec, credential: CredentialSpec | None) -> dict[str, str]:
        del deployment, credential
        return {}

    async def send(self, session: aiohttp.ClientSession, deployment: DeploymentSpec, request: Request) -> Answer:
        del session, deployment
        if request.url.endswith(_EMBEDDINGS):
            return _Vectors(request.body)
        try:
            asked = _decode(request.body)
        except msgspec.MsgspecError as error:
            raise RejectedError(f"The demo provider cannot read this: {error}.", status=400) from error
        if asked.n != 1:
            raise RejectedError("The demo provider gives one answer: leave 'n' out.", status=400)
        return _DemoAnswer(asked)


class _Part(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None


class _Asked(msgspec.Struct):
    model: str
    messages: list[_Message]
    n: int = 1
    max_tokens: int | None = None
    max_completion_tokens: int | None = None


_decode = msgspec.json.Decoder(_Asked).decode


class _DemoAnswer:
    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, asked: _Asked) -> None:
        question = _last_question(asked.messages)
        limit = asked.max_completion_tokens or asked.max_tokens or _DEFAULT_TOKENS
        words = re.findall(r"\s*(?:\w+|[^\w\s])", _reply_to(question))
        self._pieces = words[:limit]
        self._model = asked.model
        self._id = "chatcmpl-demo-" + hashlib.sha256(msgspec.json.encode(asked.messages)).hexdigest()[:16]
        self._finish = "length" if len(words) > limit else "stop"
        prompt_tokens = sum(len(_TOKEN.findall(text)) for text in _texts(asked.messages))
        self._usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": len(self._pieces),
            "total_tokens": prompt_tokens + len(self._pieces),
        }

    async def read(self) -> bytes:
        message = {"role": "assistant", "content": "".join(self._pieces)}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish}
        return msgspec.json.encode(self._body("chat.completion") | {"choices": [choice], "usage": self._usage})

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._chunk({"role": "assistant", "content": ""})
        for piece in self._pieces:
            await asyncio.sleep(_BETWEEN_CHUNKS_S)
            yield self._chunk({"content": piece})
        yield self._chunk({}, finish=self._finish)
        yield sse.event(
            msgspec.json.encode(self._body("chat.completion.chunk") | {"choices": [], "usage": self._usage})
        )
        yield sse.event(b"[DONE]")

    def close(self) -> None:
        """Nothing is open."""

    def _chunk(self, delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse.event(msgspec.json.encode(self._body("chat.completion.chunk") | {"choices": [choice]}))

    def _body(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": 0, "model": self._model}


class _Embedded(msgspec.Struct):
    model: str
    input: str | list[str]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=_MOST_DIMENSIONS)] = _DIMENSIONS
    encoding_format: Literal["float", "base64"] = "float"


_decode_embedded = msgspec.json.Decoder(_Embedded).decode


class _Vectors:
    """A text's vector is the normalised count of its words, each at a place of its own: texts that share words lie
    close together.
    """

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, body: bytes) -> None:
        try:
            self._asked = _decode_embedded(body)
        except msgspec.MsgspecError as error:
            raise RejectedError(f"The demo provider cannot read this: {error}.", status=400) from error

    async def read(self) -> bytes:
        asked = self._asked
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        response = EmbeddingResponse(
            model=asked.model,
            vectors=tuple(_vector(text, asked.dimensions) for text in texts),
            usage=Usage(input_tokens=sum(len(_TOKEN.findall(text)) for text in texts)),
        )
        fields = {"encoding_format": msgspec.Raw(msgspec.json.encode(asked.encoding_format))}
        return openai_embeddings.encode_response(response, fields)

    async def chunks(self) -> AsyncIterator[bytes]:
        yield await self.read()

    def close(self) -> None:
        """Nothing is open."""


def _vector(text: str, dimensions: int) -> tuple[float, ...]:
    counts = [0.0] * dimensions
    for word in _TOKEN.findall(text.lower()) or [""]:
        counts[int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest()) % dimensions] += 1
    length = math.hypot(*counts)
    return tuple(count / length for count in counts)


def _reply_to(question: str) -> str:
    excerpt = " ".join(question.split())[:_EXCERPT_CHARS]
    return " ".join((f"You asked: “{excerpt}”." if excerpt else "You asked nothing.", *_SENTENCES))


def _last_question(messages: list[_Message]) -> str:
    asked = [message for message in messages if message.role == "user"]
    return " ".join(_texts(asked[-1:]))


def _texts(messages: list[_Message]) -> list[str]:
    texts: list[str] = []
    for message in messages:
        if isinstance(message.content, str):
            texts.append(message.content)
        else:
            texts.extend(part.text for part in message.content or ())
    return texts
