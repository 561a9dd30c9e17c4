"""How to speak to each kind of provider: one adapter a kind."""

from providers.adapters.anthropic import AnthropicAdapter
from providers.adapters.base import Adapter, Answer, Request
from providers.adapters.demo import DemoAdapter
from providers.adapters.openai import ChatCompletions, OpenAIAdapter

ADAPTERS: dict[str, Adapter] = {
    "openai": OpenAIAdapter(ChatCompletions(bound_field="max_completion_tokens")),
    "anthropic": AnthropicAdapter(),
    "deepseek": OpenAIAdapter(),
    "ollama": OpenAIAdapter(ChatCompletions(path="/v1/chat/completions")),
    "custom": OpenAIAdapter(),
    "demo": DemoAdapter(),
}

__all__ = ["ADAPTERS", "Adapter", "Answer", "Request"]
