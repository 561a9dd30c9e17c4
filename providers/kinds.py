"""The kinds of provider, by the name that is stored: a line here and an adapter (docs/adding-a-provider.md)."""

from __future__ import annotations

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """`base_url` None: each provider of this kind must give its own; "": it is not called over HTTP."""

    label: str
    base_url: str | None
    needs_key: bool = True


KINDS: dict[str, Kind] = {
    "openai": Kind("OpenAI", "https://api.openai.com/v1"),
    "anthropic": Kind("Anthropic", "https://api.anthropic.com"),
    "deepseek": Kind("DeepSeek", "https://api.deepseek.com/v1"),
    "ollama": Kind("Ollama", "http://localhost:11434", needs_key=False),
    "custom": Kind("Any OpenAI-compatible host", None, needs_key=False),
    "demo": Kind("Demo (answers by itself, needs no key)", "", needs_key=False),
}
