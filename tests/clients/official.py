"""The official Python clients, told alike what to ask and telling alike what they heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from google import genai

from tests.product import Product

NO_RETRIES = 0


@dataclass(frozen=True, kw_only=True)
class Heard:
    """`pieces` is the whole text at once where the answer came in one piece; tokens are None where none were told."""

    pieces: list[str]
    input_tokens: int | None
    output_tokens: int | None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


Ask = Callable[[Product, str, str], Heard]


@dataclass(frozen=True, kw_only=True)
class Official:
    """`plain` and `stream` take the product, a model, and the call's name, which is its request id and its prompt."""

    surface: str
    plain: Ask
    stream: Ask

    def __str__(self) -> str:
        return self.surface


def _openai(product: Product, name: str) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=product.url("/v1"),
        api_key=product.key,
        max_retries=NO_RETRIES,
        default_headers={"X-Request-ID": name},
    )


def _chat(product: Product, model: str, name: str) -> Heard:
    with _openai(product, name) as client:
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": name}])
    assert answer.usage is not None
    finish: str = answer.choices[0].finish_reason
    assert finish in ("stop", "eos")  # Together's word for it
    return Heard(
        pieces=[answer.choices[0].message.content or ""],
        input_tokens=answer.usage.prompt_tokens,
        output_tokens=answer.usage.completion_tokens,
    )


def _chat_stream(product: Product, model: str, name: str) -> Heard:
    with (
        _openai(product, name) as client,
        client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": name}],
            stream=True,
            stream_options={"include_usage": True},
        ) as stream,
    ):
        chunks = list(stream)
    usage = chunks[-1].usage
    return Heard(
        pieces=[piece for chunk in chunks for choice in chunk.choices if (piece := choice.delta.content)],
        input_tokens=usage.prompt_tokens if usage else None,
        output_tokens=usage.completion_tokens if usage else None,
    )


def _response(product: Product, model: str, name: str) -> Heard:
    with _openai(product, name) as client:
        answer = client.responses.create(model=model, input=name)
    return _of_response(answer, [answer.output_text])


def _response_stream(product: Product, model: str, name: str) -> Heard:
    with _openai(product, name) as client, client.responses.create(model=model, input=name, stream=True) as stream:
        events = list(stream)
    last: Any = events[-1]
    assert last.type == "response.completed"
    return _of_response(last.response, [event.delta for event in events if event.type == "response.output_text.delta"])


def _of_response(answer: Any, pieces: list[str]) -> Heard:
    assert answer.status == "completed"
    return Heard(pieces=pieces, input_tokens=answer.usage.input_tokens, output_tokens=answer.usage.output_tokens)


def _anthropic(product: Product, name: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=product.base_url,
        api_key=product.key,
        max_retries=NO_RETRIES,
        default_headers={"X-Request-ID": name},
    )


def _message(product: Product, model: str, name: str) -> Heard:
    with _anthropic(product, name) as client:
        answer = client.messages.create(model=model, max_tokens=100, messages=[{"role": "user", "content": name}])
    return _of_message(answer, [block.text for block in answer.content if block.type == "text"])


def _message_stream(product: Product, model: str, name: str) -> Heard:
    asked: Any = [{"role": "user", "content": name}]
    with (
        _anthropic(product, name) as client,
        client.messages.stream(model=model, max_tokens=100, messages=asked) as stream,
    ):
        pieces = list(stream.text_stream)
        return _of_message(stream.get_final_message(), pieces)


def _of_message(answer: anthropic.types.Message, pieces: list[str]) -> Heard:
    assert answer.stop_reason == "end_turn"
    return Heard(pieces=pieces, input_tokens=answer.usage.input_tokens, output_tokens=answer.usage.output_tokens)


def _google(product: Product, name: str) -> genai.Client:
    options = genai.types.HttpOptions(base_url=product.base_url, headers={"X-Request-ID": name})
    return genai.Client(api_key=product.key, http_options=options)


def _content(product: Product, model: str, name: str) -> Heard:
    with _google(product, name) as client:
        answer = client.models.generate_content(model=model, contents=name)
    return _of_contents([answer])


def _content_stream(product: Product, model: str, name: str) -> Heard:
    with _google(product, name) as client:
        return _of_contents(list(client.models.generate_content_stream(model=model, contents=name)))


def _of_contents(answers: list[genai.types.GenerateContentResponse]) -> Heard:
    used, candidates = answers[-1].usage_metadata, answers[-1].candidates
    assert used is not None
    assert candidates is not None
    assert candidates[-1].finish_reason == genai.types.FinishReason.STOP
    return Heard(
        pieces=[answer.text for answer in answers if answer.text],
        input_tokens=used.prompt_token_count,
        output_tokens=used.candidates_token_count,
    )


CLIENTS = (
    Official(surface="openai.chat", plain=_chat, stream=_chat_stream),
    Official(surface="openai.responses", plain=_response, stream=_response_stream),
    Official(surface="anthropic.messages", plain=_message, stream=_message_stream),
    Official(surface="gemini.generate", plain=_content, stream=_content_stream),
)
