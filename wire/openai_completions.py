"""OpenAI's older Completions API (`POST /v1/completions`), for callers alone: a prompt becomes a user's message.

A `wire.dialect.CallerDialect` that can also encode a plain answer. Source: openai-python 3.54.0,
`types/completion_create_params.py` and `types/completion.py`. Several prompts in one call, prompts of token numbers,
`suffix`, `echo`, `best_of` and `logprobs` have no counterpart in a chat and are refused by name.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire import sse
from wire.body import FLAG, NAME, NUMBER, POSITIVE, TEXT, WHOLE, Fields, Reader, open_body, refuse_others
from wire.dialect import Envelope
from wire.errors import invalid, unsupported
from wire.neutral import (
    ChatRequest,
    ChatResponse,
    Finished,
    Message,
    Metered,
    Settled,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Usage,
)
from wire.openai_chat.errors import encode_error
from wire.openai_chat.opening import MAX_CHOICES
from wire.openai_chat.stream_out import DONE
from wire.openai_chat.usage import encode_usage

__all__ = ["decode_chat", "encode_error", "encode_response", "encoder", "name", "open_chat", "stream_type"]

name = "openai_completions"
stream_type = sse.CONTENT_TYPE

_TRANSLATED = frozenset({
    "model", "prompt", "stream", "stream_options", "n", "max_tokens", "temperature", "top_p",
    "frequency_penalty", "presence_penalty", "seed", "stop", "user",
})  # fmt: skip
_HARMLESS: dict[str, list[Any]] = {"echo": [False], "best_of": [1]}
_PROMPT = Reader[str | list[Any]](str | list[Any] | None, "a text")
_STOP = Reader[str | list[str]](str | list[str] | None, "a string or an array of strings")
_OPTIONS = Reader[Fields](Fields | None, "an object")


def open_chat(body: bytes) -> Envelope:
    fields = open_body(body)
    if "prompt" not in fields:
        raise invalid("'prompt' must be a text.", param="prompt")
    stream = FLAG.read(fields, "stream") or False
    options = _OPTIONS.read(fields, "stream_options") or {}
    choices = POSITIVE.read(fields, "n") or 1
    if choices > MAX_CHOICES:
        raise invalid(f"'n' must be a whole number from 1 to {MAX_CHOICES}.", param="n")
    return Envelope(
        fields=fields,
        model=NAME.read(fields, "model") or "",
        stream=stream,
        max_output_tokens=POSITIVE.read(fields, "max_tokens"),
        choices=choices,
        input_bytes=len(fields["prompt"]),
        end_user=TEXT.read(fields, "user"),
        show_usage=not stream or FLAG.read(options, "include_usage") or False,
        temperature=NUMBER.read(fields, "temperature"),
    )


def decode_chat(envelope: Envelope) -> ChatRequest:
    fields = envelope.fields
    refuse_others(fields, _TRANSLATED, _HARMLESS)
    stop = _STOP.read(fields, "stop")
    return ChatRequest(
        model=envelope.model,
        messages=(Message("user", (Text(_prompt(fields)),)),),
        max_output_tokens=envelope.max_output_tokens,
        choices=envelope.choices,
        temperature=NUMBER.read(fields, "temperature"),
        top_p=NUMBER.read(fields, "top_p"),
        frequency_penalty=NUMBER.read(fields, "frequency_penalty"),
        presence_penalty=NUMBER.read(fields, "presence_penalty"),
        seed=WHOLE.read(fields, "seed"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        stream=envelope.stream,
        show_usage=envelope.show_usage,
        end_user=envelope.end_user,
    )


def _prompt(fields: Fields) -> str:
    said = _PROMPT.read(fields, "prompt")
    prompts = said if isinstance(said, list) else [said]
    if len(prompts) != 1 or not isinstance(prompts[0], str):
        raise unsupported("prompt", "must be one text: several prompts, and token numbers, cannot be translated.")
    return prompts[0]


def encode_response(response: ChatResponse) -> bytes:
    body = {
        "id": response.id,
        "object": "text_completion",
        "created": response.created,
        "model": response.model,
        "choices": [
            _choice(choice.index, "".join(part.text for part in choice.parts if isinstance(part, Text)), choice.finish)
            for choice in response.choices
        ],
    }
    if response.usage is not None:
        body["usage"] = encode_usage(response.usage)
    return msgspec.json.encode(body)


class Encoder:
    """A chunk for each piece of text. Usage goes out last, where it is to be shown."""

    def __init__(self, *, show_usage: bool) -> None:
        self._show_usage = show_usage
        self._head: dict[str, Any] = {"id": "", "object": "text_completion", "created": 0, "model": ""}
        self._usage: Usage | None = None

    def encode(self, event: StreamEvent) -> bytes:
        match event:
            case Started():
                self._head |= {"id": event.id, "created": event.created, "model": event.model}
            case TextDelta():
                return self._chunk([_choice(event.choice, event.text, None)])
            case Finished():
                return self._chunk([_choice(event.choice, "", event.finish)])
            case Metered():  # some hosts tell the usage so far with every chunk: the last one counts
                self._usage = event.usage
            case Settled():  # holds the gateway's own estimate where the provider said nothing
                self._usage = self._usage or event.usage
        return b""

    def close(self) -> bytes:
        if not self._show_usage or self._usage is None:
            return DONE
        return self._chunk([], usage=encode_usage(self._usage)) + DONE

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return sse.event(msgspec.json.encode({**self._head, "choices": choices, **more}))


def encoder(*, show_usage: bool) -> Encoder:
    return Encoder(show_usage=show_usage)


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
