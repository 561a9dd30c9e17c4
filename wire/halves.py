"""JSON of providers in which half a character stands.

Beyond the first 65,536 characters JSON escapes each as a pair, and hosts that count such halves cut between them: at
the end of a text that is too long, or from one event of a stream to the next
(https://github.com/openclaw/openclaw/pull/115536). Other parsers let that pass; msgspec refuses the whole of it.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_UNKNOWN = rb"\ufffd"


class Decoder(Generic[T]):
    """msgspec's, for which half a character is U+FFFD, as for any other who has to write it in UTF-8."""

    def __init__(self, kind: Any) -> None:
        self._decode = msgspec.json.Decoder(kind).decode

    def decode(self, data: bytes) -> T:
        try:
            read: T = self._decode(data)
        except msgspec.DecodeError:
            mended = _ESCAPES.sub(_whole, data)
            if mended == data:
                raise
            read = self._decode(mended)
        return read


def _whole(escape: re.Match[bytes]) -> bytes:
    return _UNKNOWN if escape[1] else escape[0]
