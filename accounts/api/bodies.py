"""Bodies of the management API: JSON that nests no deeper than at the other doors, and that UTF-8 can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request

from wire.body import COMPRESSED, MAX_DEPTH, has_level


class JSONBodies(JSONParser):
    """What nests deeper Python may be able to read, and yet no page to show; half a character no column, no answer."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """Raises `ParseError`."""
        asked: Request | None = (parser_context or {}).get("request")
        coding = asked.headers.get("Content-Encoding", "").strip() if asked else ""
        if coding.lower() in COMPRESSED:
            raise ParseError(f"'{coding}' is not taken: send the body as it is, not compressed.")
        try:
            body = super().parse(stream, media_type, parser_context)
            is_deeper = isinstance(body, dict | list) and has_level(body, MAX_DEPTH)
        except RecursionError:
            is_deeper = True
        if is_deeper:
            raise ParseError(f"The body nests deeper than {MAX_DEPTH} levels.")
        try:
            json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ParseError("The body holds half a surrogate pair, which is no character.") from None
        return body
