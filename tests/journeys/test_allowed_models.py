"""A client or a key that may use some models alone: what it is told, and what it can see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys import operating
from tests.product import Product

CLIENTS_MODELS = ["demo", "up-chat"]
Key = dict[str, Any]


@pytest.fixture(scope="module")
def key(house: Product) -> Iterator[Key]:
    """Its client may use two models; the key itself all that its client may."""
    name = f"restricted-{house.port}"
    operating.manage(house, "POST", "/api/accounts/clients", {"name": name, "allowedModels": CLIENTS_MODELS})
    made = operating.manage(house, "POST", "/api/accounts/keys", {"client": name})
    house.until_in_force()
    yield made
    operating.manage(house, "PATCH", f"/api/accounts/keys/{made['id']}", {"isActive": False})


def test_a_model_that_is_not_allowed_is_refused_by_name_and_leaves_its_row(house: Product, key: Key) -> None:
    refused = house.chat(model="up-claude", key=key["key"])

    assert (refused.status, refused.json()["error"]["code"]) == (403, "MODEL_NOT_ALLOWED")
    assert "'up-claude'" in refused.json()["error"]["message"]
    assert "demo, up-chat" in refused.json()["error"]["message"]
    assert house.chat(model="up-chat", key=key["key"]).status == 200
    row = operating.row_of(house, refused)
    assert (row["status"], row["error_code"], row["cost_pico"] or 0) == ("refused", "MODEL_NOT_ALLOWED", 0)


def test_the_same_model_under_its_full_name_or_at_its_provider_is_refused_too(house: Product, key: Key) -> None:
    assert house.chat(model="upstream-anthropic/up-claude", key=key["key"]).status == 403
    body = {"messages": [{"role": "user", "content": "Hello"}], "provider": "upstream-anthropic"}
    answer = house.request("POST", "/api/v1/completion", body=body, key=key["key"])
    assert (answer.status, answer.json()["error_code"]) == (403, "MODEL_NOT_ALLOWED")
    assert "at provider 'upstream-anthropic'" in answer.json()["error"]


def test_what_there_is_not_is_not_found(house: Product, key: Key) -> None:
    answer = house.request("GET", "/v1/models/no-such-model", key=key["key"])

    assert answer.status == 404
    assert "up-claude" not in answer.text


@pytest.mark.parametrize("path", ["/v1/models", "/v1beta/models", "/api/tags", "/api/v1/models", "/v1/llm/models"])
def test_no_list_shows_what_is_not_allowed(house: Product, key: Key, path: str) -> None:
    seen, all_of_them = (house.request("GET", path, key=each).text for each in (key["key"], house.key))

    assert "up-chat" in seen
    assert "up-claude" in all_of_them
    assert "up-claude" not in seen


def test_a_keys_own_list_holds_besides_its_clients(house: Product, key: Key) -> None:
    operating.manage(house, "PATCH", f"/api/accounts/keys/{key['id']}", {"allowedModels": ["demo", "up-claude"]})
    house.until_in_force()

    assert house.chat(model="up-chat", key=key["key"]).status == 403
    assert house.chat(model="demo", key=key["key"]).status == 200
    assert house.chat(model="up-claude", key=key["key"]).status == 403

    told = operating.manage(house, "PATCH", f"/api/accounts/keys/{key['id']}", {"allowedModels": []})
    assert told["allowedModels"] == []
    house.until_in_force()
    assert house.chat(model="up-chat", key=key["key"]).status == 200
