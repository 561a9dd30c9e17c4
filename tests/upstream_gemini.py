"""The scripted provider's face towards those who speak Gemini: the model and the wish to stream are in the URL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.upstream import Dispatch, Fault, Speech, finish

_STATUSES = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
_START = "/v1beta/models/{name}"


class Gemini(Speech):
    def __init__(self, *, streams: bool) -> None:
        self._streams = streams

    def model(self, path: str, body: Mapping[str, Any]) -> str:
        del body
        return path.partition("/models/")[2].rpartition(":")[0]

    def streams(self, body: Mapping[str, Any]) -> bool:
        del body
        return self._streams

    def bound(self, body: Mapping[str, Any]) -> int | None:
        most: int | None = body.get("generationConfig", {}).get("maxOutputTokens")
        return most

    def error(self, fault: Fault) -> Any:
        """A `message` of capitals is Google's reason, as for a key that it does not know."""
        error: dict[str, Any] = {"code": fault.status, "message": fault.message}
        error["status"] = _STATUSES.get(fault.status, "INTERNAL")
        if fault.message.isupper():
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": fault.message}]
        return {"error": error}

    def body(self, line: Dispatch, words: list[str]) -> Any:
        whole = self._said(line, "".join(words).strip(), finish(line, words, "STOP", "MAX_TOKENS"))
        return whole if line.fault.no_usage else whole | {"usageMetadata": self._usage(line)}

    def opening(self, line: Dispatch) -> bytes:
        del line
        return b""

    def delta(self, word: str) -> bytes:
        return _event(self._frame({"content": {"parts": [{"text": word}], "role": "model"}, "index": 0}))

    def closing(self, line: Dispatch, words: list[str]) -> list[bytes]:
        return [_event(self.body(line, words) | self._said(line, "", finish(line, words, "STOP", "MAX_TOKENS")))]

    def _said(self, line: Dispatch, text: str, reason: str) -> dict[str, Any]:
        content = {"parts": [{"text": text}], "role": "model"}
        return self._frame({"content": content, "finishReason": reason, "index": 0}) | {"modelVersion": line.model}

    def _frame(self, candidate: dict[str, Any]) -> dict[str, Any]:
        return {"candidates": [candidate], "modelVersion": "up", "responseId": "resp-1"}

    def _usage(self, line: Dispatch) -> dict[str, Any]:
        """Side by side, what others count inclusively."""
        thoughts = line.fault.reasoning_tokens
        usage = {
            "promptTokenCount": line.input_tokens,
            "candidatesTokenCount": line.output_tokens - thoughts,
            "totalTokenCount": line.input_tokens + line.output_tokens,
        }
        if thoughts:
            usage["thoughtsTokenCount"] = thoughts
        if line.fault.cached_tokens:
            usage["cachedContentTokenCount"] = line.fault.cached_tokens
        return usage


class GeminiEmbeddings(Gemini):
    def body(self, line: Dispatch, words: list[str]) -> Any:
        del words
        line.output_tokens = 0
        vectors = [{"values": [0.1, 0.2, 0.3]} for _ in line.body["requests"]]
        return {"embeddings": vectors, "usageMetadata": {"promptTokenCount": line.input_tokens}}


FACES: dict[str, Speech] = {
    f"{_START}:generateContent": Gemini(streams=False),
    f"{_START}:streamGenerateContent": Gemini(streams=True),
    f"{_START}:batchEmbedContents": GeminiEmbeddings(streams=False),
}


def _event(data: Any) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
