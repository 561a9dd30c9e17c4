"""Opening connections, to permitted addresses alone.

The check is made on the very addresses that are then connected to: no name is looked up in between.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import cast

import aiohappyeyeballs
import structlog
from aiohappyeyeballs import AddrInfoType

from core import egress
from core.egress import EgressRefusedError, Policy
from core.http1.connection import Connection
from core.http1.errors import ConnectError, ConnectTimeoutError, NoSocketError
from core.http1.names import Lookup, Names
from core.http1.target import Origin

log = structlog.get_logger(__name__)

_TELL_EVERY_S = 60.0
_NO_SOCKET = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NEXT_ADDRESS_AFTER_S = 0.25  # where the first of several does not answer (RFC 8305, section 5)


class Dialer:
    """One per event loop."""

    def __init__(self, policy: Policy, lookup: Lookup) -> None:
        self._policy = policy
        self._names = Names(lookup)
        self._tls: asyncio.Task[ssl.SSLContext] | None = None
        self._tell_again_at = 0.0

    async def dial(self, origin: Origin, *, within_s: float) -> Connection:
        """A connection that is open. Raises `ConnectError`, whose cause may be an `EgressRefusedError`."""
        try:
            async with asyncio.timeout(within_s):
                return await self._connected(origin)
        except TimeoutError as error:
            raise ConnectTimeoutError(f"No connection within {within_s:g} s.", error) from error
        except (OSError, UnicodeError, RuntimeError) as error:  # uvloop raises RuntimeError for a socket's failure
            error.__traceback__ = None  # its frames hold it: they would wait for the garbage collector
            if _has_no_socket(error):
                self._tell_of_no_socket(error)
                raise NoSocketError("No socket can be opened.", error) from error
            raise ConnectError("No connection.", error) from error

    async def _connected(self, origin: Origin) -> Connection:
        egress.check_host(origin.host, self._policy)
        context = await self._context() if origin.scheme == "https" else None
        addresses = self._permitted(await self._addresses(origin), origin.port)
        found = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S)
        try:
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            loop = asyncio.get_running_loop()
            name = origin.host.rstrip(".") if context else None
            _, connection = await loop.create_connection(
                lambda: Connection(loop), sock=found, ssl=context, server_hostname=name
            )
        except BaseException:  # cancelled too: a socket that nobody has is closed
            found.close()
            raise
        return connection

    async def _addresses(self, origin: Origin) -> Sequence[AddrInfoType]:
        ip = egress.literal(origin.host)
        if ip is None:
            return await self._names.addresses(origin.host, origin.port)
        family, place = (socket.AF_INET, (str(ip), origin.port))
        if ip.version == 6:
            family, place = socket.AF_INET6, cast("tuple[str, int]", (str(ip), origin.port, 0, 0))
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)]

    def _permitted(self, addresses: Sequence[AddrInfoType], port: int) -> list[AddrInfoType]:
        """Raises `EgressRefusedError` where none is, and OSError where there are none at all."""
        permitted, refusal = [], OSError("The name has no address.")
        for address in addresses:
            try:
                egress.check(ip_address(address[4][0]), port, self._policy)
            except EgressRefusedError as error:
                refusal = error
            else:
                permitted.append(address)
        if not permitted:
            raise refusal
        return permitted

    def _tell_of_no_socket(self, error: Exception) -> None:
        """Once a minute: all calls of a process may meet it at once."""
        now = time.monotonic()
        if now >= self._tell_again_at:
            self._tell_again_at = now + _TELL_EVERY_S
            log.error("no socket can be opened: raise the limit of open files (ulimit -n)", error=str(error))

    async def _context(self) -> ssl.SSLContext:
        """Made once, at the first call over TLS, in a thread: reading the trust store takes some 20 ms.

        A failure (no thread to be had, say) is not remembered.
        """
        if self._tls is None or (self._tls.done() and self._tls.exception()):
            self._tls = asyncio.ensure_future(asyncio.to_thread(_trusting_the_system))
        return await asyncio.shield(self._tls)


def _has_no_socket(error: Exception) -> bool:
    """Of a look-up that failed the system does not say that it had no socket to ask by."""
    if not isinstance(error, socket.gaierror):
        return isinstance(error, OSError) and error.errno in _NO_SOCKET
    try:
        socket.socket().close()
    except OSError:
        return True
    return False


def _trusting_the_system() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
