"""Pictures, sound and films inside bodies: how many bytes of a body are media rather than text."""

from __future__ import annotations

import msgspec

from wire.body import MALFORMED, Fields
from wire.gemini.names import camel
from wire.images import IMAGE_TEXT_BYTES

# Sound is 32 tokens a second and film some 300, whatever the bit rate
# (https://ai.google.dev/gemini-api/docs/tokens): even where it is poor, dozens of bytes are one token.
_PLAYED_BYTES_A_TEXT_BYTE = 16


class _Blob(msgspec.Struct, rename="camel", gc=False):
    mime_type: str | None = None
    data: msgspec.Raw = msgspec.Raw()


class _Part(msgspec.Struct, rename="camel", gc=False):
    inline_data: _Blob | None = None


class _Content(msgspec.Struct, rename="camel", gc=False):
    parts: list[_Part] | _Part | None = None


_CONTENTS: msgspec.json.Decoder[list[_Content] | _Content] = msgspec.json.Decoder(list[_Content] | _Content)


def surplus_bytes(fields: Fields, body: bytes) -> int:
    """By how much the bytes of `contents` overstate what the model reads, because media are among them.

    Documents (PDF) count as text: nobody can tell from their size how many pages they have.
    """
    if len(body) <= IMAGE_TEXT_BYTES or (b"inlineData" not in body and b"inline_data" not in body):
        return 0
    try:
        contents = _CONTENTS.decode(camel(fields["contents"]))
    except MALFORMED:  # what only a provider can make sense of
        return 0
    return sum(_surplus(blob) for content in _as_list(contents) for blob in _blobs(content))


def _blobs(content: _Content) -> list[_Blob]:
    parts = content.parts if isinstance(content.parts, list) else [content.parts] if content.parts else []
    return [part.inline_data for part in parts if part.inline_data]


def _surplus(blob: _Blob) -> int:
    size, kind = len(blob.data), (blob.mime_type or "").partition("/")[0]
    if kind == "image":
        return max(0, size - IMAGE_TEXT_BYTES)
    return size - size // _PLAYED_BYTES_A_TEXT_BYTE if kind in ("audio", "video") else 0


def _as_list(contents: list[_Content] | _Content) -> list[_Content]:
    return contents if isinstance(contents, list) else [contents]
