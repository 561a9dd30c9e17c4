"""The demo provider's embeddings.

A text's vector is the normalised count of its words, each at a place of its own: texts that share words lie close
together.
"""

from __future__ import annotations

import hashlib
import math
from typing import Annotated, Literal

import msgspec

from providers.adapters.demo_reply import TOKEN
from wire import openai_embeddings
from wire.neutral import EmbeddingResponse, Usage

_DIMENSIONS = 256
_MOST_DIMENSIONS = 4096


class Embedded(msgspec.Struct):
    """What is read of OpenAI's body."""

    model: str
    input: str | Annotated[list[str], msgspec.Meta(min_length=1)]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=_MOST_DIMENSIONS)] = _DIMENSIONS
    encoding_format: Literal["float", "base64"] = "float"


decode = msgspec.json.Decoder(Embedded).decode


def answer(asked: Embedded) -> bytes:
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    response = EmbeddingResponse(
        model=asked.model,
        vectors=tuple(_vector(text, asked.dimensions) for text in texts),
        usage=Usage(input_tokens=sum(len(TOKEN.findall(text)) for text in texts)),
    )
    fields = {"encoding_format": msgspec.Raw(msgspec.json.encode(asked.encoding_format))}
    return openai_embeddings.encode_response(response, fields)


def _vector(text: str, dimensions: int) -> tuple[float, ...]:
    counts = [0.0] * dimensions
    for word in TOKEN.findall(text.lower()) or [""]:
        counts[int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest()) % dimensions] += 1
    length = math.hypot(*counts)
    return tuple(count / length for count in counts)
