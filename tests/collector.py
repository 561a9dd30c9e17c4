"""A collector of traces over real OTLP/HTTP, and what it understood of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.servers import wait_until


@dataclass(frozen=True, kw_only=True)
class Span:
    """As received; ids in hexadecimal, `parent_id` "" for a root. `service` is the resource's name."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    is_error: bool
    began_ns: int
    ended_ns: int
    attributes: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Post:
    path: str
    headers: dict[str, str]
    body: bytes


class TraceCollector:
    """A context manager. It answers as `statuses` say, one a request, then 200; while it `hangs`, not at all."""

    def __init__(self, port: int = 0) -> None:
        self.posts: list[Post] = []
        self.statuses: list[int] = []
        self.spans: list[Span] = []
        self.hangs = False
        self.encoding = "identity"
        self._let_go = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="collector", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def await_spans(self, count: int) -> list[Span]:
        """Once that many have come: all of them."""
        wait_until(lambda: len(self.spans) >= count, what=f"{count} spans; there are {self.spans}")
        return list(self.spans)

    def has_spans_of(self, request_id: str) -> bool:
        return any(span.attributes["aiplatform.request_id"] == request_id for span in self.spans)

    def let_go(self) -> None:
        """Answer those that hang."""
        self.hangs = False
        self._let_go.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, answer = collector._take(Post(path=self.path, headers=headers, body=body))
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Encoding", collector.encoding)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the parent's word
                return

        return Handler

    def _take(self, post: Post) -> tuple[int, bytes]:
        self.posts.append(post)
        if self.hangs:
            self._let_go.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.spans += _spans(post.body)
        return status, ExportTraceServiceResponse().SerializeToString()


def _spans(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Span(
            service=next(each.value.string_value for each in told.resource.attributes if each.key == "service.name"),
            name=span.name,
            kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            is_error=span.status.code == Status.STATUS_CODE_ERROR,
            began_ns=span.start_time_unix_nano,
            ended_ns=span.end_time_unix_nano,
            attributes={each.key: value(each.value) for each in span.attributes},
        )
        for told in request.resource_spans
        for scope in told.scope_spans
        for span in scope.spans
    ]


def value(told: AnyValue) -> Any:
    kind = told.WhichOneof("value")
    if kind == "array_value":
        return [value(each) for each in told.array_value.values]
    return getattr(told, kind or "string_value")
