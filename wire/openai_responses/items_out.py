"""The items of a streamed answer: what each one tells as it opens, grows and closes."""

from __future__ import annotations

from typing import Any

from wire.neutral import Text, Thinking, ThinkingDelta, ToolCall, ToolCallStarted
from wire.openai_responses.response import encode_item, text_part

Events = list[dict[str, Any]]


class Item:
    """`whole` is the item as it stands in the finished answer; it is there once `closing` has been called."""

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.whole: dict[str, Any] = {}

    def opening(self) -> Events:
        raise NotImplementedError

    def closing(self, status: str) -> Events:
        raise NotImplementedError

    def _event(self, kind: str, **members: Any) -> dict[str, Any]:
        return {"type": f"response.{kind}", "item_id": self.id, **members}

    def _added(self, item: dict[str, Any]) -> dict[str, Any]:
        return {"type": "response.output_item.added", "item": item}

    def _done(self, item: dict[str, Any]) -> dict[str, Any]:
        self.whole = item
        return {"type": "response.output_item.done", "item": item}


class MessageItem(Item):
    def __init__(self, id_: str) -> None:
        super().__init__(id_)
        self._texts: list[str] = []
        self._logprobs: list[Any] = []

    def opening(self) -> Events:
        empty = encode_item(Text(""), self.id, logprobs=[], status="in_progress") | {"content": []}
        part = text_part("", [])
        return [self._added(empty), self._event("content_part.added", content_index=0, part=part)]

    def delta(self, text: str, logprobs: list[Any]) -> Events:
        self._texts.append(text)
        self._logprobs += logprobs
        return [self._event("output_text.delta", content_index=0, delta=text, logprobs=logprobs)]

    def closing(self, status: str) -> Events:
        text = "".join(self._texts)
        whole = encode_item(Text(text), self.id, logprobs=self._logprobs, status=status)
        return [
            self._event("output_text.done", content_index=0, text=text, logprobs=self._logprobs),
            self._event("content_part.done", content_index=0, part=whole["content"][0]),
            self._done(whole),
        ]


class ReasoningItem(Item):
    """One part of a summary, where there is any text."""

    def __init__(self, id_: str) -> None:
        super().__init__(id_)
        self._texts: list[str] = []
        self._signature: str | None = None
        self._redacted: str | None = None

    def opening(self) -> Events:
        return [self._added(encode_item(Thinking(), self.id, logprobs=[]))]

    def delta(self, event: ThinkingDelta) -> Events:
        self._signature, self._redacted = event.signature, event.redacted
        if not event.text:
            return []
        opened = [] if self._texts else [self._part("added", "")]
        self._texts.append(event.text)
        return [*opened, self._event("reasoning_summary_text.delta", summary_index=0, delta=event.text)]

    def closing(self, status: str) -> Events:
        del status
        text = "".join(self._texts)
        told = self._event("reasoning_summary_text.done", summary_index=0, text=text)
        whole = encode_item(Thinking(text, self._signature, self._redacted), self.id, logprobs=[])
        return [*([told, self._part("done", text)] if text else []), self._done(whole)]

    def _part(self, state: str, text: str) -> dict[str, Any]:
        part = {"type": "summary_text", "text": text}
        return self._event(f"reasoning_summary_part.{state}", summary_index=0, part=part)


class CallItem(Item):
    def __init__(self, id_: str, started: ToolCallStarted) -> None:
        super().__init__(id_)
        self.number = started.call
        self._started = started
        self._arguments: list[str] = []

    def opening(self) -> Events:
        return [self._added(self._item("in_progress"))]

    def delta(self, arguments: str) -> Events:
        self._arguments.append(arguments)
        return [self._event("function_call_arguments.delta", delta=arguments)]

    def closing(self, status: str) -> Events:
        whole = self._item(status)
        told = self._event("function_call_arguments.done", arguments=whole["arguments"], name=self._started.name)
        return [told, self._done(whole)]

    def _item(self, status: str) -> dict[str, Any]:
        call = ToolCall(self._started.id, self._started.name, "".join(self._arguments))
        return encode_item(call, self.id, logprobs=[], status=status)
