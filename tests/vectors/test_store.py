"""The store, embedded and with a server: the same calls, the same answers."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from core.ids import uuid7
from core.vault import Secret
from tests import environment
from tests.servers import PATIENCE_S
from tests.vectors.qdrant_server import API_KEY, QdrantServer
from vectors import store as stores
from vectors.filters import translate
from vectors.store import Hit, Point, Query, VectorStore
from wire.errors import ApiError, Code

# The key goes to this machine alone; qdrant-client warns wherever there is no TLS.
pytestmark = pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")

NewStore = Callable[[], VectorStore]


@pytest.fixture
def server() -> Iterator[QdrantServer]:
    with QdrantServer() as running:
        yield running


def _with(server: QdrantServer, tmp_path: Path, key: str = API_KEY) -> VectorStore:
    return VectorStore(url=server.url, api_key=Secret(key), folder=tmp_path, one_process=False)


@pytest.fixture(params=["embedded", "server"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> NewStore:
    if request.param == "server":
        running: QdrantServer = request.getfixturevalue("server")
        return lambda: _with(running, tmp_path)
    return lambda: VectorStore(url="", api_key=None, folder=tmp_path / "vectors", one_process=True)


def _play(store: VectorStore, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        try:
            await story()
        finally:
            await store.close()

    asyncio.run(asyncio.wait_for(whole(), PATIENCE_S))


def _point(collection: UUID, name: str, *vector: float, **payload: Any) -> Point:
    return Point(uuid5(collection, name), vector, {"id": name, "payload": payload})


def _query(*vector: float, limit: int = 10, threshold: float | None = None, **condition: Any) -> Query:
    return Query(vector, limit, threshold, translate(condition) if condition else None)


def _ids(hits: list[Hit]) -> list[str]:
    return [hit.payload["id"] for hit in hits]


def test_keeps_finds_and_forgets(new_store: NewStore) -> None:
    store, docs = new_store(), uuid7()

    async def story() -> None:
        await store.create(docs, size=2, distance="cosine")
        await store.upsert(docs, [_point(docs, "east", 1, 0, n=1), _point(docs, "north", 0, 2, n=2.5, tags=["a", "b"])])
        await store.upsert(docs, [_point(docs, "east", 3, 0.1, n=3)])

        found = await store.search(docs, _query(0, 1))
        assert _ids(found) == ["north", "east"]
        assert found[0].score == pytest.approx(1)
        assert found[1].payload == {"id": "east", "payload": {"n": 3}}
        assert _ids(await store.search(docs, _query(0, 1, limit=1))) == ["north"]
        assert _ids(await store.search(docs, _query(0, 1, threshold=0.9))) == ["north"]
        assert await store.count(docs) == 2

        await store.delete(docs, [uuid5(docs, "north"), uuid5(docs, "nobody")])
        assert _ids(await store.search(docs, _query(0, 1))) == ["east"]

    _play(store, story)


def test_one_that_is_there_already_is_made_no_more(new_store: NewStore) -> None:
    store, docs = new_store(), uuid7()

    async def story() -> None:
        assert not await store.exists(docs)
        await store.create(docs, size=2, distance="cosine")
        await store.upsert(docs, [_point(docs, "east", 1, 0)])
        await store.create(docs, size=2, distance="cosine")
        assert await store.exists(docs)
        assert await store.count(docs) == 1

    _play(store, story)


def test_filters_choose(new_store: NewStore) -> None:
    store, docs = new_store(), uuid7()
    points = [
        _point(docs, "a", 1, 0, n=1, on=True, at={"city": "Oslo"}),
        _point(docs, "b", 1, 0, n=2, on=False, tags=["x", "y"]),
        _point(docs, "c", 1, 0, n=2.5, on=True, tags=["y"]),
        _point(docs, "d", 1, 0, n=4.0, large=2**60),
        _point(docs, "e", 1, 0, n=True, large=2**60 + 1),
    ]

    async def story() -> None:
        await store.create(docs, size=2, distance="dot")
        await store.upsert(docs, points)

        async def chosen(**condition: Any) -> list[str]:
            return sorted(_ids(await store.search(docs, _query(1, 1, **condition))))

        assert await chosen(on=True) == ["a", "c"]
        assert await chosen(n=2) == ["b"]
        assert await chosen(n=2.5) == ["c"]
        assert await chosen(n=1) == ["a"]
        assert await chosen(n=4) == await chosen(n={"in": [4]}) == ["d"]
        assert await chosen(large=2**60) == await chosen(large={"in": [2**60]}) == ["d"]
        assert await chosen(n={"gte": 2}) == ["b", "c", "d"]
        assert await chosen(n={"gt": 1, "lt": 2.5}) == ["b"]
        assert await chosen(n={"in": [1, 2]}) == ["a", "b"]
        assert await chosen(tags="y") == ["b", "c"]
        assert await chosen(tags={"in": ["x", "z"]}) == ["b"]
        assert await chosen(any=[{"at.city": "Oslo"}, {"n": 2}]) == ["a", "b"]
        assert await chosen(on=True, must_not=[{"n": 1}]) == ["c"]
        assert await chosen(must_not=[{"on": True, "n": 1}]) == ["b", "c", "d", "e"]

    _play(store, story)


def test_the_nearest_is_first_by_each_distance(new_store: NewStore) -> None:
    store = new_store()
    nearest = {"cosine": "along", "dot": "long", "euclid": "close"}

    async def story() -> None:
        for distance, name in nearest.items():
            own = uuid7()
            points = [_point(own, "along", 0.1, 0.1), _point(own, "long", 9, 2), _point(own, "close", 1.2, 0.9)]
            await store.create(own, size=2, distance=distance)
            await store.upsert(own, points)
            assert _ids(await store.search(own, _query(1, 1)))[0] == name, distance

    _play(store, story)


def test_a_lost_collection_is_not_found(new_store: NewStore) -> None:
    store, docs = new_store(), uuid7()

    async def story() -> None:
        for attempt in (
            store.count(docs),
            store.search(docs, _query(1, 0)),
            store.upsert(docs, [_point(docs, "a", 1, 0)]),
        ):
            with pytest.raises(ApiError) as caught:
                await attempt
            assert caught.value.code is Code.NOT_FOUND
        await store.drop(docs)

    _play(store, story)


def test_the_loop_of_the_caller_stays_free(tmp_path: Path) -> None:
    """Writing hundreds of points takes the embedded store its time; others are served meanwhile."""
    store, docs = VectorStore(url="", api_key=None, folder=tmp_path, one_process=True), uuid7()

    async def story() -> None:
        await store.create(docs, size=2, distance="cosine")
        writing = asyncio.create_task(store.upsert(docs, [_point(docs, str(n), 1, n) for n in range(200)]))
        turns = 0
        while not writing.done():
            await asyncio.sleep(0)
            turns += 1
        await writing
        assert turns > 100

    _play(store, story)


def test_what_the_disk_keeps_is_there_again(tmp_path: Path) -> None:
    docs = uuid7()

    def embedded() -> VectorStore:
        return VectorStore(url="", api_key=None, folder=tmp_path, one_process=True)

    first, second = embedded(), embedded()

    async def write() -> None:
        await first.create(docs, size=2, distance="cosine")
        await first.upsert(docs, [_point(docs, "east", 1, 0)])

    async def read() -> None:
        assert _ids(await second.search(docs, _query(1, 0))) == ["east"]

    _play(first, write)
    _play(second, read)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # qdrant-client leaves its lock file open
def test_a_folder_serves_one_process(tmp_path: Path) -> None:
    first, second = (VectorStore(url="", api_key=None, folder=tmp_path, one_process=True) for _ in range(2))

    async def story() -> None:
        await first.create(uuid7(), size=2, distance="cosine")
        with pytest.raises(ApiError, match="several need QDRANT_URL") as caught:
            await second.count(uuid7())
        assert caught.value.code is Code.PROVIDER_UNAVAILABLE
        await second.close()

    _play(first, story)
    gc.collect()  # while its warning is expected


def test_several_processes_are_told_what_they_need(tmp_path: Path) -> None:
    store = VectorStore(url="", api_key=None, folder=tmp_path, one_process=False)

    async def story() -> None:
        with pytest.raises(ApiError, match="Vectors need QDRANT_URL here"):
            await store.count(uuid7())

    _play(store, story)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_away_or_refuses_us(server: QdrantServer, tmp_path: Path) -> None:
    wrong = _with(server, tmp_path, key="another-key")
    away = VectorStore(url="http://127.0.0.1:9", api_key=None, folder=tmp_path, one_process=False)

    async def story() -> None:
        for store in (wrong, away):
            with pytest.raises(ApiError, match="does not answer") as caught:
                await store.count(uuid7())
            assert caught.value.code is Code.PROVIDER_UNAVAILABLE
        await away.close()

    _play(wrong, story)


def test_who_serves_no_vectors_pays_nothing_for_them(tmp_path: Path) -> None:
    program = "import aiplatform.asgi, sys; print('qdrant_client' in sys.modules, 'numpy' in sys.modules)"
    env = {**environment.bare(), "STATE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=environment.ROOT, capture_output=True, check=True
    )

    assert done.stdout.split() == [b"False", b"False"]


def test_who_comes_when_too_many_wait_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MOST_WAITING", 2)
    store, docs = VectorStore(url="", api_key=None, folder=tmp_path, one_process=True), uuid7()

    async def story() -> None:
        await store.create(docs, size=2, distance="cosine")
        done = await asyncio.gather(*(store.count(docs) for _ in range(3)), return_exceptions=True)
        refused = [each for each in done if isinstance(each, ApiError)]
        assert [each.code for each in refused] == [Code.QUEUE_FULL]
        assert await store.count(docs) == 0

    _play(store, story)
