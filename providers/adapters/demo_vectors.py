"""The demo provider's embeddings.

A text's vector is the normalised count of its words, each at a place of its own: texts that share words lie close
together.
"""

from __future__ import annotations

import hashlib
import math
from itertools import islice
from typing import Annotated, Literal

import msgspec

from providers.adapters.demo_reply import TOKEN, tokens_in
from wire import openai_embeddings
from wire.neutral import EmbeddingResponse, Usage

_DIMENSIONS = 256
_MOST_DIMENSIONS = 4096
_MOST_NUMBERS = 2**20  # of one answer: it is counted in our own process
_MOST_WORDS = 50_000  # of a call, shared by its texts: the first ones of each say what it is about


class Embedded(msgspec.Struct):
    """What is read of OpenAI's body."""

    model: str
    input: str | Annotated[list[str], msgspec.Meta(min_length=1, max_length=openai_embeddings.MAX_INPUTS)]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=_MOST_DIMENSIONS)] = _DIMENSIONS
    encoding_format: Literal["float", "base64"] = "float"

    def __post_init__(self) -> None:
        """Raises `ValueError`, which a decoder turns into its own error."""
        if len(self.texts) * self.dimensions > _MOST_NUMBERS:
            raise ValueError(f"more than {_MOST_NUMBERS:,} numbers at once")

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


decode = msgspec.json.Decoder(Embedded).decode


def answer(asked: Embedded) -> bytes:
    response = EmbeddingResponse(
        model=asked.model,
        vectors=tuple(
            _vector(text, asked.dimensions, most_words=_MOST_WORDS // len(asked.texts)) for text in asked.texts
        ),
        usage=Usage(input_tokens=tokens_in(asked.texts)),
    )
    fields = {"encoding_format": msgspec.Raw(msgspec.json.encode(asked.encoding_format))}
    return openai_embeddings.encode_response(response, fields)


def _vector(text: str, dimensions: int, *, most_words: int) -> tuple[float, ...]:
    counts = [0.0] * dimensions
    words = islice(TOKEN.finditer(text.lower()), most_words)
    for word in [each[0] for each in words] or [""]:
        counts[int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest()) % dimensions] += 1
    length = math.hypot(*counts)
    return tuple(count / length for count in counts)
