"""What strangers' tokens may cost: a signer who does not answer is not asked for each of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest

from accounts.tokens import TokenError, Verifier

_ANY_SECRET = "a secret that nobody has agreed on, and long enough"


class _Broken(ThreadingHTTPServer):
    """Has no keys today: an error, or `says` instead of a set."""

    asked = 0
    says = b""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, _Broken)
        self.server.asked += 1
        if not self.server.says:
            self.send_error(503)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.says)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def signer() -> Iterator[_Broken]:
    server = _Broken(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("says", [b"", b"<html>", b"\xff\xfe", b"[]", b'{"keys": []}', b'{"keys": [{"kty": "x"}]}'])
def test_a_signer_who_fails_is_left_alone_for_a_while(signer: _Broken, says: bytes) -> None:
    signer.says = says
    address = f"http://127.0.0.1:{signer.server_port}/jwks"
    verifier = Verifier(secret=None, jwks_url=address, audience="us", issuer="them")

    for number in range(20):
        token = jwt.encode({"sub": "x"}, _ANY_SECRET, algorithm="HS256", headers={"kid": f"made-up-{number}"})
        with pytest.raises(TokenError, match="its signer's key is not known"):
            verifier.verify(token)

    assert signer.asked == 1
