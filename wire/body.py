"""A caller's JSON body, opened once and lightly: its bounds, then typed reads of single fields.

All raise `ApiError`, naming the field at fault.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from wire.errors import ApiError, invalid, unsupported

MAX_DEPTH = 100
MOST = 2**31 - 1  # of anything that is counted; more would not fit into a column, and means nothing

COMPRESSED = {"gzip", "x-gzip", "deflate", "compress", "br", "zstd"}  # of `Content-Encoding`: bodies come as they are

NOTHING: tuple[Any, ...] = (None, [], {}, "")  # values that ask for nothing: SDKs send them for what was left out

# All that msgspec raises for bytes that it cannot read as the type that was asked for.
MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Fields = dict[str, msgspec.Raw]
T = TypeVar("T")


class Reader(Generic[T]):
    """Reads one top-level field of a body; None where it is absent.

    `kind` is a type for msgspec, with None where null is allowed. `allowed` ends the sentence "'name' must be …";
    without it the error is msgspec's own, which names the place inside the field.
    """

    def __init__(self, kind: Any, allowed: str = "") -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._allowed = allowed

    def read(self, fields: Fields, name: str) -> T | None:
        raw = fields.get(name)
        if raw is None:
            return None
        try:
            value: T | None = self._decoder.decode(raw)
        except MALFORMED as error:
            raise self._refusal(name, error) from None
        return value

    def _refusal(self, name: str, error: Exception) -> ApiError:
        if self._allowed:
            return invalid(f"'{name}' must be {self._allowed}.", param=name)
        return _explained(str(error), name)


ANY = Reader[Any](Any)
FLAG = Reader[bool](bool | None, "true or false")
TEXT = Reader[str](str | None, "a string")
NAME = Reader[str](Annotated[str, msgspec.Meta(min_length=1)], "a non-empty string")
NUMBER = Reader[float](float | None, "a number")
WHOLE = Reader[int](int | None, "a whole number")
COUNT = Reader[int](Annotated[int, msgspec.Meta(ge=0, le=MOST)] | None, f"a whole number from 0 to {MOST}")
POSITIVE = Reader[int](Annotated[int, msgspec.Meta(ge=1, le=MOST)] | None, f"a whole number from 1 to {MOST}")

_FIELDS: msgspec.json.Decoder[Fields] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL = msgspec.Raw(b"null")
_MAX_WALKED = 100_000
_LONG_BYTES = 1_000
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_TO_BRACES = bytes.maketrans(b"[]", b"{}")


def open_body(body: bytes) -> Fields:
    try:
        if not body.isascii():
            body.decode()
        fields = _FIELDS.decode(body)
    except RecursionError:
        raise _too_deep() from None
    except msgspec.ValidationError:
        raise invalid("The body must be a JSON object.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if not body.strip():
            raise invalid("The body is empty: send a JSON object.") from None
        raise invalid(f"The body is not valid JSON in UTF-8: {error}.") from None
    if b"\\u0000" in body and _ESCAPED_NUL.search(body):
        raise invalid("The body holds a NUL character (\\u0000), which no text here may hold.")
    if len(set(map(str.casefold, fields))) < len(fields):  # hosts written in Go take either for what we have read
        raise _alike(fields)
    if is_deeper(body, MAX_DEPTH):
        raise _too_deep()
    return fields


def _alike(fields: Fields) -> ApiError:
    seen: dict[str, str] = {}
    for name in fields:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            break
    return invalid(f"'{other}' and '{name}' differ only in how they are capitalised: send one of them.", param=name)


def is_deeper(body: bytes, depth: int) -> bool:
    """Whether well-formed JSON nests arrays and objects deeper than `depth`.

    A body with fewer brackets than that cannot. Others are decoded and walked down; those that might hold very many
    arrays and objects are not, as they would take a hundred times their size in memory, nor are those with a number
    that cannot be decoded (1e400).
    """
    if not _has_more(body, depth):
        return False
    if body.count(b"{") + body.count(b"[") > _MAX_WALKED:
        return _outlasts(body, depth)
    try:
        return has_level(msgspec.json.decode(body), depth)
    except MALFORMED:
        return _outlasts(body, depth)


def _has_more(body: bytes, brackets: int) -> bool:
    """Whether more than so many are opened. `find` looks for one byte forty times as fast as `count` does."""
    for bracket in (b"{", b"["):
        at = body.find(bracket)
        while at >= 0:
            brackets -= 1
            if brackets < 0:
                return True
            at = body.find(bracket, at + 1)
    return False


def has_level(value: Any, depth: int) -> bool:
    """Whether a decoded array or object nests others deeper than `depth`."""
    level = [value]
    for _ in range(depth):
        inside = [child for node in level for child in (node.values() if type(node) is dict else node)]
        level = [child for child in inside if type(child) in (dict, list)]
        if not level:
            return False
    return True


def _outlasts(body: bytes, depth: int) -> bool:
    """All but the brackets is deleted, then the innermost pairs, once for each level."""
    outside_strings = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    brackets = b"".join(outside_strings).translate(_TO_BRACES, _NOT_BRACKETS)
    for _ in range(depth):
        brackets = brackets.replace(b"{}", b"")
    return brackets != b""


def require_array(fields: Fields, name: str) -> None:
    raw = fields.get(name, _NULL)
    head = bytes(memoryview(raw)[:32])
    if head[:1] != b"[" or head[1:].lstrip()[:1] == b"]":
        raise invalid(f"'{name}' must be a non-empty array.", param=name)


def refuse_others(fields: Fields, known: Container[str], harmless: Mapping[str, Container[Any]]) -> None:
    """Refuses by name each field that is not among the `known`, unless its value is in `harmless[name]`, or nothing."""
    for name in fields:
        if name in known:
            continue
        value = ANY.read(fields, name)
        if value not in NOTHING and value not in harmless.get(name, ()):
            raise unsupported(name, "cannot be translated for the provider of this model.")


def text_bytes(fields: Fields, *names: str) -> int:
    """The size of these fields as they were sent: UTF-8, unless the caller escapes it. And of others that are long:
    some hosts read more than their dialect has (vLLM's `documents`), and holds are to bound what that costs.
    """
    return sum([len(raw) for name, raw in fields.items() if name in names or len(raw) > _LONG_BYTES])


def json_object(text: str | msgspec.Raw) -> msgspec.Raw | None:
    """The text as it is, if it is a JSON object; None otherwise."""
    encoded = text.encode() if isinstance(text, str) else bytes(text)
    try:
        _FIELDS.decode(encoded)
    except MALFORMED:
        return None
    return msgspec.Raw(encoded)


_PLACE = re.compile(r" - at `\$(.*)`$")
_OTHER_VALUES = ("Invalid value", "Invalid enum value")  # for what tells the kinds of a union apart, and for words
_UNKNOWN_FIELD = re.compile(r"unknown field `(.*)`")


def _explained(message: str, root: str) -> ApiError:
    """What msgspec says, "Expected `str`, got `int` - at `$[0].content`", in our words."""
    place = _PLACE.search(message)
    path = root + (place[1] if place else "")
    reason = message[: place.start()] if place else message
    unknown = _UNKNOWN_FIELD.search(reason)
    if unknown:
        return unsupported(f"{path}.{unknown[1]}", "cannot be translated for the provider of this model.")
    if reason.startswith(_OTHER_VALUES):
        value = reason.partition(" value ")[2]
        return unsupported(path, f"of {value} cannot be translated for the provider of this model.")
    return invalid(f"'{path}': {reason[0].lower()}{reason[1:]}.", param=path)


def _too_deep() -> ApiError:
    return invalid(f"The body nests deeper than {MAX_DEPTH} levels.")
