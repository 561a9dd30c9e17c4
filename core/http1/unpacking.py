"""Answers that come compressed, although plain bytes were asked for: unpacked a bounded piece at a time."""

from __future__ import annotations

import zlib
from typing import Any

from core.http1.answer import Answer, read_whole
from core.http1.errors import BrokenAnswerError, MalformedAnswerError

_PIECE_BYTES = 64 * 1024
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def unpacked(answer: Answer) -> Answer | UnpackedAnswer:
    """`answer`, or what it holds. Raises `MalformedAnswerError` for a coding that we do not know."""
    coding = answer.headers.get("content-encoding", "identity").lower()
    if coding in ("identity", ""):
        return answer
    if coding in ("gzip", "x-gzip", "deflate"):
        return UnpackedAnswer(answer, is_gzip=coding != "deflate")
    answer.close()
    raise MalformedAnswerError("The answer is packed in a way that was not asked for.")


class UnpackedAnswer:
    """As `Answer`. Its chunks have at most _PIECE_BYTES."""

    __slots__ = ("_answer", "_inflater", "_is_gzip", "_may_hold_more", "_packed", "headers", "status")

    def __init__(self, answer: Answer, *, is_gzip: bool) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer
        self._is_gzip = is_gzip
        self._inflater: Any = None  # zlib names no type
        self._packed = b""
        self._may_hold_more = False

    async def read(self, most_bytes: int) -> bytes:
        return await read_whole(self, most_bytes)

    async def chunk(self) -> bytes | None:
        while True:
            if not self._packed and not self._may_hold_more:
                packed = await self._answer.chunk()
                if packed is None:
                    self._require_end()
                    return None
                self._packed = packed
            if piece := self._piece():
                return piece

    def close(self) -> None:
        self._answer.close()
        self._packed = b""
        self._may_hold_more = False

    def _piece(self) -> bytes:
        if self._inflater is None:
            self._inflater = zlib.decompressobj(_GZIP if self._is_gzip else _deflate_bits(self._packed[0]))
        try:
            piece: bytes = self._inflater.decompress(self._packed, _PIECE_BYTES)
        except zlib.error as error:
            self.close()
            raise MalformedAnswerError("The answer cannot be unpacked.") from error
        self._packed = self._inflater.unconsumed_tail
        self._may_hold_more = len(piece) == _PIECE_BYTES
        if self._inflater.unused_data:
            self.close()
            raise MalformedAnswerError("Something follows the packed answer.")
        return piece

    def _require_end(self) -> None:
        if self._inflater is not None and not self._inflater.eof:
            raise BrokenAnswerError("The packed answer was cut short.")


def _deflate_bits(first: int) -> int:
    """`deflate` is zlib's format (RFC 9110, section 8.4.1.2), but some servers leave its two bytes of header out."""
    return _ZLIB if first & 0x0F == zlib.DEFLATED else _RAW
