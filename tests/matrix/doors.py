"""What a door is to the matrix, and those that answer over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.matrix.wishes import Feature, Heard, Json, Wish
from tests.product import Answer, Product

# What a specification's door, which is one of texts, has no field for.
TEXTS_ALONE = dict.fromkeys(
    (
        Feature.TOOL_CALL,
        Feature.FORCED_TOOL,
        Feature.TOOL_RESULT,
        Feature.IMAGE,
        Feature.IMAGE_URL,
        Feature.JSON_SCHEMA,
    ),
    "texts alone",
)


class Door(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def lacks(self) -> Mapping[Feature, str]:
        """The features that it has no words for, and why."""

    def ask(self, product: Product, wish: Wish) -> Heard: ...

    def told(self, code: str, status: int) -> tuple[int | str | None, str]:
        """How it tells an error: its status, and what it has in place of the code."""


def sse(text: str) -> list[Json]:
    lines = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line.startswith("{")]


@dataclass(frozen=True, kw_only=True, eq=False)
class HttpDoor:
    """`whole` and `pieces` read an answer and the events of a stream, `problem` an error: its code and its message.

    `frames` cuts a stream into events; `ends` says whether it came to its end.
    """

    name: str
    path: Callable[[Wish], str]
    body: Callable[[Wish], Json]
    whole: Callable[[Json], Heard]
    problem: Callable[[Json], tuple[str, str]]
    pieces: Callable[[list[Json]], Heard] | None = None
    frames: Callable[[str], list[Json]] = sse
    ends: Callable[[str], bool] = lambda text: True
    codes: Mapping[str, str] = field(default_factory=dict)
    lacks: Mapping[Feature, str] = field(default_factory=dict)

    def ask(self, product: Product, wish: Wish) -> Heard:
        answer = product.request("POST", self.path(wish), body=self.body(wish), key=product.key)
        if answer.status != 200:
            return self._failed(answer, answer.json())
        if not wish.streams:
            return self.whole(answer.json())
        return self._streamed(answer)

    def told(self, code: str, status: int) -> tuple[int, str]:
        return status, self.codes.get(f"{code} {status}", self.codes.get(code, code))

    def _streamed(self, answer: Answer) -> Heard:
        events = self.frames(answer.text)
        is_complete = self.ends(answer.text)
        if events and "error" in events[-1]:
            code, message = self.problem(events[-1])
            return Heard(status=None, code=code, message=message, is_complete=is_complete)
        assert self.pieces is not None
        heard = self.pieces(events)
        return Heard(text=heard.text, calls=heard.calls, is_complete=is_complete)

    def _failed(self, answer: Answer, body: Json) -> Heard:
        code, message = self.problem(body)
        return Heard(status=answer.status, code=code, message=message, is_complete=False)


def at(path: str) -> Callable[[Wish], str]:
    return lambda _: path


def lines(text: str) -> list[Json]:
    return [json.loads(line) for line in text.splitlines()]


def joined(pieces: Iterable[str | None]) -> str:
    return "".join(piece or "" for piece in pieces)


def plain_problem(body: Json) -> tuple[str, str]:
    """Specification B's form."""
    assert set(body) == {"error", "error_code", "timestamp", "request_id", "context"}
    assert {"operation", "provider"} <= set(body["context"])
    return body["error_code"], body["error"]


def parsed(calls: Iterable[tuple[str, str]]) -> list[tuple[str, Any]]:
    return [(name, json.loads(arguments)) for name, arguments in calls]
