"""Client libraries of other houses, pointed at the platform by base URL and key alone, whatever provider answers."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.acting import Acting
from tests.clients.acting_speeches import INPUT_TOKENS, OUTPUT_TOKENS, PERSON
from tests.clients.foreign.protocol import PNG
from tests.clients.foreign_clients import CLIENTS, EMBEDDERS, RESPONSES, Client, Players
from tests.journeys import operating
from tests.product import Product
from tests.upstream import Fault, Upstream

UPSTREAM_WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"
EMBEDDING_MODEL = "text-embedding-3-small"  # `llm` knows no other name
HEARD = "Heard: 21 degrees; 4 degrees."
CALLS = [["weather", {"city": "Paris"}], ["weather", {"city": "Oslo"}]]
_numbers = itertools.count(1)

each_client = pytest.mark.parametrize("client", CLIENTS, ids=str)
either_provider = pytest.mark.parametrize("model", ["up-chat", "up-claude"])
# Who speaks Responses is also served by an OpenAI, untranslated.
each_acting = pytest.mark.parametrize(
    ("client", "model"),
    [
        pytest.param(client, model, id=f"{client}-{model}")
        for client in CLIENTS
        for model in ("acting-chat", "acting-claude", "acting-openai")
        if model != "acting-openai" or client.door == RESPONSES
    ],
)


@pytest.fixture(scope="module")
def acting() -> Iterator[Acting]:
    with Acting() as acting:
        yield acting


@pytest.fixture(scope="module")
def house(gateway: Product, acting: Acting) -> Product:
    """With models that act, and the embedding model under the name that clients know."""
    endpoint = f"{acting.url}/v1"
    operating.add_provider(gateway, name="acts-chat", kind="custom", endpoint=endpoint, model="acting-chat")
    operating.add_provider(gateway, name="acts-openai", kind="openai", endpoint=endpoint, model="acting-openai")
    operating.add_provider(gateway, name="acts-claude", kind="anthropic", endpoint=acting.url, model="acting-claude")
    route = {"name": EMBEDDING_MODEL, "strategy": "priority", "targets": [{"deployment": "upstream/up-embed"}]}
    operating.manage(gateway, "POST", "/api/ai-providers/routes", route)
    gateway.until_in_force()
    return gateway


@pytest.fixture(scope="module")
def players(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Players]:
    with Players(tmp_path_factory.mktemp("foreign-clients")) as players:
        yield players


@pytest.fixture(scope="module")
def spent_key(house: Product) -> str:
    """A key that may call once an hour, and has."""
    name = f"spent-{next(_numbers)}"
    operating.manage(house, "POST", "/api/accounts/clients", {"name": name})
    fields = {"client": name, "requestsPerHour": 1}
    key: str = operating.manage(house, "POST", "/api/accounts/keys", fields)["key"]
    house.until_in_force()
    house.chat(key=key)
    return key


def heard(outcome: dict[str, Any]) -> dict[str, Any]:
    assert "error" not in outcome, outcome["error"]
    return outcome


@each_client
@either_provider
def test_it_answers(house: Product, players: Players, upstream: Upstream, client: Client, model: str) -> None:
    outcome = heard(players.play(client, "plain", house, model=model))

    (bill,) = upstream.dispatches(model)
    assert outcome["text"] == UPSTREAM_WORDS
    assert outcome["usage"] == [bill.input_tokens, bill.output_tokens]
    assert _last_row(house)["surface"] == client.door
    assert _last_row(house)["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


@each_client
@either_provider
def test_it_streams(house: Product, players: Players, upstream: Upstream, client: Client, model: str) -> None:
    upstream.on(model, Fault(chunk_s=0.02))

    outcome = heard(players.play(client, "stream", house, model=model))

    (bill,) = upstream.dispatches(model)
    assert bill.stream
    assert outcome["text"].strip() == "".join(outcome["pieces"]).strip() == UPSTREAM_WORDS
    assert len(outcome["pieces"]) > 2
    assert outcome["usage"] == [bill.input_tokens, bill.output_tokens]


@each_acting
@pytest.mark.parametrize("scenario", ["tools", "tools_streamed"])
def test_tools_go_round(house: Product, players: Players, client: Client, model: str, scenario: str) -> None:
    """The model asks for two calls at once, the client makes them, the model hears what they returned."""
    outcome = heard(players.play(client, scenario, house, model=model))

    assert outcome["calls"] == CALLS
    assert outcome["text"].endswith(HEARD)  # `llm` prints what was said before the calls too


every_model = pytest.mark.parametrize("model", ["acting-chat", "acting-claude", "acting-openai"])


@every_model
def test_vercel_names_what_was_said_in_an_earlier_turn(house: Product, players: Players, model: str) -> None:
    outcome = heard(players.play(_vercel(), "turns", house, model=model))

    assert outcome["text"] == HEARD
    assert outcome["named"] == ["msg", "msg"]


@every_model
def test_vercel_sends_everything_itself_where_nothing_is_stored(house: Product, players: Players, model: str) -> None:
    outcome = heard(players.play(_vercel(), "tools_stateless", house, model=model))

    assert outcome == {"calls": CALLS, "text": HEARD}


@each_acting
def test_structured_output_is_an_object(house: Product, players: Players, client: Client, model: str) -> None:
    assert heard(players.play(client, "structured", house, model=model)) == {"value": PERSON}


@each_acting
def test_an_image_arrives_whole(house: Product, players: Players, client: Client, model: str) -> None:
    outcome = heard(players.play(client, "image", house, model=model))

    assert outcome["text"] == f"I see {len(base64.b64decode(PNG))} bytes."
    assert outcome["usage"] == [INPUT_TOKENS, OUTPUT_TOKENS]


@pytest.mark.parametrize("client", EMBEDDERS, ids=str)
def test_it_embeds(house: Product, players: Players, upstream: Upstream, client: Client) -> None:
    outcome = heard(players.play(client, "embed", house, model=EMBEDDING_MODEL))

    assert [list(map(_rounded, vector)) for vector in outcome["vectors"]] == [[0.1, 0.2, 0.3]] * 2


@each_client
def test_a_wrong_key_raises_its_own_exception(house: Product, players: Players, client: Client) -> None:
    _assert_raised(players.play(client, "plain", house, model="up-chat", key="aip_00000000_wrong"), client, 401)


@each_client
def test_an_unknown_model_raises_its_own_exception(house: Product, players: Players, client: Client) -> None:
    outcome = players.play(client, "plain", house, model="gpt-17")

    _assert_raised(outcome, client, 404)
    assert "gpt-17" in outcome["error"]["message"]


@each_client
@pytest.mark.parametrize("scenario", ["plain", "stream"])
def test_a_spent_limit_raises_its_own_exception(
    house: Product, players: Players, spent_key: str, client: Client, scenario: str
) -> None:
    outcome = players.play(client, scenario, house, model="up-chat", key=spent_key)

    _assert_raised(outcome, client, 429)
    assert "1 call an hour" in outcome["error"]["message"]


@each_client
@either_provider
def test_what_a_provider_rejects_raises_with_its_words(
    house: Product, players: Players, upstream: Upstream, client: Client, model: str
) -> None:
    upstream.on(model, Fault(status=400, message="top_p and temperature exclude each other"))

    outcome = players.play(client, "plain", house, model=model)

    _assert_raised(outcome, client, 400)
    assert "exclude each other" in outcome["error"]["message"]


@each_client
@either_provider
def test_a_broken_stream_raises(
    house: Product, players: Players, upstream: Upstream, client: Client, model: str
) -> None:
    upstream.on(model, Fault(cut_after=4, chunk_s=0.02))

    assert "error" in players.play(client, "stream", house, model=model)


def _assert_raised(outcome: dict[str, Any], client: Client, status: int) -> None:
    assert client.errors[status] in outcome["error"]["kinds"], outcome
    assert outcome["error"]["status"] in (status, None)


def _vercel() -> Client:
    (vercel,) = (client for client in CLIENTS if client.name == "vercel-openai")
    return vercel


def _last_row(house: Product) -> dict[str, Any]:
    operating.settled(house)
    (row,) = house.sql("SELECT * FROM usage_usagerecord ORDER BY id DESC LIMIT 1")
    return row


def _rounded(number: float) -> float:
    return round(number, 6)
