"""Items that a caller names instead of sending them: `{"type": "item_reference", "id": …}`, the type being optional.

A door that keeps the items of answers puts them in (`resolved`) before the body is decoded or goes on. What was kept
goes on without its id: told that nothing is stored, OpenAI looks an id up all the same, and refuses what it cannot find
(https://github.com/vercel/ai/issues/7543, https://github.com/vercel/ai/pull/12689). Thinking that OpenAI has not sealed
is of no use to it without one, and `rewrite_chat` leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from wire.body import FLAG, MALFORMED, Reader
from wire.dialect import Envelope
from wire.errors import ApiError, invalid
from wire.openai_responses.meter import ENDS
from wire.sse import EventSplitter, data_of


class _Named(msgspec.Struct, gc=False):
    """What tells a reference among input items, and an output item from others."""

    type: str | None = None
    id: Any = None
    role: Any = None


class _Answer(msgspec.Struct, gc=False):
    output: list[msgspec.Raw] = []


class _End(msgspec.Struct, gc=False):
    type: str = ""
    response: msgspec.Raw = msgspec.Raw()


_NAMED = Reader[list[_Named]](list[_Named] | None)
_RAW_ITEMS: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_ITEM: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NAME: msgspec.json.Decoder[_Named] = msgspec.json.Decoder(_Named)
_ANSWER: msgspec.json.Decoder[_Answer] = msgspec.json.Decoder(_Answer)
_END: msgspec.json.Decoder[_End] = msgspec.json.Decoder(_End)
_END_WORDS = tuple(kind.encode() for kind in ENDS)


def references(envelope: Envelope) -> dict[int, str]:
    """The ids that are named, by their place in `input`. Raises `ApiError` for items that are none."""
    if bytes(memoryview(envelope.fields["input"])[:1]) != b"[":
        return {}
    items = _NAMED.read(envelope.fields, "input") or []
    return {index: _id(item, index) for index, item in enumerate(items) if _is_reference(item)}


def resolved(envelope: Envelope, named: Mapping[int, str], kept: Mapping[str, bytes]) -> Envelope:
    """The same with the `kept` items, by id, where they are `named`. Raises `ApiError` naming one that is missing."""
    before = envelope.fields["input"]
    items = _RAW_ITEMS.decode(before)
    for index, id_ in named.items():
        if id_ not in kept:
            raise _missing(index)
        items[index] = _as_input(kept[id_])
    after = msgspec.Raw(msgspec.json.encode(items))
    return msgspec.structs.replace(
        envelope,
        fields=envelope.fields | {"input": after},
        input_bytes=envelope.input_bytes + len(after) - len(before),
    )


def wants_storing(envelope: Envelope) -> bool:
    """OpenAI stores unless it is told not to. Raises `ApiError`."""
    return FLAG.read(envelope.fields, "store") is not False


def items_of(answer: bytes) -> dict[str, bytes]:
    """The output items of a whole answer, by id; those without one are left out."""
    try:
        items = [(_NAME.decode(raw), bytes(raw)) for raw in _ANSWER.decode(answer).output]
    except MALFORMED:
        return {}
    return {named.id: item for named, item in items if isinstance(named.id, str) and named.id}


def items_of_end(frame: bytes) -> dict[str, bytes]:
    """The same of what a stream sends last; nothing where `frame` is not its end."""
    if not any(word in frame for word in _END_WORDS):
        return {}
    *_, last = EventSplitter(max_event_bytes=len(frame)).feed(frame) or [b""]
    try:
        end = _END.decode(data_of(last))
    except MALFORMED:
        return {}
    return items_of(bytes(end.response)) if end.type in ENDS else {}


def _is_reference(item: _Named) -> bool:
    return item.type == "item_reference" or (item.type is None and item.role is None and item.id is not None)


def _id(item: _Named, index: int) -> str:
    if not isinstance(item.id, str) or not item.id:
        raise invalid(f"'input[{index}].id' must be a non-empty string.", param=f"input[{index}].id")
    return item.id


def _missing(index: int) -> ApiError:
    place = f"input[{index}]"
    return invalid(
        f"'{place}' refers to an item that is not kept here, or not any more: send the item itself (SDKs do if told so "
        "by store: false).",
        param=place,
    )


def _as_input(item: bytes) -> msgspec.Raw:
    fields = _ITEM.decode(item)
    fields.pop("id", None)
    return msgspec.Raw(msgspec.json.encode(fields))
