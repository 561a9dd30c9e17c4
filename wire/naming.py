"""What a caller's dialect calls the fields that a provider's encoder refuses by their neutral names.

A message is named by the list that it stands in: its place there is not the one among the neutral messages, where the
instructions stand too. Where dialects call a field alike there is no entry.
"""

from __future__ import annotations

from collections.abc import Mapping

from wire.errors import ApiError

_GEMINIS = "generationConfig."
_OLLAMAS: Mapping[str, str] = {
    **{name: f"options.{name}" for name in ("temperature", "top_k", "frequency_penalty", "presence_penalty", "seed")},
    "stop": "options.stop",
    "response_format": "format",
    "reasoning_effort": "think",
}
NAMES: Mapping[str, Mapping[str, str]] = {
    "openai_responses": {
        "messages": "input",
        "response_format": "text.format",
        "reasoning_effort": "reasoning.effort",
        "logprobs": "include",
    },
    "anthropic_messages": {
        "messages": "messages",
        "stop": "stop_sequences",
        "response_format": "output_config.format",
        "reasoning_effort": "output_config.effort",
        "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    },
    "gemini": {
        "messages": "contents",
        "n": f"{_GEMINIS}candidateCount",
        "temperature": f"{_GEMINIS}temperature",
        "top_k": f"{_GEMINIS}topK",
        "frequency_penalty": f"{_GEMINIS}frequencyPenalty",
        "presence_penalty": f"{_GEMINIS}presencePenalty",
        "seed": f"{_GEMINIS}seed",
        "stop": f"{_GEMINIS}stopSequences",
        "tool_choice": "toolConfig.functionCallingConfig",
        "response_format": f"{_GEMINIS}responseMimeType",
        "reasoning_effort": f"{_GEMINIS}thinkingConfig",
        "logprobs": f"{_GEMINIS}responseLogprobs",
        "top_logprobs": f"{_GEMINIS}logprobs",
    },
    "ollama": _OLLAMAS,
    "ollama_generate": {**_OLLAMAS, "messages": "prompt"},
    "openai_completions": {"messages": "prompt"},
    "gemini_embeddings": {"task": "taskType"},
    "openai_embeddings": {"texts": "input"},
    "ollama_embeddings": {"texts": "input"},
}


def callers_name(field: str, dialect: str) -> str:
    names = NAMES.get(dialect, {})
    if field.startswith("messages") and "messages" in names:
        return names["messages"]
    return names.get(field, field)


def in_callers_words(error: ApiError, dialect: str) -> ApiError:
    """The same refusal, with the field by the caller's name for it."""
    field, told = error.param, f"'{error.param}'"
    name = callers_name(field, dialect) if field else None
    if name == field or not error.message.startswith(told):
        return error
    return ApiError(error.code, f"'{name}'{error.message.removeprefix(told)}", param=name, status=error.status)
