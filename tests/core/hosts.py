"""Hosts that the HTTP client is tried against: raw sockets that say exactly what they are told, and remember."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from core import egress
from core.egress import Policy
from core.http1 import Session
from core.http1.names import Lookup, system_lookup
from core.http1.pool import Pool

LOCAL = Policy.parse(networks=egress.LOOPBACK, ports=egress.USUAL_PORTS)
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CONNECT_S = 60.0

Turn = Callable[["Line"], Awaitable[None]]
Run = Callable[[Coroutine[Any, Any, None]], None]


class Line:
    """A connection as the host sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.gone = asyncio.Event()  # the client has closed it

    async def request(self) -> tuple[bytes, bytes]:
        """The next request's head and body. Raises `asyncio.IncompleteReadError` where none comes."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return head, await self.reader.readexactly(int(length))

    async def say(self, *parts: bytes) -> None:
        """Each part reaches the socket by itself."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0)

    def hang_up(self) -> None:
        self.writer.close()


class RawHost:
    """Plays `turn` for each request; `requests` are their heads and bodies, `lines` the connections that came."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.requests: list[tuple[bytes, bytes]] = []
        self.lines: list[Line] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        self.lines.append(line)
        try:
            while not writer.is_closing():
                self.requests.append(await line.request())
                await self.turn(line)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            line.gone.set()
            writer.close()


@contextlib.asynccontextmanager
async def raw_host(
    turn: Turn, *, place: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawHost]:
    host = RawHost(turn)
    server = await asyncio.start_server(host.serve, place, 0, ssl=tls)
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        server.close()
        for line in host.lines:
            line.writer.transport.abort()
        for line in host.lines:
            await line.gone.wait()


@contextlib.contextmanager
def no_file_to_be_had() -> Iterator[None]:
    """Meanwhile this process opens no file, and no socket."""
    gc.collect()  # what earlier tests have left open is not to be closed meanwhile, which would make room
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))


def saying(*parts: bytes, then_hang_up: bool = False) -> Turn:
    async def turn(line: Line) -> None:
        await line.say(*parts)
        if then_hang_up:
            line.hang_up()

    return turn


def open_local(*, policy: Policy = LOCAL, lookup: Lookup = system_lookup) -> Session:
    return Session(policy, lookup)


def only_pool(session: Session) -> Pool:
    [found] = session._pools.values()
    return found


def counted(session: Session) -> tuple[int, int, int]:
    """Slots taken, connections at rest, callers in line."""
    found = only_pool(session)
    return found._slots_taken, len(found._resting), len(found._waiting)


def framed(headers: Sequence[str] = (), body: bytes = b"", status: str = "200 OK") -> bytes:
    """An answer with these lines of header and this body, and nothing that says how long that is."""
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers)).encode() + b"\r\n" + body


def sized(body: bytes, *headers: str) -> bytes:
    return framed([f"Content-Length: {len(body)}", *headers], body)


def certificate(folder: Path) -> Path:
    """A certificate of localhost and 127.0.0.1, signed by itself, in one file with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "both.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file
