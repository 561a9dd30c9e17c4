"""How to speak to each kind of provider: one adapter a kind."""

from providers.adapters.anthropic import AnthropicAdapter
from providers.adapters.base import Adapter, Answer, Request
from providers.adapters.demo import DemoAdapter
from providers.adapters.openai import OpenAIAdapter

ADAPTERS: dict[str, Adapter] = {
    "openai": OpenAIAdapter(bound_field="max_completion_tokens"),
    "anthropic": AnthropicAdapter(),
    "deepseek": OpenAIAdapter(),
    "ollama": OpenAIAdapter(prefix="/v1"),
    "custom": OpenAIAdapter(),
    "demo": DemoAdapter(),
}

__all__ = ["ADAPTERS", "Adapter", "Answer", "Request"]
