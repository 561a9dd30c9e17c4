"""What strangers' tokens may cost: a signer who does not answer is not asked for each of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from accounts import verifier as accounts_verifier
from accounts.tokens import TokenError
from accounts.verifier import Verifier
from core.vault import Secret

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


@pytest.mark.parametrize(
    "other",
    [
        ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True),
        {"kty": "oct", "k": "c2hhcmVkIHdpdGggYW5vdGhlciBzZXJ2aWNlLCBidXQgbm90IHdpdGggdXM"},
    ],
    ids=["elliptic", "shared"],
)
def test_a_token_by_a_key_of_another_kind_is_refused(signer: _Broken, other: dict[str, str]) -> None:
    """Sets often hold several kinds, and any stranger can name one of them."""
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signer.says = json.dumps({"keys": [*json.loads(_key_set(own=own))["keys"], other | {"kid": "other"}]}).encode()
    address = f"http://127.0.0.1:{signer.server_port}/jwks"
    verifier = Verifier(secret=None, jwks_url=address, audience="us", issuer="them")

    with pytest.raises(TokenError, match="its algorithm is not the one in use here"):
        verifier.verify(_signed(own, "other", "mallory"))

    assert verifier.verify(_signed(own, "own", "alice")).end_user == "alice"


def _key_set(**keys: rsa.RSAPrivateKey) -> bytes:
    public = [
        json.loads(RSAAlgorithm.to_jwk(key.public_key())) | {"kid": name, "use": "sig"} for name, key in keys.items()
    ]
    return json.dumps({"keys": public}).encode()


def _signed(key: rsa.RSAPrivateKey, kid: str, user: str, *, for_s: int = 3600) -> str:
    claims = {"client": "alice", "sub": user, "aud": "us", "iss": "them", "exp": time.time() + for_s}
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid})


def test_a_token_that_was_checked_is_known_until_it_expires(signer: _Broken) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signer.says = _key_set(own=key)
    address = f"http://127.0.0.1:{signer.server_port}/jwks"
    verifier = Verifier(secret=None, jwks_url=address, audience="us", issuer="them")
    token = _signed(key, "own", "carol", for_s=60)

    claims = verifier.verify(token)

    assert verifier.known(token, now=claims.expires_at - 1) == claims
    assert verifier.known(token, now=claims.expires_at) is None


def test_a_key_that_its_signer_withdraws_is_one_no_longer(signer: _Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for tokens that were checked before, nor for new ones. While no set can be read the last one serves."""
    first, second = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    signer.says = _key_set(first=first, second=second)
    monkeypatch.setattr(accounts_verifier, "_JWKS_KEPT_S", 0.01)
    monkeypatch.setattr(accounts_verifier, "_JWKS_PAUSE_S", 0.0)
    verifier = Verifier(
        secret=None, jwks_url=f"http://127.0.0.1:{signer.server_port}/jwks", audience="us", issuer="them"
    )
    seen = _signed(first, "first", "carol")
    assert verifier.verify(seen).end_user == "carol"

    signer.says = b""
    time.sleep(0.02)
    assert verifier.known(seen, now=time.time()) is None
    assert verifier.verify(_signed(first, "first", "dave")).end_user == "dave"

    signer.says = _key_set(second=second)
    time.sleep(0.02)
    for withdrawn in (seen, _signed(first, "first", "erin")):
        with pytest.raises(TokenError, match="its signer's key is not known"):
            verifier.verify(withdrawn)
    assert verifier.verify(_signed(second, "second", "carol")).end_user == "carol"

    monkeypatch.setattr(accounts_verifier, "_JWKS_STALE_S", 0.0)
    signer.says = b""
    time.sleep(0.02)
    with pytest.raises(TokenError, match="its signer's key is not known"):
        verifier.verify(_signed(second, "second", "dave"))


@pytest.mark.parametrize("user", ["a\0b", "\ud800", "two\nlines"])
def test_an_end_user_who_cannot_be_printed_is_none(user: str) -> None:
    """The books could not hold a row of his: the call would be refused each time as if they were away."""
    verifier = Verifier(secret=Secret(_ANY_SECRET), jwks_url="", audience="us", issuer="them")
    claims = {"client": "alice", "sub": user, "aud": "us", "iss": "them", "exp": time.time() + 3600}

    with pytest.raises(TokenError, match="'sub'"):
        verifier.verify(jwt.encode(claims, _ANY_SECRET, algorithm="HS256"))
