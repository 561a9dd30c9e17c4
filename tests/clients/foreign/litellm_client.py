"""LiteLLM as a client, speaking to the platform as to OpenAI and as to Anthropic."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import litellm

from tests.clients.foreign.protocol import PERSON, PNG, QUESTION, WEATHER, Json, Order, serve

ASKED = {"role": "user", "content": QUESTION}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON}}


def ask(order: Order, messages: list[Any], **fields: Any) -> Any:
    return litellm.completion(messages=messages, num_retries=0, max_retries=0, **_where(order), **fields)


def plain(order: Order) -> Json:
    return _told(ask(order, [ASKED]))


def stream(order: Order) -> Json:
    chunks = list(_streamed(order, [ASKED]))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    return {**_told(litellm.stream_chunk_builder(chunks)), "pieces": pieces}


def tools(order: Order) -> Json:
    return _tool_loop(lambda messages: ask(order, messages, tools=[TOOL]))


def tools_streamed(order: Order) -> Json:
    return _tool_loop(
        lambda messages: litellm.stream_chunk_builder(list(_streamed(order, messages, tools=[TOOL])), messages)
    )


def structured(order: Order) -> Json:
    answer = ask(order, [{"role": "user", "content": "Who is it?"}], response_format=SCHEMA)
    return {"value": json.loads(answer.choices[0].message.content)}


def image(order: Order) -> Json:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    return _told(ask(order, [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]))


def embed(order: Order) -> Json:
    answer = litellm.embedding(input=["one", "two"], **_where(order))
    return {"vectors": [each["embedding"] for each in answer.data]}


def _where(order: Order) -> Json:
    if order.client == "litellm-anthropic":
        return {"model": f"anthropic/{order.model}", "api_base": order.base_url, "api_key": order.key}
    return {"model": f"openai/{order.model}", "api_base": f"{order.base_url}/v1", "api_key": order.key}


def _streamed(order: Order, messages: list[Any], **fields: Any) -> Any:
    return ask(order, messages, stream=True, stream_options={"include_usage": True}, **fields)


def _tool_loop(turn: Callable[[list[Any]], Any]) -> Json:
    asked = turn([ASKED])
    calls = [
        (call.id, call.function.name, json.loads(call.function.arguments))
        for call in asked.choices[0].message.tool_calls
    ]
    results = [
        {"role": "tool", "tool_call_id": key, "content": WEATHER[arguments["city"]]} for key, _, arguments in calls
    ]
    answered = turn([ASKED, asked.choices[0].message, *results])
    return {**_told(answered), "calls": [[name, arguments] for _, name, arguments in calls]}


def _told(answer: Any) -> Json:
    usage = answer.usage
    return {"text": answer.choices[0].message.content, "usage": [usage.prompt_tokens, usage.completion_tokens]}


if __name__ == "__main__":
    serve({each.__name__: each for each in (plain, stream, tools, tools_streamed, structured, image, embed)})
