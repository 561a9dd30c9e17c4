"""The kinds of provider, by the name that is stored: a line here and an adapter (docs/adding-a-provider.md)."""

from __future__ import annotations

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """`base_url` None: each provider of this kind must give its own; "": it is not called over HTTP.

    `tail` is what the adapter itself adds to an address, and people paste along with it. `example` is an address.
    """

    label: str
    base_url: str | None
    needs_key: bool = True
    tail: str = ""
    example: str = "https://llm.example.com/v1"


KINDS: dict[str, Kind] = {
    "openai": Kind("OpenAI", "https://api.openai.com/v1"),
    "anthropic": Kind("Anthropic", "https://api.anthropic.com", tail="/v1"),
    "google": Kind("Google Gemini", "https://generativelanguage.googleapis.com", tail="/v1beta"),
    "deepseek": Kind("DeepSeek", "https://api.deepseek.com/v1"),
    "ollama": Kind("Ollama", "http://localhost:11434", needs_key=False, tail="/v1"),
    "azure": Kind("Azure OpenAI", None, tail="/openai/v1", example="https://your-resource.openai.azure.com"),
    "mistral": Kind("Mistral", "https://api.mistral.ai/v1"),
    "groq": Kind("Groq", "https://api.groq.com/openai/v1"),
    "cerebras": Kind("Cerebras", "https://api.cerebras.ai/v1"),
    "custom": Kind("Any OpenAI-compatible host", None, needs_key=False),
    "demo": Kind("Demo (answers by itself, needs no key)", "", needs_key=False),
}
