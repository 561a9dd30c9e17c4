"""A small Qdrant server: the REST paths that we use, over qdrant-client's own store in memory."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from qdrant_client import QdrantClient, models

API_KEY = "qdrant-canary-key"
_UPDATED = {"operation_id": 1, "status": "completed"}


class QdrantServer:
    """It refuses who brings another key. `asked` are the methods and paths so far."""

    def __init__(self) -> None:
        self.store = QdrantClient(":memory:")
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                path = self.path.partition("?")[0]
                server.asked.append(f"{self.command} {path}")
                status, result = 401, None
                if self.headers.get("api-key") == API_KEY:
                    try:
                        status, result = 200, server.result(self.command, path.strip("/").split("/")[1:], body)
                    except LookupError:
                        status = 404
                    except ValueError:  # of a collection that is there already
                        status = 409
                content = json.dumps({"result": result, "status": "ok", "time": 0.0}).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=[0.05], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.store.close()

    def stop(self) -> None:
        """Answer no more."""
        self._http.shutdown()
        self._http.server_close()

    def result(self, method: str, path: list[str], body: dict[str, Any]) -> Any:
        """Of `/collections/{name}/…`. Raises `LookupError` for a collection that is not there."""
        name, action = path[0], f"{method} {'/'.join(path[1:])}"
        known = self.store.collection_exists(name)
        if action == "GET exists":
            return {"exists": known}
        if action == "PUT ":
            return self.store.create_collection(name, vectors_config=models.VectorParams(**body["vectors"]))
        if action == "DELETE ":
            return self.store.delete_collection(name)
        if not known:
            raise LookupError(name)
        played = {
            "PUT points": self._upsert,
            "POST points/delete": self._delete,
            "POST points/count": self._count,
            "POST points/query": self._query,
        }
        return played[action](name, body)

    def _upsert(self, name: str, body: dict[str, Any]) -> Any:
        self.store.upsert(name, points=[models.PointStruct(**each) for each in body["points"]])
        return _UPDATED

    def _delete(self, name: str, body: dict[str, Any]) -> Any:
        self.store.delete(name, points_selector=body["points"])
        return _UPDATED

    def _count(self, name: str, body: dict[str, Any]) -> Any:
        return {"count": self.store.count(name).count}

    def _query(self, name: str, body: dict[str, Any]) -> Any:
        found = self.store.query_points(
            name,
            query=body["query"]["nearest"],
            limit=body["limit"],
            score_threshold=body.get("score_threshold"),
            query_filter=models.Filter(**body["filter"]) if body.get("filter") else None,
        )
        return json.loads(found.model_dump_json())
