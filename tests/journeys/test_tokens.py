"""JSON Web Tokens as keys, and the forgeries that must not pass (row 37 of the faults)."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.journeys import operating
from tests.product import Product

SECRET = "a shared secret of forty characters, more or less"
NAMED = {"JWT_AUDIENCE": "ai-platform", "JWT_ISSUER": "https://login.example"}
NewProduct = Callable[..., AbstractContextManager[Product]]


def _claims(**changes: Any) -> dict[str, Any]:
    said = {
        "client": "alice",
        "sub": "user-7",
        "aud": "ai-platform",
        "iss": "https://login.example",
        "exp": int(time.time()) + 600,
    }
    return {name: value for name, value in (said | changes).items() if value is not None}


def _token(key: Any = SECRET, algorithm: str = "HS256", headers: Any = None, **changes: Any) -> str:
    return jwt.encode(_claims(**changes), key, algorithm=algorithm, headers=headers)


@pytest.fixture(scope="module")
def shared(new_product: NewProduct) -> Iterator[Product]:
    """Tokens by a shared secret; calls without a key count as bob's."""
    with new_product(env={"JWT_SECRET": SECRET, "ANONYMOUS_CLIENT": "bob", **NAMED}) as running:
        yield running


def test_a_token_names_the_client_and_the_end_user(shared: Product) -> None:
    answer = shared.chat(key=_token(), headers={"X-End-User": "somebody-else"})

    row = operating.row_of(shared, answer)
    assert answer.status == 200
    assert (row["client"], row["end_user"], row["key_prefix"]) == ("alice", "user-7", "token")


def test_a_token_in_a_tier_has_its_limits_for_each_user(shared: Product) -> None:
    statuses = [shared.chat(key=_token(tier="basic", sub="limited")).status for _ in range(12)]

    assert statuses.count(200) == 10
    assert set(statuses[10:]) == {429}
    assert shared.chat(key=_token(tier="basic", sub="another")).status == 200
    assert shared.chat(key=_token(tier="basic", sub="limited", client="bob")).status == 200, "another of that name"
    assert shared.chat(key=_token(tier="no-such-tier")).status == 401


def test_a_token_manages_only_with_the_scope(shared: Product) -> None:
    path = "/api/accounts/clients"

    assert shared.request("GET", path, key=_token()).status == 403
    assert shared.request("GET", path, key=_token(scope="manage")).status == 200
    assert shared.request("GET", path, key=_token(scope="manage", client="nobody")).status == 401


def test_without_a_key_calls_count_as_the_anonymous_clients(shared: Product) -> None:
    for path, body in (("/v1/chat/completions", _chat()), ("/api/ai-providers/complete", {"prompt": "Hi"})):
        answer = shared.request("POST", path, body=body)

        assert answer.status == 200, answer.text
        assert operating.row_of(shared, answer)["client"] == "bob"


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(lambda: _token(exp=int(time.time()) - 60), id="expired"),
        pytest.param(lambda: _token(nbf=int(time.time()) + 600), id="of the future"),
        pytest.param(lambda: _token(exp=None), id="without exp"),
        pytest.param(lambda: _token(aud=None), id="without aud"),
        pytest.param(lambda: _token(iss=None), id="without iss"),
        pytest.param(lambda: _token(aud="another"), id="another audience"),
        pytest.param(lambda: _token(iss="https://evil.example"), id="another issuer"),
        pytest.param(lambda: _token(key=SECRET[::-1]), id="another secret"),
        pytest.param(lambda: _token(key=None, algorithm="none"), id="alg none"),
        pytest.param(lambda: _token(algorithm="HS384"), id="another algorithm"),
        pytest.param(lambda: _token(client=None), id="no client"),
        pytest.param(lambda: _token(client="nobody"), id="unknown client"),
        pytest.param(lambda: _token(client="\ud83d"), id="half a character as client"),
        pytest.param(lambda: _token(tier="\ud83d"), id="half a character as tier"),
        pytest.param(lambda: _token(sub="s" * 129), id="an end user whom the books would cut off"),
        pytest.param(lambda: _token(exp=10**400), id="exp beyond all times"),
        pytest.param(lambda: _token()[:-4] + "AAAA", id="a changed signature"),
        pytest.param(lambda: "ey." + "x" * 9_000 + ".y", id="far too long"),
        pytest.param(lambda: "eyJhbGciOiJIUzI1NiJ9.e30.", id="empty"),
    ],
)
def test_a_forgery_is_refused(shared: Product, forged: Callable[[], str]) -> None:
    answer = shared.chat(key=forged())

    assert (answer.status, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
    assert SECRET not in answer.text


def _chat() -> dict[str, Any]:
    return {"model": "up-chat", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def signer() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def jwks(signer: rsa.RSAPrivateKey) -> Iterator[str]:
    """The address of a set of keys with the signer's."""
    key = json.loads(RSAAlgorithm.to_jwk(signer.public_key())) | {"kid": "first", "use": "sig", "alg": "RS256"}

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"keys": [key]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nothing to say."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/jwks"
    server.shutdown()
    server.server_close()


def test_tokens_signed_by_a_key_of_the_set(new_product: NewProduct, jwks: str, signer: rsa.RSAPrivateKey) -> None:
    """And neither a stranger's key, nor the public key taken for a shared secret."""
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = signer.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    first = {"kid": "first"}
    with new_product(env={"JWT_JWKS_URL": jwks, **NAMED}) as product:
        answers = {
            "signed": product.chat(key=_token(signer, "RS256", first)),
            "again": product.chat(key=_token(signer, "RS256", first)),
            "stranger": product.chat(key=_token(stranger, "RS256", first)),
            "unknown key": product.chat(key=_token(stranger, "RS256", {"kid": "second"})),
            "confusion": product.chat(key=_hmac_signed(public, first)),
            "shared": product.chat(key=_token()),
        }

    assert {name: answer.status for name, answer in answers.items()} == {
        "signed": 200,
        "again": 200,
        "stranger": 401,
        "unknown key": 401,
        "confusion": 401,
        "shared": 401,
    }


def _hmac_signed(public_key: bytes, headers: dict[str, str]) -> str:
    """HS256 with the public key's bytes as the secret, which no library would sign with any more."""
    import hashlib
    import hmac

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', **headers})}.{part(_claims())}"
    signature = hmac.new(public_key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
