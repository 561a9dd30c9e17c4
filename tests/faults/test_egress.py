"""Row 36: an address that is not public is refused where it is typed, and again where a connection would open.

The second is shown with addresses that are written past all validation, as a name could come to mean them later.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from core.egress import USUAL_PORTS, Policy
from core.http import open_session
from providers import dispatch
from providers.errors import ForbiddenAddressError
from tests.conftest import NewProduct
from tests.core.test_egress import Names
from tests.faults import invariants
from tests.faults.conftest import NewInstallation
from tests.product import Product
from tests.providers.topologies import deployment, sent_to
from tests.upstream import Upstream
from wire import openai_chat

CLOSED = {"EGRESS_ALLOWED_NETWORKS": "none"}
# Where no connection may open; {port} is the scripted provider's, which would answer.
FORMS = {
    "metadata": "http://169.254.169.254/latest",
    "link-local": "http://169.254.7.7:{port}/v1",
    "unspecified": "http://0.0.0.0:{port}/v1",
    "loopback": "http://127.0.0.1:{port}/v1",
    "mapped": "http://[::ffff:127.0.0.1]:{port}/v1",
    "decimal": "http://2130706433:{port}/v1",
    "hexadecimal": "http://0x7f.0.0.1:{port}/v1",
    "octal": "http://0177.0.0.1:{port}/v1",
    "name": "http://localhost:{port}/v1",
}


def provider(name: str, address: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "CUSTOM",
        "model": f"{name}-model",
        "endpoint": address,
        "retryAttempts": 1,
        "pricing": {"inputTokenCost": 0.001, "outputTokenCost": 0.001},
    }


def add(product: Product, name: str, address: str) -> Any:
    return product.request("POST", "/api/ai-providers", body=provider(name, address), key=product.manage_key)


def test_36_refused_where_it_is_typed_and_where_it_is_called(new_product: NewProduct, upstream: Upstream) -> None:
    with new_product(env=CLOSED) as product:
        _refused(product, upstream)


@pytest.mark.faults
def test_36_on_postgresql(new_installation: NewInstallation, upstream: Upstream) -> None:
    with new_installation(workers=2, env=CLOSED) as product:
        _refused(product, upstream)


def _refused(product: Product, upstream: Upstream) -> None:
    for name, form in FORMS.items():
        typed = add(product, name, form.format(port=upstream.port))
        assert typed.status == 400, name
        assert list(typed.json()["fields"]) == ["endpoint"], name
        assert add(product, name, f"https://{name}.example/v1").status == 201
        address = form.format(port=upstream.port)
        product.sql("UPDATE providers_provider SET base_url = %s WHERE slug = %s", address, name)
    product.restart()

    answers = {name: product.chat(f"call-{name}", model=f"{name}-model") for name in FORMS}

    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(FORMS, 503)
    assert "EGRESS_ALLOWED_NETWORKS" in answers["loopback"].text
    assert upstream.bill == []
    invariants.settled(product)
    rows = product.sql("SELECT status, cost_pico FROM usage_usagerecord")
    assert {(row["status"], row["cost_pico"]) for row in rows} == {("error", 0)}


def test_36_what_the_operator_allows_is_called_and_said_in_the_log(new_product: NewProduct, upstream: Upstream) -> None:
    with new_product(env={"EGRESS_ALLOWED_NETWORKS": "127.0.0.1"}) as product:
        assert product.chat("call-allowed", model="up-chat").status == 200
        assert "127.0.0.1/32" in product.log()


@contextlib.contextmanager
def redirecting(target: str) -> Iterator[str]:
    """A host that sends every caller elsewhere; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def test_36_no_redirect_is_followed(product: Product, upstream: Upstream) -> None:
    with redirecting(f"{upstream.openai_url}/chat/completions") as address:
        made = add(product, "redirecting", address)
        assert made.status == 201
        product.until_in_force()

        answer = product.chat("call-redirected", model="redirecting-model")

        assert answer.status == 502
        assert upstream.bill == []


def test_36_a_name_that_comes_to_mean_this_machine(upstream: Upstream) -> None:
    closed = Policy.parse(networks="none", ports=USUAL_PORTS)
    target = deployment("rebinding", "m", kind="custom")
    address = f"http://rebinding.example:{upstream.port}/v1"
    target = msgspec.structs.replace(target, provider=msgspec.structs.replace(target.provider, address=address))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    call = dispatch.encode(openai_chat.open_chat(body), openai_chat, target, max_output_tokens=None)

    async def send(*addresses: str) -> None:
        async with open_session(policy=closed, lookup=Names(*addresses)) as session:
            await sent_to(session, target, None, call)

    for addresses in (("127.0.0.1",), ("169.254.169.254", "127.0.0.1"), ("::ffff:7f00:1",)):
        with pytest.raises(ForbiddenAddressError, match="is not called") as caught:
            asyncio.run(send(*addresses))
        assert not caught.value.sent
    assert upstream.bill == []
