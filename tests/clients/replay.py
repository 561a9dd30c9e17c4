"""A provider that says word for word what a test gave it, as JSON or as a stream, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Json = Mapping[str, Any]
Spoken = Json | Sequence[Json]


class Replay:
    """OpenAI's, Anthropic's and Gemini's API in one; a context manager. An answer that is a list goes out as events."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answers: defaultdict[str, deque[Spoken]] = defaultdict(deque)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def says(self, model: str, *answers: Spoken) -> None:
        """The answers to the model's next calls, in order."""
        self._answers[model].extend(answers)

    def reset(self) -> None:
        self.asked.clear()
        self._answers.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, body: dict[str, Any]) -> tuple[str, bytes]:
        self.asked.append(body)
        in_path = path.partition("/models/")[2].rpartition(":")[0]  # Gemini's
        answer = self._answers[in_path or body["model"]].popleft()
        if isinstance(answer, Mapping):
            return "application/json", json.dumps(answer).encode()
        return "text/event-stream", b"".join(map(_event, answer)) + (_DONE if "object" in answer[0] else b"")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        replay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # http.server's
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                content_type, content = replay._answer(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                """Nobody reads it."""

        return Handler


_DONE = b"data: [DONE]\n\n"


def _event(data: Json) -> bytes:
    """Anthropic's events have a name, which is their type; OpenAI's have none."""
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()
