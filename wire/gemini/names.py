"""Google's JSON takes each name in camel case or in snake case (https://protobuf.dev/programming-guides/json).

We read the former alone, so that the latter are renamed on the way in. What callers fill with names of their own
(schemas, arguments, results) is left as it came.
"""

from __future__ import annotations

import re

import msgspec

from wire.body import MALFORMED, Fields

_OBJECTS = frozenset({
    "contents", "parts", "inlineData", "fileData", "functionCall", "functionResponse", "systemInstruction",
    "generationConfig", "thinkingConfig", "toolConfig", "functionCallingConfig", "tools", "functionDeclarations",
    "safetySettings", "content", "requests",
})  # fmt: skip
_SNAKE_NAME = re.compile(rb'[a-z]_[a-z_]+"\s*:')
_WORD_BREAK = re.compile(r"(?<=[a-zA-Z0-9])_([a-z])")
_FIELDS: msgspec.json.Decoder[Fields] = msgspec.json.Decoder(Fields)
_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


def camel_keys(fields: Fields) -> Fields:
    """The same object, its own keys in camel case."""
    if not any("_" in name for name in fields):
        return fields
    return {_camel(name): value for name, value in fields.items()}


def camel(raw: msgspec.Raw) -> msgspec.Raw:
    """The same JSON, the keys of all objects that are Google's in camel case."""
    if not _SNAKE_NAME.search(raw):
        return raw
    try:
        head = bytes(memoryview(raw)[:1])
        if head == b"[":
            return _encoded([camel(each) for each in _LIST.decode(raw)])
        fields = camel_keys(_FIELDS.decode(raw))
    except MALFORMED:  # a string, a number: who asked for an object will say so
        return raw
    return _encoded({name: camel(value) if name in _OBJECTS else value for name, value in fields.items()})


def _camel(name: str) -> str:
    return _WORD_BREAK.sub(lambda found: found[1].upper(), name)


def _encoded(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
