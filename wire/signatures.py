"""Who signed a thought: each provider takes back its own signatures alone.

Among the neutral nouns a bare signature is Anthropic's, and Gemini's is marked.
"""

from __future__ import annotations

from wire.neutral import Thinking

GEMINI = "gemini:"


def is_geminis(thinking: Thinking) -> bool:
    return thinking.signature is not None and thinking.signature.startswith(GEMINI)
