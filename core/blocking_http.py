"""How `core.http.open_client` is made: httpx2, which the providers' SDKs use too, with our guard in it."""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any

import httpcore2
import httpx2

from core import egress
from core.egress import Policy
from core.http import UnacceptableAnswerError

MAX_ANSWER_BYTES = 8 * 1024 * 1024


def client(policy: Policy, *, timeout_s: float, connect_timeout_s: float) -> httpx2.Client:
    return httpx2.Client(
        transport=_GuardedTransport(policy),
        follow_redirects=False,
        trust_env=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "ai-platform"},
        timeout=httpx2.Timeout(timeout_s, connect=connect_timeout_s),
    )


class _GuardedTransport(httpx2.HTTPTransport):
    def __init__(self, policy: Policy) -> None:
        self._pool = httpcore2.ConnectionPool(ssl_context=_tls(), network_backend=GuardedNetwork(policy))

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise UnacceptableAnswerError("A compressed answer was not asked for.")
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Bounded(response.stream)
        return response


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._stream:
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise UnacceptableAnswerError("The answer is larger than this platform accepts.")
            yield part

    def close(self) -> None:
        self._stream.close()


class GuardedNetwork(httpcore2.NetworkBackend):
    """Looks a name up once, and connects to the first of its allowed addresses that answers; TLS keeps the name."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._network = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        egress.check_host(host, self._policy)
        failures: list[Exception] = []
        for address in self.look_up(host, port):
            try:
                egress.check(ip_address(address), port, self._policy)
                return self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (OSError, httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failures.append(error)
        raise failures[0]

    def look_up(self, host: str, port: int) -> list[str]:
        """Its addresses, without repeats. Raises `socket.gaierror`, or gives one address at least."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(place[0]) for *_, place in found))


@functools.cache
def _tls() -> ssl.SSLContext:
    """The system's trusted certificates, as on the request path. Reading them takes long; they suit every client."""
    return ssl.create_default_context()
