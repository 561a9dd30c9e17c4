"""OpenAI's input items -> neutral messages. What the assistant did in a row becomes one message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from wire import images
from wire.body import Fields, Reader
from wire.errors import unsupported
from wire.neutral import Image, Message, Part, Role, Text, ToolCall, ToolResult
from wire.openai_responses import schema
from wire.openai_responses.messages_out import DETAIL
from wire.openai_responses.reasoning import thinking_of

_INPUT = Reader[str | list[msgspec.Raw]](str | list[msgspec.Raw] | None)
_KINDS = Reader[list[schema.Kind]](list[schema.Kind] | None)
_ITEMS: dict[str | None, Reader[schema.Item]] = {
    None: Reader(schema.Message),
    "message": Reader(schema.Message),
    "function_call": Reader(schema.FunctionCall),
    "function_call_output": Reader(schema.FunctionCallOutput),
    "reasoning": Reader(schema.Reasoning),
}


def decode_input(fields: Fields) -> tuple[Message, ...]:
    given = _INPUT.read(fields, "input") or ""
    if isinstance(given, str):
        return (Message("user", (Text(given),)),)
    kinds = _KINDS.read(fields, "input") or []
    items = [
        _item(raw, kind.type, f"input[{index}]") for index, (raw, kind) in enumerate(zip(given, kinds, strict=True))
    ]
    return tuple(_messages(items))


def _item(raw: msgspec.Raw, kind: str | None, path: str) -> schema.Item:
    reader = _ITEMS.get(kind)
    if reader is None:
        raise unsupported(path, f"of type '{kind}' cannot be translated for the provider of this model.")
    item = reader.read({path: raw}, path)
    assert item is not None
    return item


def _messages(items: Sequence[schema.Item]) -> Iterator[Message]:
    parts = [(_role(item), list(_parts(item, f"input[{index}]"))) for index, item in enumerate(items)]
    for role, group in groupby(parts, key=lambda each: each[0]):
        if role == "assistant":
            said = tuple(part for _, each in group for part in each)
            if said:
                yield Message(role, said)
        else:
            yield from (Message(role, tuple(each)) for _, each in group)


def _role(item: schema.Item) -> Role:
    match item:
        case schema.Message():
            return "system" if item.role == "developer" else item.role
        case schema.FunctionCallOutput():
            return "user"
        case _:
            return "assistant"


def _parts(item: schema.Item, path: str) -> Iterator[Part]:
    match item:
        case schema.Message():
            yield from _content(item.content, f"{path}.content")
        case schema.FunctionCall():
            _refuse_programs(item, path)
            yield ToolCall(item.call_id, item.name, item.arguments)
        case schema.FunctionCallOutput():
            _refuse_programs(item, path)
            yield ToolResult(item.call_id, tuple(_content(item.output, f"{path}.output")))
        case schema.Reasoning():
            text = "\n\n".join(part.text for part in item.summary or item.content or ())
            thinking = thinking_of(text, item.encrypted_content)
            if thinking is not None:
                yield thinking


def _content(content: str | Sequence[schema.Content], path: str) -> Iterator[Text | Image]:
    if isinstance(content, str):
        yield Text(content)
        return
    for index, part in enumerate(content):
        yield _part(part, f"{path}[{index}]")


def _part(part: schema.Content, path: str) -> Text | Image:
    """A refusal is what the model said, so it stays in the conversation as text."""
    match part:
        case schema.InputImage(image_url=str(url)):
            detail = None if part.detail == DETAIL else part.detail
            return images.from_url(url, detail=detail, param=f"{path}.image_url")
        case schema.InputImage():
            raise unsupported(f"{path}.file_id", "is a file at OpenAI, and cannot be translated: send an image_url.")
        case schema.Refusal():
            return Text(part.refusal)
        case _:
            return Text(part.text)


def _refuse_programs(item: schema.FunctionCall | schema.FunctionCallOutput, path: str) -> None:
    if item.namespace:
        raise unsupported(f"{path}.namespace", "cannot be translated for the provider of this model.")
    if item.caller is not None and item.caller.get("type", "direct") != "direct":
        raise unsupported(f"{path}.caller", "is a program at OpenAI, which cannot be translated for this provider.")
