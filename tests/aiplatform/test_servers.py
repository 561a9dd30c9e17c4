"""The servers that the platform stands on, and whom it says anything to in their place."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import environment
from tests.core import hosts
from tests.servers import PATIENCE_S

# Every library by which the platform goes to Redis.
_KNOCK = {
    "celery": "from aiplatform.celery import app; app.connection_for_write().ensure_connection(max_retries=1)",
    "django": "import django; django.setup(); from django.core.cache import cache; cache.get('x')",
    "redis": "import redis; from django.conf import settings; redis.Redis.from_url(settings.REDIS_URL).ping()",
}


class Listener:
    """It ends TLS where Redis should be, hears the first words, and hangs up."""

    def __init__(self, certificate: Path) -> None:
        self.heard = b""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"rediss://:canary@127.0.0.1:{self._socket.getsockname()[1]}/0"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:  # closed
                return
            try:
                with line, self._context.wrap_socket(line, server_side=True) as secured:
                    self.heard += secured.recv(1000)
            except OSError:  # the caller does not trust it
                continue


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return hosts.certificate(tmp_path)


@pytest.fixture
def listener(certificate: Path) -> Iterator[Listener]:
    listening = Listener(certificate)
    yield listening
    listening.close()


@pytest.mark.parametrize("library", _KNOCK)
def test_redis_is_told_nothing_before_it_has_shown_who_it_is(tmp_path: Path, listener: Listener, library: str) -> None:
    _knock(library, tmp_path, listener.address)

    assert listener.heard == b""


@pytest.mark.parametrize("library", _KNOCK)
def test_whom_to_trust_may_be_said_in_redis_address(
    tmp_path: Path, certificate: Path, listener: Listener, library: str
) -> None:
    _knock(library, tmp_path, f"{listener.address}?ssl_ca_certs={certificate}")

    assert b"canary" in listener.heard


@pytest.mark.parametrize("library", _KNOCK)
def test_redis_address_may_say_that_anybody_is_trusted(tmp_path: Path, listener: Listener, library: str) -> None:
    _knock(library, tmp_path, f"{listener.address}?ssl_cert_reqs=none")

    assert b"canary" in listener.heard


def _knock(library: str, folder: Path, address: str) -> None:
    """A process with these settings goes to Redis, in vain."""
    done = subprocess.run(
        [sys.executable, "-c", _KNOCK[library]],
        env={**environment.bare(), "STATE_DIR": str(folder), "REDIS_URL": address},
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "ConnectionError" in done.stderr or "OperationalError" in done.stderr, done.stderr
