"""LangChain's packages for OpenAI (both of its APIs) and Anthropic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.clients.foreign.protocol import PERSON, PNG, QUESTION, WEATHER, Json, Order, serve


def model(order: Order) -> BaseChatModel:
    return _MODELS[order.client](order)


def plain(order: Order) -> Json:
    return _told(model(order).invoke(QUESTION))


def stream(order: Order) -> Json:
    whole, pieces = _gathered(model(order), [HumanMessage(QUESTION)])
    return {**_told(whole), "pieces": pieces}


def tools(order: Order) -> Json:
    return _tool_loop(order, lambda bound, messages: bound.invoke(messages))


def tools_streamed(order: Order) -> Json:
    return _tool_loop(order, lambda bound, messages: _gathered(bound, messages)[0])


def structured(order: Order) -> Json:
    return {"value": model(order).with_structured_output(PERSON).invoke("Who is it?")}


def image(order: Order) -> Json:
    picture = {"type": "image", "base64": PNG, "mime_type": "image/png"}
    return _told(model(order).invoke([HumanMessage([{"type": "text", "text": "What is it?"}, picture])]))


def embed(order: Order) -> Json:
    embeddings = OpenAIEmbeddings(model=order.model, base_url=f"{order.base_url}/v1", api_key=order.key)
    return {"vectors": embeddings.embed_documents(["one", "two"])}


def weather(city: str) -> str:
    """The weather in a city."""
    return WEATHER[city]


def _tool_loop(order: Order, ask: Callable[[Any, list[Any]], AIMessage]) -> Json:
    bound, messages = model(order).bind_tools([weather]), [HumanMessage(QUESTION)]
    asked = ask(bound, messages)
    results = [ToolMessage(weather(**call["args"]), tool_call_id=call["id"]) for call in asked.tool_calls]
    answered = ask(bound, [*messages, asked, *results])
    return {**_told(answered), "calls": [[call["name"], call["args"]] for call in asked.tool_calls]}


def _gathered(asked: Any, messages: list[Any]) -> tuple[AIMessage, list[str]]:
    whole, pieces = None, []
    for chunk in asked.stream(messages):
        pieces.append(chunk.text)
        whole = chunk if whole is None else whole + chunk
    assert isinstance(whole, AIMessageChunk)
    return whole, [piece for piece in pieces if piece]


def _told(message: AIMessage) -> Json:
    usage = message.usage_metadata
    assert usage is not None
    return {"text": message.text, "usage": [usage["input_tokens"], usage["output_tokens"]]}


def _openai(order: Order, **options: Any) -> BaseChatModel:
    return ChatOpenAI(
        model=order.model,
        base_url=f"{order.base_url}/v1",
        api_key=order.key,
        max_retries=0,
        stream_usage=True,
        **options,
    )


_MODELS: dict[str, Callable[[Order], BaseChatModel]] = {
    "langchain-openai": _openai,
    "langchain-openai-responses": lambda order: _openai(order, use_responses_api=True),
    "langchain-anthropic": lambda order: ChatAnthropic(
        model=order.model, base_url=order.base_url, api_key=order.key, max_retries=0
    ),
}

if __name__ == "__main__":
    serve({each.__name__: each for each in (plain, stream, tools, tools_streamed, structured, image, embed)})
