"""OpenAI's doors. Fields besides those named in their bodies go on to a provider that speaks OpenAI's dialect."""

from __future__ import annotations

from aiplatform.documented.openai_shapes import (
    AnthropicModel,
    AnthropicModelList,
    ChatCompletion,
    ChatCompletionBody,
    CompletionBody,
    EmbeddingList,
    EmbeddingsBody,
    GeminiModel,
    GeminiModelList,
    ModelResponse,
    OpenAIError,
    OpenAIModel,
    OpenAIModelList,
    ResponsesBody,
    TextCompletion,
)
from aiplatform.documented.operation import EVENTS, MODEL, Operation

_TAG = "OpenAI"
_HELLO = [{"role": "user", "content": "Hello"}]
OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/chat/completions",
        tag=_TAG,
        summary="Answer a conversation, whole or as a stream",
        body=ChatCompletionBody,
        answer=ChatCompletion,
        error=OpenAIError,
        streams=EVENTS,
        example={"model": "demo", "messages": _HELLO},
    ),
    Operation(
        method="POST",
        path="/v1/completions",
        tag=_TAG,
        summary="Go on with a text (OpenAI's older API)",
        body=CompletionBody,
        answer=TextCompletion,
        error=OpenAIError,
        streams=EVENTS,
        example={"model": "demo", "prompt": "Hello"},
    ),
    Operation(
        method="POST",
        path="/v1/responses",
        tag=_TAG,
        summary="Answer an input, whole or as a stream (the Responses API; an answer's items are kept for an hour)",
        body=ResponsesBody,
        answer=ModelResponse,
        error=OpenAIError,
        streams=EVENTS,
        example={"model": "demo", "input": "Hello"},
    ),
    Operation(
        method="POST",
        path="/v1/embeddings",
        tag=_TAG,
        summary="Turn texts into vectors",
        body=EmbeddingsBody,
        answer=EmbeddingList,
        error=OpenAIError,
        example={"model": "demo-embedding", "input": ["Hello", "Good morning"]},
    ),
    Operation(
        method="GET",
        path="/v1/models",
        tag=_TAG,
        summary="List what may be asked for, in the dialect in which it is asked",
        answer=(OpenAIModelList, AnthropicModelList, GeminiModelList),
        error=OpenAIError,
    ),
    Operation(
        method="GET",
        path="/v1/models/{model}",
        tag=_TAG,
        summary="Show one of them",
        answer=(OpenAIModel, AnthropicModel, GeminiModel),
        error=OpenAIError,
        parameters=(MODEL,),
    ),
)
