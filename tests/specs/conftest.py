"""Two installations on which every example of the specifications must work as printed.

`demo`: as it is after its first start, where the demo answers for every name. `equipped`: with the providers and models
that the specifications name, at the scripted provider, and no answer for any other name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import NewProduct
from tests.journeys import operating
from tests.product import Answer, Product
from tests.servers import free_port
from tests.upstream import Upstream

PER_1K = {"inputTokenCost": 0.03, "outputTokenCost": 0.06, "currency": "USD"}
CHATS = {
    "openai": ("gpt-4", "gpt-3.5-turbo"),
    "anthropic": ("claude-3-sonnet", "claude-3-5-sonnet-20241022"),
    "ollama": ("llama2",),
}
EMBEDDER = "text-embedding-ada-002"


@dataclass(frozen=True)
class Installation:
    product: Product
    is_demo: bool

    def provider(self, name: str) -> str:
        """Who answers in the place of a provider that a specification names."""
        return "demo" if self.is_demo else name

    def post(self, path: str, body: Any = None) -> Answer:
        return self._answered("POST", path, body)

    def get(self, path: str) -> Answer:
        return self._answered("GET", path)

    def delete(self, path: str, body: Any = None) -> Answer:
        return self._answered("DELETE", path, body)

    def _answered(self, method: str, path: str, body: Any = None) -> Answer:
        answer = self.product.request(method, path, body=body, key=self.product.key)
        assert answer.status in (200, 201, 204), answer.text
        return answer


@pytest.fixture(scope="session")
def demo(new_product: NewProduct) -> Iterator[Installation]:
    """The tests' template has its catch-all switched off, and embeddings outside its default route."""
    with new_product(env={"GRPC_PORT": str(free_port()), "METRICS_PORT": str(free_port())}) as running:
        (route,) = operating.manage(running, "GET", "/api/ai-providers/routes")["results"]
        targets = [{"deployment": f"demo/{name}"} for name in ("demo", "demo-embedding")]
        path = f"/api/ai-providers/routes/{route['id']}"
        operating.manage(running, "PATCH", path, {"catchAll": True, "targets": targets})
        running.until_in_force()
        yield Installation(running, is_demo=True)


@pytest.fixture(scope="session")
def equipped(new_product: NewProduct, session_upstream: Upstream) -> Iterator[Installation]:
    with new_product(env={"GRPC_PORT": str(free_port()), "METRICS_PORT": str(free_port())}) as running:
        for provider, models in CHATS.items():
            endpoint = session_upstream.openai_url if provider == "openai" else session_upstream.url
            first, *others = models
            operating.add_provider(
                running, name=provider, kind=provider, endpoint=endpoint, model=first, pricing=PER_1K, wait=False
            )
            for model in others:
                _add_model(running, provider, model, "chat")
        _add_model(running, "openai", EMBEDDER, "embedding")
        running.until_in_force()
        yield Installation(running, is_demo=False)


def _add_model(product: Product, provider: str, name: str, kind: str) -> None:
    made = {"provider": provider, "name": name, "type": kind}
    operating.manage(product, "POST", "/api/ai-providers/deployments", made)
    price = {"deployment": f"{provider}/{name}", "inputPerMillion": "30", "outputPerMillion": "60"}
    operating.manage(product, "POST", "/api/ai-providers/prices", price)


@pytest.fixture(params=["demo", "equipped"])
def installation(request: pytest.FixtureRequest) -> Installation:
    """Both of them."""
    found: Installation = request.getfixturevalue(request.param)
    return found
