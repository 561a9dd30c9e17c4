"""A product whose models are the demo's, the scripted provider's, and two that say what a test gives them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anthropic
import certifi
import openai
import pytest

from tests.clients.replay import Replay
from tests.conftest import NewProduct
from tests.journeys import operating
from tests.product import Product

NO_RETRIES = 0
_LAST_LINE = "-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module", autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each client that is made reads all certificate authorities of the world, which takes it longer than a call does;
    nothing here speaks TLS.
    """
    file = tmp_path_factory.mktemp("authorities") / "one.pem"
    file.write_text(Path(certifi.where()).read_text().partition(_LAST_LINE)[0] + _LAST_LINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield


@pytest.fixture(scope="session")
def session_replay() -> Iterator[Replay]:
    with Replay() as replay:
        yield replay


@pytest.fixture
def replay(session_replay: Replay) -> Replay:
    """The provider behind `gpt-replay` and `claude-replay`, with nothing to say yet."""
    session_replay.reset()
    return session_replay


@pytest.fixture(scope="session")
def gateway(new_product: NewProduct, session_replay: Replay) -> Iterator[Product]:
    with new_product() as running:
        operating.answer_known_names_alone(running)
        endpoint = session_replay.url
        operating.add_provider(running, name="gpts", kind="custom", endpoint=f"{endpoint}/v1", model="gpt-replay")
        operating.add_provider(running, name="claudes", kind="anthropic", endpoint=endpoint, model="claude-replay")
        yield running


@pytest.fixture
def openai_client(gateway: Product) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.url("/v1"), api_key=gateway.key, max_retries=NO_RETRIES) as client:
        yield client


@pytest.fixture
def anthropic_client(gateway: Product) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.base_url, api_key=gateway.key, max_retries=NO_RETRIES) as client:
        yield client
