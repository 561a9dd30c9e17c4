"""A small host that lists its models, as each kind of provider does: what a connection test is tried against."""

from __future__ import annotations

import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PATHS = ("/v1/models", "/openai/v1/models", "/v1beta/models", "/api/tags")
_KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")


class ModelHost:
    """Listens on a free port. Set `status`, `body`, `key` or `delay_s` to change what it answers.

    With a `certificate`, in one file with its key, over TLS alone.
    """

    def __init__(self, *, certificate: Path | None = None) -> None:
        self.models = ["house-large", "house-small"]
        self.status = 200
        self.body: str | None = None
        self.key: str | None = None
        self.delay_s = 0.0
        self.seen: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if certificate is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        self.seen.append((path, headers))
        time.sleep(self.delay_s)
        given = headers.get("authorization", "").removeprefix("Bearer ") or next(
            (headers[name] for name in _KEY_HEADERS if name in headers), ""
        )
        if self.key is not None and given != self.key:
            return 401, json.dumps({"error": {"message": f"wrong key {given}"}})
        if self.body is not None:
            return self.status, self.body
        return self.status, json.dumps(self._list(path))

    def _list(self, path: str) -> dict[str, Any]:
        if path.startswith("/api/tags"):
            return {"models": [{"name": name, "model": name, "details": {}} for name in self.models]}
        if path.startswith("/v1beta/"):
            does = {"supportedGenerationMethods": ["generateContent"]}
            return {"models": [{"name": f"models/{name}", **does} for name in self.models]}
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                known = self.path.split("?")[0] in _PATHS
                status, body = host._answer(self.path, headers) if known else (404, "{}")
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body.encode())))
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()
                self.wfile.write(body.encode())

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                """Silence."""

        return Handler
