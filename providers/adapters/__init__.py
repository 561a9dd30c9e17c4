"""How to speak to each kind of provider: one adapter a kind."""

from providers.adapters.anthropic import AnthropicAdapter
from providers.adapters.azure import AzureAdapter
from providers.adapters.base import Adapter, Answer, Request
from providers.adapters.deepseek import DeepSeekCompletions
from providers.adapters.demo import DemoAdapter
from providers.adapters.google import GoogleAdapter
from providers.adapters.mistral import MistralCompletions
from providers.adapters.ollama import OllamaAdapter
from providers.adapters.openai import ChatCompletions, OpenAIAdapter, Responses
from providers.adapters.strict import StrictCompletions

ADAPTERS: dict[str, Adapter] = {
    "openai": OpenAIAdapter(ChatCompletions(bound_field="max_completion_tokens"), Responses()),
    "anthropic": AnthropicAdapter(),
    "google": GoogleAdapter(),
    "deepseek": OpenAIAdapter(DeepSeekCompletions()),
    "ollama": OllamaAdapter(),
    "azure": AzureAdapter(),
    "mistral": OpenAIAdapter(
        # Its streams tell their usage unasked.
        MistralCompletions(without=("stream_options", "user"), renamed={"seed": "random_seed"})
    ),
    "groq": OpenAIAdapter(StrictCompletions()),
    "cerebras": OpenAIAdapter(StrictCompletions()),
    "custom": OpenAIAdapter(),
    "demo": DemoAdapter(),
}

__all__ = ["ADAPTERS", "Adapter", "Answer", "Request"]
