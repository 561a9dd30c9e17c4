"""What an operator changes is in force within a second, without a restart; and how several keys and providers share."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.dialects import OPENAI
from tests.product import Product
from tests.servers import wait_until
from tests.upstream import Upstream


def test_a_new_key_calls_and_a_deactivated_one_no_more(topology: Product) -> None:
    made = operating.manage(topology, "POST", "/api/accounts/keys", {"client": "bob"})
    topology.until_in_force()
    assert topology.chat(key=made["key"]).status == 200

    operating.manage(topology, "PATCH", f"/api/accounts/keys/{made['id']}", {"isActive": False})
    topology.until_in_force()
    assert topology.chat(key=made["key"]).status == 401
    assert topology.chat(key=topology.keys["bob"]).status == 200


def test_the_keys_of_a_deactivated_client_are_refused(house: Product) -> None:
    (charlie,) = operating.manage(house, "GET", "/api/accounts/clients?name=charlie")["results"]

    operating.manage(house, "PATCH", f"/api/accounts/clients/{charlie['id']}", {"isActive": False})
    house.until_in_force()
    assert house.chat(key=house.keys["charlie"]).status == 401

    operating.manage(house, "PATCH", f"/api/accounts/clients/{charlie['id']}", {"isActive": True})
    house.until_in_force()
    assert house.chat(key=house.keys["charlie"]).status == 200


def test_a_key_stops_at_the_moment_it_expires(house: Product) -> None:
    made = operating.manage(house, "POST", "/api/accounts/keys", {"client": "bob"})
    house.until_in_force()
    assert house.chat(key=made["key"]).status == 200

    operating.manage(house, "PATCH", f"/api/accounts/keys/{made['id']}", {"expiresAt": "2020-01-01T00:00:00Z"})

    house.until_in_force()
    assert "expired" in house.chat(key=made["key"]).text


def test_a_provider_comes_changes_its_price_and_goes(topology: Product, upstream: Upstream) -> None:
    """Each change by the management API, each in force by the next second, in every web process."""
    name = f"newcomer-{topology.port}"
    made = operating.add_provider(
        topology, name=name, kind="custom", endpoint=upstream.openai_url, model=name, wait=False
    )
    topology.until_in_force()
    assert _statuses(topology, name) == {200}

    # A pico-dollar for an input token, the output free of charge.
    pricing = {"inputTokenCost": 0.000000001, "outputTokenCost": 0}
    operating.manage(topology, "PATCH", f"/api/ai-providers/{made}", {"pricing": pricing})
    one_a_token = format(operating.usd(upstream.bill[-1].input_tokens), "f")
    topology.until_in_force()
    assert _costs(topology, name) == {one_a_token}

    operating.manage(topology, "DELETE", f"/api/ai-providers/{made}")
    topology.until_in_force()
    assert topology.request("GET", f"/v1/models/{name}", key=topology.key).status == 404


def _statuses(product: Product, model: str) -> set[int]:
    """Of several calls, which the web processes share."""
    return {OPENAI.call(product, model, headers={"X-Provider": model}).status for _ in range(4)}


def _costs(product: Product, model: str) -> set[str]:
    return {OPENAI.call(product, model).headers["x-cost-usd"] for _ in range(4)}


def test_many_changes_at_once_all_come_into_force(house: Product, upstream: Upstream) -> None:
    """Rows of one change may be read before, others after it: that must not stop the watching."""
    names = [f"zz-crowd-{number}" for number in range(24)]

    def add(name: str) -> None:
        operating.add_provider(house, name=name, kind="custom", endpoint=upstream.openai_url, model=name, wait=False)

    with ThreadPoolExecutor(6) as operators:
        list(operators.map(add, names))

    house.until_in_force()
    assert {model["id"] for model in house.request("GET", "/v1/models", key=house.key).json()["data"]} >= set(names)


def test_a_new_provider_key_is_used_from_now_on(house: Product, upstream: Upstream) -> None:
    made = operating.add_provider(house, name="rekeyed", kind="custom", endpoint=upstream.openai_url, model="rekeyed")
    OPENAI.call(house, "rekeyed")

    operating.manage(house, "PATCH", f"/api/ai-providers/{made}", {"apiKey": "sk-canary-second"})
    house.until_in_force()
    OPENAI.call(house, "rekeyed")

    used = [line.headers["Authorization"] for line in upstream.bill]
    assert used == ["Bearer sk-canary-rekeyed", "Bearer sk-canary-second"]


def test_several_keys_take_turns(house: Product, upstream: Upstream) -> None:
    operating.add_provider(house, name="keyring", kind="custom", endpoint=upstream.openai_url, model="keyring")
    for label in ("second", "third"):
        body = {"provider": "keyring", "label": label, "apiKey": f"sk-canary-{label}"}
        operating.manage(house, "POST", "/api/ai-providers/credentials", body)
    house.until_in_force()

    answers = [OPENAI.call(house, "keyring") for _ in range(9)]

    used = Counter(line.headers["Authorization"] for line in upstream.bill)
    labels = Counter(operating.row_of(house, answer)["credential"] for answer in answers)
    assert set(used.values()) == {3}
    assert labels == {"main": 3, "second": 3, "third": 3}


def test_equal_providers_share_the_calls_by_weight(house: Product, upstream: Upstream) -> None:
    heavy = operating.add_provider(house, name="heavy", kind="custom", endpoint=upstream.openai_url, model="shared")
    house.sql("UPDATE providers_provider SET weight = 3 WHERE id = %s", UUID(heavy).hex)
    # Once this later change is in force, so is the weight.
    operating.add_provider(house, name="light", kind="custom", endpoint=upstream.openai_url, model="shared")

    shares = Counter(OPENAI.call(house, "shared").headers["x-provider"] for _ in range(120))

    assert set(shares) == {"heavy", "light"}
    assert shares["heavy"] > shares["light"]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/ping", "/health", "/v1/health"])
def test_health_is_open_and_tells_nothing_else(house: Product, path: str) -> None:
    operating.until_ready(house)
    answer = house.request("GET", path)

    assert (answer.status, answer.json()) == (200, {"status": "ok"})


def test_health_has_the_same_status_with_a_key_and_without(new_product: NewProduct) -> None:
    paths = ("/health", "/v1/health")
    with new_product() as own:
        own.sql("ALTER TABLE catalogue_revision RENAME TO catalogue_revision_away")
        wait_until(lambda: own.request("GET", "/readyz").status == 503, what="the database to be unreadable")
        away = [own.request("GET", path, key=key) for path in paths for key in (None, own.key)]
        own.sql("ALTER TABLE catalogue_revision_away RENAME TO catalogue_revision")
        wait_until(lambda: own.request("GET", "/readyz").status == 200, what="the database to be readable again")
        back = [own.request("GET", path, key=key) for path in paths for key in (None, own.key)]

    assert [(each.status, each.json()["status"]) for each in away] == [(503, "unavailable")] * 4
    assert [each.status for each in back] == [200] * 4
