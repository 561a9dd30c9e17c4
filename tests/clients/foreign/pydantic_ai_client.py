"""Pydantic AI's agents, on its models for OpenAI (both of its APIs) and Anthropic."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterable
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, Embedder
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.foreign.protocol import PNG, QUESTION, WEATHER, Json, Order, serve


class Person(BaseModel):
    name: str
    age: int


def model(order: Order) -> Model:
    if order.client == "pydantic-ai-anthropic":
        return AnthropicModel(order.model, provider=AnthropicProvider(base_url=order.base_url, api_key=order.key))
    kind = OpenAIResponsesModel if order.client == "pydantic-ai-responses" else OpenAIChatModel
    return kind(order.model, provider=_openai(order))


def plain(order: Order) -> Json:
    return _told(Agent(model(order)).run_sync(QUESTION))


def stream(order: Order) -> Json:
    streamed = Agent(model(order)).run_stream_sync(QUESTION)
    pieces = list(streamed.stream_text(delta=True, debounce_by=None))
    return {"text": "".join(pieces), "pieces": pieces, "usage": _usage(streamed)}


def tools(order: Order) -> Json:
    result = _tool_agent(order).run_sync(QUESTION)
    return {**_told(result), "calls": _calls(result)}


def tools_streamed(order: Order) -> Json:
    async def drain(_context: Any, events: AsyncIterable[Any]) -> None:
        async for _ in events:
            pass

    result = _tool_agent(order).run_sync(QUESTION, event_stream_handler=drain)
    return {**_told(result), "calls": _calls(result)}


def structured(order: Order) -> Json:
    """As it does unless told otherwise: the answer is the arguments of a tool."""
    return {"value": Agent(model(order), output_type=Person).run_sync("Who is it?").output.model_dump()}


def image(order: Order) -> Json:
    picture = BinaryContent(base64.b64decode(PNG), media_type="image/png")
    return _told(Agent(model(order)).run_sync(["What is it?", picture]))


def embed(order: Order) -> Json:
    embedder = Embedder(OpenAIEmbeddingModel(order.model, provider=_openai(order)))
    return {"vectors": [list(vector) for vector in embedder.embed_documents_sync(["one", "two"]).embeddings]}


def _openai(order: Order) -> OpenAIProvider:
    return OpenAIProvider(base_url=f"{order.base_url}/v1", api_key=order.key)


def _tool_agent(order: Order) -> Agent:
    return Agent(model(order), tools=[weather])


def weather(city: str) -> str:
    """The weather in a city."""
    return WEATHER[city]


def _told(result: Any) -> Json:
    return {"text": result.output, "usage": _usage(result)}


def _usage(result: Any) -> list[int]:
    return [result.usage.input_tokens, result.usage.output_tokens]


def _calls(result: Any) -> list[list[Any]]:
    said = [part for message in result.all_messages() if isinstance(message, ModelResponse) for part in message.parts]
    return [[part.tool_name, json.loads(part.args_as_json_str())] for part in said if isinstance(part, ToolCallPart)]


if __name__ == "__main__":
    scenarios = (plain, stream, tools, tools_streamed, structured, image, embed)
    serve({each.__name__: each for each in scenarios})
