"""How `core.http.open_client` is made: httpx2, which the providers' SDKs use too, with our guard in it."""

from __future__ import annotations

import functools
import math
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any

import httpcore2
import httpx2

from core import egress
from core.egress import Policy
from core.http import UnacceptableAnswerError

MAX_ANSWER_BYTES = 8 * 1024 * 1024
# So many times its timeout, which is a step's, a request may take: who sends a byte at a time makes as many steps.
MOST_TIMES = 3


def client(policy: Policy, *, timeout_s: float, connect_timeout_s: float) -> httpx2.Client:
    return httpx2.Client(
        transport=_GuardedTransport(policy, most_s=MOST_TIMES * timeout_s),
        follow_redirects=False,
        trust_env=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "ai-platform"},
        timeout=httpx2.Timeout(timeout_s, connect=connect_timeout_s),
    )


class _GuardedTransport(httpx2.HTTPTransport):
    def __init__(self, policy: Policy, *, most_s: float) -> None:
        self._most_s = most_s
        self._network = GuardedNetwork(policy)
        self._pool = httpcore2.ConnectionPool(ssl_context=_tls(), network_backend=self._network)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self._network.until = time.monotonic() + self._most_s
        response = super().handle_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise UnacceptableAnswerError("A compressed answer was not asked for.", status=response.status_code)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Bounded(response.stream, response.status_code)
        return response


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, status: int) -> None:
        self._stream = stream
        self._status = status

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._stream:
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                message = "The answer is larger than this platform accepts."
                raise UnacceptableAnswerError(message, status=self._status)
            yield part

    def close(self) -> None:
        self._stream.close()


class GuardedNetwork(httpcore2.NetworkBackend):
    """Looks a name up once, and connects to the first of its allowed addresses that answers; TLS keeps the name.

    `until`, by `time.monotonic`, is when the request must be over: of one client, which sends one at a time.
    """

    until = math.inf

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
                stream = self._network.connect_tcp(address, port, timeout, local_address, socket_options)
                return _Hurried(stream, self)
            except (OSError, httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failures.append(error)
        raise failures[0]

    def look_up(self, host: str, port: int) -> list[str]:
        """Its addresses, without repeats. Raises `socket.gaierror`, or gives one address at least."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(place[0]) for *_, place in found))


class _Hurried(httpcore2.NetworkStream):
    """A connection on which every step ends with its request's time."""

    def __init__(self, stream: httpcore2.NetworkStream, network: GuardedNetwork) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left_s(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Hurried(self._stream.start_tls(ssl_context, server_hostname, self._left_s(timeout)), self._network)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _left_s(self, timeout: float | None) -> float | None:
        left_s = self._network.until - time.monotonic()
        if left_s <= 0:
            raise httpcore2.ReadTimeout("The request has taken too long.")
        return left_s if timeout is None else min(timeout, left_s)


@functools.cache
def _tls() -> ssl.SSLContext:
    """The system's trusted certificates, as on the request path. Reading them takes long; they suit every client."""
    return ssl.create_default_context()
