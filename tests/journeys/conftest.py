"""A product with providers for every trouble: dead, shaky, hasty, and one that stops when its caller leaves."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.conftest import NewProduct
from tests.journeys import operating
from tests.product import Product
from tests.upstream import Upstream


@pytest.fixture(scope="session")
def house(new_product: NewProduct, session_upstream: Upstream) -> Iterator[Product]:
    """It logs all there is to log, and an unknown model is an error.

    `dead-first`: nobody listens, then the scripted provider. `shaky-first`: the scripted provider in OpenAI's dialect,
    then in Anthropic's. `all-dead`: nobody at all. `hasty`: waits a second for a chunk. `hurried`: waits three.
    `leaving`: aborts its calls.
    """
    openai, anthropic = session_upstream.openai_url, session_upstream.url
    with new_product(env={"LOG_LEVEL": "DEBUG"}) as running, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"

        def add(
            name: str, endpoint: str, model: str, *, kind: str = "custom", priority: int = -20, wait: bool = False
        ) -> None:
            operating.add_provider(
                running, name=name, kind=kind, endpoint=endpoint, model=model, priority=priority, wait=wait
            )

        add("hasty", openai, "hasty")
        add("hurried", openai, "hurried")
        add("leaving", openai, "leaving")
        running.sql(
            "UPDATE providers_provider SET first_token_timeout_ms = 1000, between_chunks_timeout_ms = 1000 "
            "WHERE slug = 'hasty'"
        )
        running.sql("UPDATE providers_provider SET between_chunks_timeout_ms = 3000 WHERE slug = 'hurried'")
        running.sql("UPDATE providers_provider SET on_disconnect = 'abort' WHERE slug = 'leaving'")
        add("dead", nobody, "dead-first")
        add("alive", openai, "dead-first", priority=-30)
        add("shaky", openai, "shaky-first")
        add("steady", anthropic, "shaky-first", kind="anthropic", priority=-30)
        add("gone", nobody, "all-dead")
        operating.answer_known_names_alone(running)
        # The last change: once it is in force, so are the others.
        add("gone-too", nobody, "all-dead", priority=-30, wait=True)
        yield running
