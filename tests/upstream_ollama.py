"""The scripted provider's face towards those who speak Ollama's own API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.upstream import Dispatch, Fault, Speech, finish

_HEAD = {"created_at": "2026-01-02T03:04:05.678901234Z"}


class Ollama(Speech):
    stream_type = "application/x-ndjson"

    def streams(self, body: Mapping[str, Any]) -> bool:
        return bool(body.get("stream", True))

    def bound(self, body: Mapping[str, Any]) -> int | None:
        return (body.get("options") or {}).get("num_predict")

    def error(self, fault: Fault) -> Any:
        return {"error": fault.message}

    def body(self, line: Dispatch, words: list[str]) -> Any:
        return _said(line.model, "".join(words).strip()) | self._end(line, words)

    def opening(self, line: Dispatch) -> bytes:
        del line
        return b""

    def delta(self, word: str) -> bytes:
        return _line(_said("up", word) | {"done": False})

    def closing(self, line: Dispatch, words: list[str]) -> list[bytes]:
        return [_line(_said(line.model, "") | self._end(line, words))]

    def stream_error(self, fault: Fault) -> bytes:
        return _line(self.error(fault))

    def _end(self, line: Dispatch, words: list[str]) -> dict[str, Any]:
        end: dict[str, Any] = {"done": True, "done_reason": finish(line, words, "stop", "length")}
        end |= {"total_duration": 5_000_000, "eval_count": line.output_tokens}
        if line.fault.no_usage:  # what older versions leave out when the prompt was cached
            return end
        return end | {"prompt_eval_count": line.input_tokens, "prompt_eval_cached_count": line.fault.cached_tokens}


class OllamaEmbeddings(Speech):
    def streams(self, body: Mapping[str, Any]) -> bool:
        return False

    def error(self, fault: Fault) -> Any:
        return {"error": fault.message}

    def body(self, line: Dispatch, words: list[str]) -> Any:
        del words
        line.output_tokens = 0
        given = line.body["input"]
        count = len(given) if isinstance(given, list) else 1
        return {
            "model": line.model,
            "embeddings": [[0.1, 0.2, 0.3]] * count,
            "total_duration": 5_000_000,
            "prompt_eval_count": line.input_tokens,
        }


FACES: dict[str, Speech] = {"/api/chat": Ollama(), "/api/embed": OllamaEmbeddings()}


def _said(model: str, text: str) -> dict[str, Any]:
    return {"model": model, **_HEAD, "message": {"role": "assistant", "content": text}}


def _line(data: Any) -> bytes:
    return json.dumps(data).encode() + b"\n"
