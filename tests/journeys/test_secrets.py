"""Canaries: provider keys, client keys and prompts go through every kind of trouble, and turn up nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.journeys import operating
from tests.journeys.admin_session import AdminSession
from tests.journeys.dialects import DOORS, Door
from tests.product import Product
from tests.upstream import Fault, Upstream

PROMPT = "canary-prompt-4711"
PROVIDER_KEYS = ("sk-canary-upstream-key", "sk-canary-anthropic-key", "sk-canary-shaky", "sk-canary-dead")
TROUBLES = (
    Fault(status=400),
    Fault(status=401),
    Fault(status=429),
    Fault(status=500),
    Fault(bad_body=True),
    Fault(drop=True),
    Fault(cut_after=3),
    Fault(error_after=3, chunk_s=0.01),
    Fault(bad_chunk_after=3, chunk_s=0.01),
    Fault(no_usage=True),
)


@pytest.fixture(autouse=True)
def _keys_are_good_again(house: Product, upstream: Upstream) -> Iterator[None]:
    """A key that was refused is left alone for a minute where another provider has the model, until it is accepted."""
    yield
    upstream.reset()
    for model in ("upstream/up-chat", "upstream-anthropic/up-claude"):
        assert house.chat(model=model).status == 200


def test_no_trouble_brings_a_secret_to_light(house: Product, upstream: Upstream) -> None:
    """The product logs at DEBUG."""
    said: list[str] = []
    for door in DOORS:
        for stream in (False, True):
            for model in ("up-chat", "up-claude"):
                for fault in TROUBLES:
                    upstream.on(model, fault)
                    answer = door.call(house, model, PROMPT, stream=stream)
                    said.append(answer.text + json.dumps(dict(answer.headers)))
            for model in ("dead-first", "all-dead", "nobody-knows-it"):
                answer = door.call(house, model, PROMPT, stream=stream)
                said.append(answer.text + json.dumps(dict(answer.headers)))
        said.append(door.call(house, "demo", PROMPT, headers={"X-Timeout-Ms": "soon"}).text)
        said.append(house.request("POST", door.path, body=f'{{"prompt": "{PROMPT}'.encode(), key=house.key).text)

    books = json.dumps(house.sql("SELECT * FROM usage_usagerecord"), default=str)
    secrets = {*PROVIDER_KEYS, house.key, house.manage_key, PROMPT}
    assert len(said) == len(DOORS) * (2 * (2 * len(TROUBLES) + 3) + 2)
    for place in ("".join(said), books, house.log()):
        assert not [secret for secret in secrets if secret in place]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=401, message="Incorrect API key provided: sk-canary-upstream-key"),
        Fault(status=400, message="Bad request for sk-canary-upstream-key"),
        Fault(status=500, message="sk-canary-upstream-key broke us"),
        Fault(error_after=2, chunk_s=0.02, message="sk-canary-upstream-key is over its quota"),
    ],
)
def test_a_provider_that_repeats_our_key_is_not_quoted(
    house: Product, upstream: Upstream, door: Door, fault: Fault
) -> None:
    upstream.on("up-chat", fault)

    answer = door.call(house, "up-chat", stream=fault.error_after is not None)

    row = operating.row_of(house, answer)
    assert "sk-canary" not in answer.text + str(row)


def test_the_admin_shows_no_key(house: Product) -> None:
    admin = AdminSession(house)
    (provider,) = house.sql("SELECT id FROM providers_provider WHERE slug = 'upstream'")
    pages = ["/admin/", "/admin/providers/provider/", f"/admin/providers/provider/{provider['id']}/change/"]

    for page in pages:
        with admin.opened("GET", page) as answer:
            shown = answer.read().decode()
            assert answer.status == 200
            assert not [secret for secret in (*PROVIDER_KEYS, house.key) if secret in shown]


def test_a_key_is_never_stored_as_it_is(house: Product) -> None:
    secrets = [*PROVIDER_KEYS, house.key, house.manage_key]
    files = [path for path in house.state_dir.rglob("*.sqlite3*") if path.is_file()]

    assert files
    for path in files:
        stored = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in stored]
