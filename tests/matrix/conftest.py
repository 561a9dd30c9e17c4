"""One product for the whole matrix, with a provider of every kind, all of them at one scripted host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from providers.kinds import KINDS
from tests.conftest import NewProduct
from tests.journeys import operating
from tests.matrix.cells import DEMO, Matrix
from tests.matrix.hosts import FACES
from tests.product import Product
from tests.servers import free_port
from tests.upstream import Upstream


@pytest.fixture(scope="session")
def hosts() -> Iterator[Upstream]:
    with Upstream(FACES) as running:
        yield running


@pytest.fixture(scope="session")
def matrix_product(new_product: NewProduct, hosts: Upstream) -> Iterator[Product]:
    """`chat-KIND` and `embed-KIND` are models of each kind."""
    with new_product(env={"GRPC_PORT": str(free_port())}) as running:
        for kind in KINDS:
            if kind == DEMO:
                _add_model(running, DEMO, "chat-demo", "chat")
            else:
                endpoint = f"{hosts.url}/{kind}"
                operating.add_provider(
                    running, name=kind, kind=kind, endpoint=endpoint, model=f"chat-{kind}", wait=False
                )
            _add_model(running, kind, f"embed-{kind}", "embedding")
        running.until_in_force()
        yield running


def _add_model(product: Product, provider: str, name: str, kind: str) -> None:
    made = {"provider": provider, "name": name, "type": kind}
    operating.manage(product, "POST", "/api/ai-providers/deployments", made)


@pytest.fixture(scope="session")
def matrix(matrix_product: Product, hosts: Upstream) -> Matrix:
    return Matrix(matrix_product, hosts)
