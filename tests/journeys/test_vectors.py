"""A product keeps vectors, finds the nearest, and sees nobody else's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.admin_session import AdminSession
from tests.product import Answer, Product
from tests.servers import wait_until
from tests.vectors.qdrant_server import API_KEY, QdrantServer

_MODEL = "demo-embedding"
_SIZE = 256  # of the demo's vectors


@pytest.fixture(scope="module")
def keeper(new_product: NewProduct) -> Iterator[Product]:
    with new_product() as running:
        yield running


@pytest.fixture(scope="module")
def served(new_production: NewProduct) -> Iterator[tuple[Product, QdrantServer]]:
    """In production: two web processes on a Qdrant server."""
    with (
        QdrantServer() as server,
        new_production(env={"QDRANT_URL": server.url, "QDRANT_API_KEY": API_KEY}) as running,
    ):
        yield running, server


def _call(product: Product, method: str, path: str, *, whose: str = "alice", **body: Any) -> Answer:
    return product.request(method, f"/v1/vector/{path}", body=body or None, key=product.keys[whose])


def _make(product: Product, name: str, *, size: int = 2, whose: str = "alice", **more: Any) -> dict[str, Any]:
    answer = _call(product, "POST", "collections", whose=whose, collection_name=name, vector_size=size, **more)
    assert answer.status == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def _put(product: Product, name: str, *points: dict[str, Any], whose: str = "alice", **more: Any) -> Answer:
    return _call(product, "POST", "points", whose=whose, collection_name=name, points=list(points), **more)


def _found(product: Product, name: str, whose: str = "alice", **asked: Any) -> list[str]:
    answer = _call(product, "POST", "search", whose=whose, collection_name=name, **asked)
    assert answer.status == 200, answer.text
    return [result["id"] for result in answer.json()["results"]]


def _refusal(answer: Answer) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status, body["error_code"], body["context"]["field"]


def test_specification_e_s_example(keeper: Product) -> None:
    made = _make(keeper, "documents", size=3, distance="Cosine")
    payload = {"text": "sample text", "metadata": "additional info"}
    put = _put(keeper, "documents", {"id": "point_1", "vector": [0.1, 0.2, 0.3], "payload": payload})

    answer = _call(
        keeper,
        "POST",
        "search",
        collection_name="documents",
        query_vector=[0.1, 0.2, 0.3],
        limit=10,
        score_threshold=0.7,
    )

    assert (made["vector_size"], made["distance"], made["points_count"]) == (3, "cosine", 0)
    assert (put.status, put.json()) == (200, {"collection_name": "documents", "upserted": 1})
    (result,) = answer.json()["results"]
    assert (result["id"], result["payload"]) == ("point_1", payload)
    assert result["score"] == pytest.approx(1, abs=1e-5)
    assert "x-cost-usd" not in answer.headers


def test_texts_are_embedded_and_paid_for(keeper: Product) -> None:
    _make(keeper, "texts", size=_SIZE)

    put = _put(
        keeper,
        "texts",
        {"id": "fox", "text": "a quick red fox", "payload": {"kind": "animal"}},
        {"id": "steel", "text": "prices of steel rose", "payload": {"kind": "metal"}},
        model=_MODEL,
        user_id="carol",
    )
    asked = _call(keeper, "POST", "search", collection_name="texts", text="where is the red fox", limit=1)

    assert put.status == 200, put.text
    assert [(each["id"], each["payload"]) for each in asked.json()["results"]] == [("fox", {"kind": "animal"})]
    assert _found(keeper, "texts", text="the price of steel")[0] == "steel"
    for answer, end_user, tokens in ((put, "carol", 8), (asked, "", 5)):
        row = operating.row_of(keeper, answer)
        assert (row["surface"], row["client"], row["end_user"]) == ("spec_e.vector", "alice", end_user)
        assert (row["status"], row["input_tokens"]) == ("ok", tokens)
        assert answer.headers["x-cost-usd"]


def test_nothing_is_paid_for_a_call_that_is_wrong(keeper: Product) -> None:
    _make(keeper, "unpaid", size=_SIZE)
    text = {"id": "a", "text": "a fox"}
    wrong = [
        _put(keeper, "unpaid", text, {"id": "b", "vector": [1]}, model=_MODEL),
        _put(keeper, "unpaid", {**text, "payload": []}, model=_MODEL),
        _put(keeper, "nowhere", text, model=_MODEL),
        _call(keeper, "POST", "search", collection_name="unpaid", text="fox", model=_MODEL, filter={"a": []}),
    ]
    paid = _put(keeper, "unpaid", text, model=_MODEL)

    assert [answer.status for answer in wrong] == [400, 400, 404, 400]
    operating.row_of(keeper, paid)
    assert [row for answer in wrong for row in operating.rows(keeper, answer.headers["x-request-id"])] == []


def test_a_collection_s_texts_are_one_model_s(keeper: Product) -> None:
    _make(keeper, "one-model", size=_SIZE)
    unnamed = _put(keeper, "one-model", {"id": "a", "text": "no model is named"})
    _put(keeper, "one-model", {"id": "a", "text": "a fox"}, model=_MODEL)

    other = _put(keeper, "one-model", {"id": "b", "text": "a fox"}, model="up-embed")
    search = _call(keeper, "POST", "search", collection_name="one-model", text="a fox", model="up-embed")

    assert unnamed.status == 404
    assert _refusal(other) == _refusal(search) == (400, "INVALID_REQUEST", "model")
    assert _call(keeper, "GET", "collections/one-model").json()["model"] == _MODEL


def test_clients_never_see_each_other_s(keeper: Product) -> None:
    for whose, secret in (("alice", "alice's"), ("bob", "bob's")):
        _make(keeper, "shared-name", whose=whose)
        _put(keeper, "shared-name", {"id": "same", "vector": [1, 0], "payload": {"of": secret}}, whose=whose)
    _make(keeper, "alice-alone")
    _put(keeper, "alice-alone", {"id": "x", "vector": [1, 0]})

    def seen(whose: str) -> Any:
        return _call(
            keeper, "POST", "search", whose=whose, collection_name="shared-name", query_vector=[1, 0], limit=100
        ).json()["results"]

    assert [each["payload"] for each in seen("alice")] == [{"of": "alice's"}]
    assert [each["payload"] for each in seen("bob")] == [{"of": "bob's"}]
    attempts = [
        _call(keeper, "GET", "collections/alice-alone", whose="bob"),
        _call(keeper, "DELETE", "collections/alice-alone", whose="bob"),
        _put(keeper, "alice-alone", {"id": "x", "vector": [1, 0]}, whose="bob"),
        _call(keeper, "DELETE", "points", whose="bob", collection_name="alice-alone", ids=["x"]),
        _call(keeper, "POST", "search", whose="bob", collection_name="alice-alone", query_vector=[1, 0]),
    ]
    assert {_refusal(each) for each in attempts} == {(404, "NOT_FOUND", "collection_name")}
    assert {each.json()["error"] for each in attempts} == {"No collection 'alice-alone'. There is: shared-name."}
    names = [each["collection_name"] for each in _call(keeper, "GET", "collections", whose="bob").json()["collections"]]
    assert names == ["shared-name"]

    _call(keeper, "DELETE", "collections/shared-name", whose="bob")
    assert [each["payload"] for each in seen("alice")] == [{"of": "alice's"}]
    assert _found(keeper, "alice-alone", query_vector=[1, 0]) == ["x"]


def test_filters_and_deletion(keeper: Product) -> None:
    _make(keeper, "years")
    points = [{"id": str(year), "vector": [1, 0], "payload": {"year": year}} for year in range(2020, 2025)]
    _put(keeper, "years", *points)
    late = {"year": {"gte": 2023}}

    assert sorted(_found(keeper, "years", query_vector=[1, 0], filter=late)) == ["2023", "2024"]
    assert sorted(_found(keeper, "years", query_vector=[1, 0], filter={"must_not": [late]})) == ["2020", "2021", "2022"]

    gone = _call(keeper, "DELETE", "points", collection_name="years", ids=["2023", "never-there"])
    assert (gone.status, gone.json()) == (200, {"collection_name": "years", "deleted": True})
    assert _found(keeper, "years", query_vector=[1, 0], filter=late) == ["2024"]
    assert _call(keeper, "GET", "collections/years").json()["points_count"] == 4

    assert _call(keeper, "DELETE", "collections/years").status == 200
    assert _call(keeper, "GET", "collections/years").status == 404
    _make(keeper, "years", size=3)
    assert _found(keeper, "years", query_vector=[1, 0, 0]) == []


def test_the_same_collection_may_be_asked_for_again(keeper: Product) -> None:
    first = _make(keeper, "again")
    _put(keeper, "again", {"id": "x", "vector": [1, 0]})

    again = _make(keeper, "again", distance="COSINE")
    different = _call(keeper, "POST", "collections", collection_name="again", vector_size=3)

    assert again == {**first, "points_count": 1}
    assert _refusal(different) == (400, "INVALID_REQUEST", "collection_name")


def test_many_at_once_make_one(keeper: Product) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(lambda _: _call(keeper, "POST", "collections", collection_name="race", vector_size=2), range(8))
        )

    assert {answer.status for answer in made} == {200}
    assert len(keeper.sql("SELECT id FROM vectors_vectorcollection WHERE name = 'race'")) == 1
    assert _found(keeper, "race", query_vector=[1, 0]) == []


def test_what_is_made_and_deleted_at_the_same_time_leaves_nothing_in_the_store(keeper: Product) -> None:
    def story(number: int) -> set[int]:
        if number % 2:
            asked = [_call(keeper, "DELETE", "collections/brief") for _ in range(30)]
        else:
            asked = [_call(keeper, "POST", "collections", collection_name="brief", vector_size=2) for _ in range(30)]
        return {answer.status for answer in asked}

    with ThreadPoolExecutor(6) as pool:
        statuses = set[int]().union(*pool.map(story, range(6)))
    _call(keeper, "DELETE", "collections/brief")

    assert statuses == {200, 404}
    rows = {f"aip_{row['id']}" for row in keeper.sql("SELECT id FROM vectors_vectorcollection")}
    assert {folder.name for folder in (keeper.state_dir / "vectors/collection").iterdir()} == rows


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("collections", {"collection_name": "a/b", "vector_size": 2}, "collection_name"),
        ("collections", {"collection_name": "x" * 129, "vector_size": 2}, "collection_name"),
        ("collections", {"collection_name": "x", "vector_size": 0}, "vector_size"),
        ("collections", {"collection_name": "x", "vector_size": 100_000}, "vector_size"),
        ("collections", {"collection_name": "x", "vector_size": 2, "distance": "hamming"}, "distance"),
        ("collections", {"collection_name": "x\n", "vector_size": 2}, "collection_name"),
        ("points", {"points": [{"id": "a", "vector": [1, 2, 3]}]}, "points[0].vector"),
        ("points", {"points": [{"id": "a", "vector": []}]}, "points[0].vector"),
        ("points", {"points": [{"id": "a", "vector": [0, 0]}]}, "points[0].vector"),
        ("points", {"points": [{"id": "a", "vector": [1e39, 0]}]}, "points[0].vector"),
        ("points", {"points": [{"id": "a"}]}, "points[0].vector"),
        ("points", {"points": [{"id": "a", "vector": [1, 0], "text": "x"}]}, "points[0].vector"),
        ("points", {"points": [{"id": "", "vector": [1, 0]}]}, "points[0].id"),
        ("points", {"points": [{"id": "a", "vector": [1, 0], "payload": 7}]}, "points[0].payload"),
        ("points", {"points": [{"id": "a", "vector": [1, 0], "payload": {"a": "x" * 70_000}}]}, "points[0].payload"),
        ("points", {"points": []}, "points"),
        ("points", {"points": [{"id": str(n), "vector": [1, 0]} for n in range(501)]}, "points"),
        ("points", {"points": [{"id": "a", "text": "a fox"}], "model": _MODEL}, "points[0].text"),
        ("search", {"query_vector": [1, 2, 3]}, "query_vector"),
        ("search", {}, "query_vector"),
        ("search", {"query_vector": [1, 0], "limit": 0}, "limit"),
        ("search", {"query_vector": [1, 0], "limit": 1000}, "limit"),
        ("search", {"query_vector": [1, 0], "filter": {"a": None}}, "filter.a"),
        ("search", {"text": "a fox", "model": _MODEL}, "text"),
    ],
)
def test_what_is_wrong_is_named(keeper: Product, path: str, body: dict[str, Any], field: str) -> None:
    _make(keeper, "strict")

    answer = _call(keeper, "POST", path, **{"collection_name": "strict", **body})

    assert _refusal(answer) == (400, "INVALID_REQUEST", field)


def test_a_restart_keeps_what_there_is(new_product: NewProduct) -> None:
    with new_product() as own:
        _make(own, "kept", size=_SIZE)
        _put(own, "kept", {"id": "fox", "text": "a red fox"}, {"id": 7, "vector": [1.0] * _SIZE}, model=_MODEL)

        own.kill_web()
        own.start()

        assert _found(own, "kept", text="a red fox") == ["fox", "7"]


def test_a_tier_s_limit_of_searches_holds(keeper: Product) -> None:
    _make(keeper, "limited", whose="charlie", size=_SIZE)
    keeper.sql("UPDATE accounts_endpointlimit SET requests_per_minute = 3 WHERE endpoint = '/v1/vector/search'")
    keeper.sql(  # last: what shows that it is in force shows that the limit is too
        "UPDATE accounts_apikey SET tier_id = (SELECT id FROM accounts_tier WHERE name = 'premium') "
        "WHERE client_id = (SELECT id FROM accounts_client WHERE name = 'charlie')"
    )

    def search(**asked: Any) -> Answer:
        return _call(keeper, "POST", "search", whose="charlie", collection_name="limited", **asked)

    wait_until(
        lambda: "x-ratelimit-limit" in _call(keeper, "GET", "collections", whose="charlie").headers,
        what="the tier to be in force",
    )
    by_text = {"text": "fox", "model": _MODEL}
    statuses = [search(**asked).status for asked in ({"query_vector": [1.0] * _SIZE}, by_text, by_text, by_text)]
    refused = search(query_vector=[1.0] * _SIZE)

    assert statuses == [200, 200, 200, 429]
    assert (refused.status, refused.json()["error_code"]) == (429, "RATE_LIMITED")
    assert refused.headers["retry-after"]
    assert _call(keeper, "GET", "collections", whose="charlie").status == 200


def test_several_processes_need_a_server(new_product: NewProduct) -> None:
    with new_product(env={"WEB_WORKERS": "2"}) as own:
        answer = _call(own, "POST", "collections", collection_name="docs", vector_size=2)

        assert (answer.status, answer.json()["error_code"]) == (503, "PROVIDER_UNAVAILABLE")
        assert "QDRANT_URL" in answer.json()["error"]
        assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("3600", "false")
        assert own.sql("SELECT count(*) AS rows FROM vectors_vectorcollection")[0]["rows"] == 0
        assert own.chat().status == 200


def test_the_same_on_a_server(served: tuple[Product, QdrantServer]) -> None:
    product, server = served
    _make(product, "documents", size=_SIZE)
    _make(product, "documents", size=_SIZE, whose="bob")

    put = _put(product, "documents", {"id": "fox", "text": "a red fox"}, {"id": "steel", "text": "steel"}, model=_MODEL)

    assert put.status == 200, put.text
    assert _found(product, "documents", text="the fox") == ["fox", "steel"]
    assert _found(product, "documents", text="the fox", model=_MODEL, whose="bob") == []
    assert len(server.store.get_collections().collections) == 2
    for whose in ("alice", "bob"):
        assert _call(product, "DELETE", "collections/documents", whose=whose).status == 200
    assert server.store.get_collections().collections == []
    assert API_KEY not in product.log()


def test_a_collection_that_the_server_lost(served: tuple[Product, QdrantServer]) -> None:
    product, server = served
    _make(product, "lost")
    for each in server.store.get_collections().collections:
        server.store.delete_collection(each.name)

    answer = _call(product, "POST", "search", collection_name="lost", query_vector=[1, 0])

    assert (answer.status, answer.json()["error_code"]) == (404, "NOT_FOUND")
    assert _call(product, "GET", "collections/lost").json()["points_count"] is None
    assert _make(product, "lost")["points_count"] == 0
    assert _found(product, "lost", query_vector=[1, 0]) == []
    for each in server.store.get_collections().collections:
        server.store.delete_collection(each.name)
    assert _call(product, "DELETE", "collections/lost").status == 200
    _make(product, "lost")


def test_nothing_is_paid_for_texts_that_cannot_be_kept_or_looked_for(new_product: NewProduct) -> None:
    with QdrantServer() as server, new_product(env={"QDRANT_URL": server.url, "QDRANT_API_KEY": API_KEY}) as own:

        def answered() -> list[Answer]:
            put = _put(own, "texts", {"id": "fox", "text": "a red fox"}, model=_MODEL)
            return [put, _call(own, "POST", "search", collection_name="texts", text="fox", model=_MODEL)]

        _make(own, "texts", size=_SIZE)
        paid = answered()
        for each in server.store.get_collections().collections:
            server.store.delete_collection(each.name)
        lost = answered()
        server.stop()
        away = answered()

        assert [each.status for each in (*paid, *lost, *away)] == [200, 200, 404, 404, 503, 503]
        operating.row_of(own, paid[1])
        assert [row for each in (*lost, *away) for row in operating.rows(own, each.headers["x-request-id"])] == []


def test_the_admin_page_counts_them(keeper: Product) -> None:
    _make(keeper, "shown")
    _put(keeper, "shown", {"id": "x", "vector": [1, 0]})

    with AdminSession(keeper).opened("GET", "/admin/vectors/vectorcollection/?q=shown") as page:
        text = " ".join(re.sub(r"<[^>]*>", " ", page.read().decode()).split())
    assert "shown alice 1 2 direction (cosine) no text yet" in text


def test_a_question_that_is_asked_again_comes_from_the_cache(keeper: Product) -> None:
    _make(keeper, "cached", size=_SIZE)
    _put(keeper, "cached", {"id": "fox", "text": "a red fox"}, model=_MODEL)
    body = {"collection_name": "cached", "text": "which fox is red?"}

    first, again = (
        keeper.request("POST", "/v1/vector/search", body=body, key=keeper.keys["alice"], headers={"X-Cache": "on"})
        for _ in range(2)
    )

    assert [each.json()["results"][0]["id"] for each in (first, again)] == ["fox", "fox"]
    assert (first.headers["x-cache"], again.headers["x-cache"], again.headers["x-cost-usd"]) == ("miss", "hit", "0")


def test_its_embeddings_are_counted_as_such(keeper: Product) -> None:
    def embedded() -> int:
        usage = keeper.request("GET", "/v1/llm/embedding-usage", key=keeper.keys["bob"]).json()
        requests: int = usage["total_requests"]
        return requests

    _make(keeper, "counted", size=_SIZE, whose="bob")
    before = embedded()

    _put(keeper, "counted", {"id": "fox", "text": "a red fox"}, whose="bob", model=_MODEL)

    assert embedded() == before + 1
