"""How to speak to each kind of provider: one adapter a kind."""

from providers.adapters.anthropic import AnthropicAdapter
from providers.adapters.azure import AzureAdapter
from providers.adapters.base import Adapter, Answer, Request
from providers.adapters.deepseek import DeepSeekCompletions
from providers.adapters.demo import DemoAdapter
from providers.adapters.google import GoogleAdapter
from providers.adapters.mistral import NO_END_USER, MistralCompletions, MistralEmbeddings
from providers.adapters.ollama import OllamaAdapter
from providers.adapters.openai import ChatCompletions, OpenAIAdapter, Responses
from providers.adapters.strict import StrictCompletions
from wire import openai_embeddings

ADAPTERS: dict[str, Adapter] = {
    "openai": OpenAIAdapter(ChatCompletions(bound_field="max_completion_tokens"), Responses()),
    "anthropic": AnthropicAdapter(),
    "google": GoogleAdapter(),
    "deepseek": OpenAIAdapter(DeepSeekCompletions()),
    "ollama": OllamaAdapter(),
    "azure": AzureAdapter(),
    "mistral": OpenAIAdapter(
        # Its streams tell their usage unasked.
        MistralCompletions(without=("stream_options", *NO_END_USER), renamed={"seed": "random_seed"}),
        embeddings=MistralEmbeddings(openai_embeddings, "/embeddings"),
    ),
    "groq": OpenAIAdapter(StrictCompletions()),
    "cerebras": OpenAIAdapter(StrictCompletions()),
    "custom": OpenAIAdapter(),
    "demo": DemoAdapter(),
}

__all__ = ["ADAPTERS", "Adapter", "Answer", "Request"]
