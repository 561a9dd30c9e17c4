"""A host for each kind of provider, with a path of its own on the scripted provider. All of them can call tools.

Where nothing is to be said (`Fault(words=0)`) and tools are offered, the first one is called.
"""

from __future__ import annotations

import json
from typing import Any

from tests import upstream, upstream_gemini, upstream_ollama, upstream_responses
from tests.matrix.wishes import CALL_ID, TOWN
from tests.upstream import Dispatch, Speech
from tests.upstream_ollama import Ollama

# What a provider of the kind is called at, after the path of its base URL.
_CHAT = "/chat/completions"
_EMBED = "/embeddings"


def _is_calling(line: Dispatch) -> bool:
    return line.fault.words == 0 and "tools" in line.body


class _ChatCompletions(upstream._OpenAI):
    def body(self, line: Dispatch, words: list[str]) -> Any:
        body = super().body(line, words)
        if _is_calling(line):
            body["choices"][0]["message"] |= {"content": None, "tool_calls": [self._call(line)]}
            body["choices"][0]["finish_reason"] = "tool_calls"
        return body

    def closing(self, line: Dispatch, words: list[str]) -> list[bytes]:
        if not _is_calling(line):
            return super().closing(line, words)
        call = self._call(line)
        text = call["function"]["arguments"]
        head = {"index": 0, **call, "function": {"name": call["function"]["name"], "arguments": text[:4]}}
        tail = {"index": 0, "function": {"arguments": text[4:]}}
        _, *rest = super().closing(line, words)
        pieces = [self._chunk({"tool_calls": [piece]}) for piece in (head, tail)]
        return [*pieces, self._chunk({}, "tool_calls"), *rest]

    def _call(self, line: Dispatch) -> Any:
        function = {"name": line.body["tools"][0]["function"]["name"], "arguments": json.dumps(TOWN)}
        return {"id": CALL_ID, "type": "function", "function": function}


class _Responses(upstream_responses.Responses):
    def body(self, line: Dispatch, words: list[str]) -> Any:
        whole = super().body(line, words)
        return whole | {"output": [self._call(line)]} if _is_calling(line) else whole

    def closing(self, line: Dispatch, words: list[str]) -> list[bytes]:
        if not _is_calling(line):
            return super().closing(line, words)
        call, event = self._call(line), upstream_responses._event
        at = {"item_id": call["id"], "output_index": 1}
        begun = {**call, "status": "in_progress", "arguments": ""}
        return [
            event("response.output_item.added", output_index=1, item=begun),
            event("response.function_call_arguments.delta", **at, delta=call["arguments"][:4]),
            event("response.function_call_arguments.delta", **at, delta=call["arguments"][4:]),
            event("response.function_call_arguments.done", **at, arguments=call["arguments"], name=call["name"]),
            event("response.output_item.done", output_index=1, item=call),
            event("response.completed", response=self.body(line, words)),
        ]

    def _call(self, line: Dispatch) -> Any:
        called = {"name": line.body["tools"][0]["name"], "arguments": json.dumps(TOWN)}
        return {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": CALL_ID, **called}


class _Messages(upstream._Anthropic):
    def body(self, line: Dispatch, words: list[str]) -> Any:
        body = super().body(line, words)
        if _is_calling(line):
            body |= {"content": [self._call(line) | {"input": TOWN}], "stop_reason": "tool_use"}
        return body

    def closing(self, line: Dispatch, words: list[str]) -> list[bytes]:
        first, last, end = super().closing(line, words)
        if not _is_calling(line):
            return [first, last, end]
        text = json.dumps(TOWN)
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in (text[:4], text[4:])]
        start = {"type": "content_block_start", "index": 1, "content_block": self._call(line) | {"input": {}}}
        return [
            first,
            upstream._event(start, "content_block_start"),
            *(
                upstream._event({"type": "content_block_delta", "index": 1, "delta": delta}, "content_block_delta")
                for delta in deltas
            ),
            upstream._event({"type": "content_block_stop", "index": 1}, "content_block_stop"),
            last.replace(b'"end_turn"', b'"tool_use"'),
            end,
        ]

    def _call(self, line: Dispatch) -> Any:
        return {"type": "tool_use", "id": CALL_ID, "name": line.body["tools"][0]["name"]}


class _Gemini(upstream_gemini.Gemini):
    def body(self, line: Dispatch, words: list[str]) -> Any:
        return self._calling(line, super().body(line, words))

    def _said(self, line: Dispatch, text: str, reason: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._calling(line, super()._said(line, text, reason))
        return answer

    def _calling(self, line: Dispatch, answer: Any) -> Any:
        """A call ends with STOP there, as a text does."""
        if _is_calling(line):
            name = line.body["tools"][0]["functionDeclarations"][0]["name"]
            answer["candidates"][0]["content"]["parts"] = [{"functionCall": {"name": name, "args": TOWN}}]
        return answer


class _Ollama(Ollama):
    def body(self, line: Dispatch, words: list[str]) -> Any:
        body = super().body(line, words)
        if _is_calling(line):
            body["message"]["tool_calls"] = [self._call(line)]
        return body

    def closing(self, line: Dispatch, words: list[str]) -> list[bytes]:
        if not _is_calling(line):
            return super().closing(line, words)
        said = upstream_ollama._said(line.model, "")
        said["message"]["tool_calls"] = [self._call(line)]
        return [upstream_ollama._line(said | {"done": False}), *super().closing(line, words)]

    def _call(self, line: Dispatch) -> Any:
        return {"function": {"name": line.body["tools"][0]["function"]["name"], "arguments": TOWN}}


def _of_openai(start: str) -> dict[str, Speech]:
    return {f"{start}{_CHAT}": _ChatCompletions(), f"{start}{_EMBED}": upstream._Embeddings()}


FACES: dict[str, Speech] = {
    **_of_openai("/openai"),
    "/openai/responses": _Responses(),
    "/anthropic/v1/messages": _Messages(),
    **{
        f"/google/v1beta/models/{{name}}:{verb}": speech
        for verb, speech in {
            "generateContent": _Gemini(streams=False),
            "streamGenerateContent": _Gemini(streams=True),
            "batchEmbedContents": upstream_gemini.GeminiEmbeddings(streams=False),
        }.items()
    },
    "/ollama/api/chat": _Ollama(),
    "/ollama/api/embed": upstream_ollama.OllamaEmbeddings(),
    **_of_openai("/azure/openai/v1"),
    "/azure/openai/v1/responses": _Responses(),
    **{
        path: speech
        for kind in ("deepseek", "mistral", "groq", "cerebras", "custom")
        for path, speech in _of_openai(f"/{kind}").items()
    },
}
