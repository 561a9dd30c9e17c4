"""The three ways in, as plain HTTP: where a call goes, how it looks, and where its answers and errors say what."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.product import Answer, Product
from tests.servers import PATIENCE_S

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Door:
    """`text` and `piece` read an answer and an event of a stream; `code` and `message` read an error."""

    name: str
    path: str
    surface: str
    body: Callable[[str, str], Json]
    text: Callable[[Json], str]
    piece: Callable[[Json], str]
    message: Callable[[Json], str]
    code: Callable[[Json], str]
    is_end: Callable[[str], bool]

    def call(
        self,
        product: Product,
        model: str,
        text: str = "Hello",
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        return product.request("POST", self.path, body=self.body(model, text) | more, key=product.key, headers=headers)

    @contextlib.contextmanager
    def streaming(
        self, product: Product, model: str, text: str = "Hello", *, timeout_s: float = PATIENCE_S, **more: Any
    ) -> Iterator[http.client.HTTPResponse]:
        body = self.body(model, text) | {"stream": True} | more
        with product.opened("POST", self.path, body=body, key=product.key, timeout_s=timeout_s) as answer:
            yield answer

    def stream(self, product: Product, model: str, text: str = "Hello", **more: Any) -> Stream:
        """A stream, heard to its end."""
        with self.streaming(product, model, text, **more) as answer:
            return Stream(self, answer.status, answer.headers["x-request-id"], list(events(answer)))


class Stream:
    """What was heard of one: its data lines, in order."""

    def __init__(self, door: Door, status: int, request_id: str, heard: list[str]) -> None:
        self.status = status
        self.request_id = request_id
        self.heard = heard
        self.ended = any(door.is_end(data) for data in heard)
        self._parsed = [json.loads(data) for data in heard if data.startswith("{")]
        self.text = "".join(map(door.piece, self._parsed))

    @property
    def last(self) -> Json:
        found: Json = self._parsed[-1]
        return found

    @property
    def error(self) -> Json | None:
        """The error event, which must then be the last."""
        return self.last if "error" in self.last else None


def events(answer: http.client.HTTPResponse) -> Iterator[str]:
    """The data of each event, as it comes."""
    for line in answer:
        if line.startswith(b"data: "):
            yield line[6:].decode().strip()


def _question(text: str) -> list[Json]:
    return [{"role": "user", "content": text}]


def _openai_piece(event: Json) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))


def _anthropic_piece(event: Json) -> str:
    text: str = event.get("delta", {}).get("text", "")
    return text


OPENAI = Door(
    name="openai",
    path="/v1/chat/completions",
    surface="openai.chat",
    body=lambda model, text: {"model": model, "messages": _question(text)},
    text=lambda answer: str(answer["choices"][0]["message"]["content"]),
    piece=_openai_piece,
    message=lambda answer: str(answer["error"]["message"]),
    code=lambda answer: str(answer["error"]["code"]),
    is_end=lambda data: data == "[DONE]",
)
ANTHROPIC = Door(
    name="anthropic",
    path="/v1/messages",
    surface="anthropic.messages",
    body=lambda model, text: {"model": model, "max_tokens": 100, "messages": _question(text)},
    text=lambda answer: "".join(block["text"] for block in answer["content"]),
    piece=_anthropic_piece,
    message=lambda answer: str(answer["error"]["message"]),
    code=lambda answer: str(answer["error"]["type"]),
    is_end=lambda data: '"message_stop"' in data,
)
SPEC_D = Door(
    name="spec-d",
    path="/api/ai-providers/complete",
    surface="spec_d",
    body=lambda model, text: {"model": model, "prompt": text},
    text=lambda answer: str(answer["content"]),
    piece=lambda event: str(event.get("content", "")),
    message=lambda answer: str(answer["error"]),
    code=lambda answer: str(answer["error_code"]),
    is_end=lambda data: '"finishReason"' in data,
)
DOORS = (OPENAI, ANTHROPIC, SPEC_D)
