"""The dialects of LLM APIs, as pure translation: bytes in, nouns out, and back. No sockets, no settings, no clock."""
