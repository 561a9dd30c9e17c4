"""What is asked at every door of every kind of provider, and what is heard there."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Json = dict[str, Any]

TOOL = "get_weather"
TOWN = {"town": "Ulm"}
PARAMETERS = {"type": "object", "properties": {"town": {"type": "string", "enum": ["Ulm"]}}, "required": ["town"]}
RESULT = "It rains frogs."
CALL_ID = "call_1"
SCHEMA = {
    "type": "object",
    "properties": {"harvest": {"type": "string", "enum": ["plums"]}},
    "required": ["harvest"],
    "additionalProperties": False,
}
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n-not-quite-a-picture").decode()
PICTURE_URL = "https://pictures.example/ulm.png"
STOP = "THE-END"
MAX_TOKENS = 24


class Feature(StrEnum):
    """A column of the table. The last three are those of embeddings."""

    PLAIN = "plain"
    STREAM = "stream"
    TOOL_CALL = "tool call"
    FORCED_TOOL = "forced tool"
    TOOL_RESULT = "tool result"
    IMAGE = "image"
    IMAGE_URL = "image url"
    JSON_SCHEMA = "json schema"
    STOP = "stop"
    ERROR = "error"
    ONE = "one text"
    MANY = "many texts"
    DIMENSIONS = "dimensions"


CHAT = [feature for feature in Feature if feature not in (Feature.ONE, Feature.MANY, Feature.DIMENSIONS)]
EMBEDDING = [Feature.ONE, Feature.MANY, Feature.DIMENSIONS, Feature.ERROR]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One call. `text` is like no other's, so that a cache cannot answer and every dispatch is told from the others."""

    model: str
    feature: Feature
    text: str
    streams: bool = False

    @property
    def has_tool(self) -> bool:
        return self.feature in (Feature.TOOL_CALL, Feature.FORCED_TOOL, Feature.TOOL_RESULT)

    @property
    def texts(self) -> list[str]:
        return [self.text, f"{self.text}, again"] if self.feature is Feature.MANY else [self.text]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """An answer, or an error (`code` and `message`, as the door words them). `status` None: the door has none.

    `is_complete` says that a stream came to its dialect's end.
    """

    status: int | str | None = 200
    text: str = ""
    calls: Sequence[tuple[str, Any]] = ()
    vectors: Sequence[Sequence[float]] = ()
    code: str = ""
    message: str = ""
    is_complete: bool = True


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What a provider read in the body that it was sent."""

    text: str = ""
    tools: Json = field(default_factory=dict)
    is_forced: bool = False
    calls: Sequence[tuple[str, Any]] = ()
    results: Sequence[str] = ()
    pictures: Sequence[str] = ()
    schema: Json | None = None
    stops: Sequence[str] = ()
    texts: Sequence[str] = ()
    dimensions: int | None = None
