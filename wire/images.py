"""Images inside chat bodies: data URLs, and how many bytes of a body are pictures rather than text."""

from __future__ import annotations

import re

import msgspec

from wire.body import MALFORMED, Fields
from wire.errors import invalid
from wire.neutral import Image

# A picture costs a model at most some 1,600 tokens (Anthropic) to 4,800 (its newest models), whatever its file's
# size; at about four bytes to a token this counts it as text of 4,000 tokens.
IMAGE_TEXT_BYTES = 16_000

_IMAGES = frozenset({"image", "image_url", "input_image"})
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w.=+-]+)*;base64,", re.ASCII)


def from_url(url: str, *, param: str, detail: str | None = None) -> Image:
    """A data URL becomes base64 `data`; http(s) stays a `url`. Raises INVALID_REQUEST for all else."""
    if url.startswith(("https://", "http://")):
        return Image(url=url, detail=detail)
    head = _DATA_URL.match(url, 0, 200)
    if head is None:
        raise invalid(f"'{param}' must be an http(s) URL or a base64 data URL.", param=param)
    return Image(data=url[head.end() :], media_type=head[1], detail=detail)


def to_url(image: Image) -> str:
    return image.url or f"data:{image.media_type};base64,{image.data}"


class _Part(msgspec.Struct, gc=False):
    """A message or content part: OpenAI's `image_url`, Anthropic's `source`, a tool result's `content` or `output`."""

    type: str = ""
    image_url: msgspec.Raw = msgspec.Raw()
    source: msgspec.Raw = msgspec.Raw()
    content: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()


_PARTS: msgspec.json.Decoder[list[_Part]] = msgspec.json.Decoder(list[_Part])


def surplus_bytes(fields: Fields, body: bytes, name: str = "messages") -> int:
    """By how much the bytes of the field `name` overstate what the model reads, because images are among them."""
    if len(body) <= IMAGE_TEXT_BYTES or b"base64" not in body:
        return 0
    return sum(size - IMAGE_TEXT_BYTES for size in _image_sizes(fields[name]) if size > IMAGE_TEXT_BYTES)


def _image_sizes(parts: msgspec.Raw) -> list[int]:
    """The sizes of all images in an array of messages or of content parts."""
    try:
        decoded = _PARTS.decode(parts)
    except MALFORMED:  # a plain string, or what only a provider can make sense of
        return []
    inner = [raw for part in decoded for raw in (part.content, part.output) if len(raw)]
    nested = [size for raw in inner for size in _image_sizes(raw)]
    return nested + [len(part.image_url) + len(part.source) for part in decoded if part.type in _IMAGES]
