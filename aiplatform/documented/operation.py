"""How a data-plane door is described, and the forms of its errors."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

EVENTS = "text/event-stream"
LINES = "application/x-ndjson"


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """Of the path or the query, with a value that an example may use."""

    name: str
    place: Literal["path", "query"] = "query"
    description: str
    format: Literal["", "date"] = ""
    example: str | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A method at a path, `{…}` for its variable parts.

    `body` and `answer` are types that msgspec knows; several answers are a tuple of such. `streams` is the content
    type of its streams, "" where it has none. `error` is the type of its errors. `key`: whose key it takes, if any.
    """

    method: str
    path: str
    tag: str
    summary: str
    answer: Any
    error: Any
    body: Any = None
    streams: str = ""
    parameters: tuple[Parameter, ...] = ()
    example: dict[str, Any] | None = None
    key: Literal["call", "manage", ""] = "call"
    answers: tuple[int, ...] = (200,)


MODEL = Parameter(name="model", place="path", description="A route, a model, or `provider/model`.", example="demo")


class PlainErrorContext(msgspec.Struct):
    """What was tried, at which provider, and the field at fault; null where there is none."""

    operation: str | None
    provider: str | None
    field: str | None = None


class PlainError(msgspec.Struct):
    """An error of the platform's own doors. `error_code` is one of a closed list."""

    error: str
    error_code: str
    timestamp: float
    request_id: str
    context: PlainErrorContext
    fields: Any = None
