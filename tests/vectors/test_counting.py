"""Collections are counted a few at a time: neither one after another, nor all at once."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from core.ids import uuid7
from core.vault import Secret
from tests.servers import PATIENCE_S
from tests.vectors.qdrant_server import API_KEY, QdrantServer
from vectors.counting import MOST_AT_ONCE, counts
from vectors.store import VectorStore
from wire.errors import ApiError, Code

pytestmark = pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")


class _Gathering(QdrantServer):
    """Counts are answered once so many are asked for together."""

    def __init__(self) -> None:
        super().__init__()
        self._together = threading.Barrier(MOST_AT_ONCE, timeout=PATIENCE_S)
        self._lock = threading.Lock()
        self._now = self.most = 0

    def result(self, method: str, path: list[str], body: Any) -> Any:
        if path[-1] != "count":
            return super().result(method, path, body)
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self._together.wait()
        with self._lock:
            self._now -= 1
            return super().result(method, path, body)


def _store(url: str, tmp_path: Path) -> VectorStore:
    return VectorStore(url=url, api_key=Secret(API_KEY), folder=tmp_path, one_process=False)


def test_a_few_are_asked_for_together_and_what_is_gone_is_unknown(tmp_path: Path) -> None:
    async def story(store: VectorStore) -> list[int | None]:
        collections = [uuid7() for _ in range(2 * MOST_AT_ONCE)]
        for each in collections[1:]:
            await store.create(each, size=2, distance="dot")
        try:
            return await counts(store, collections)
        finally:
            await store.close()

    with _Gathering() as server:
        found = asyncio.run(asyncio.wait_for(story(_store(server.url, tmp_path)), PATIENCE_S))

    assert found == [None, *([0] * (2 * MOST_AT_ONCE - 1))]
    assert server.most == MOST_AT_ONCE


def test_a_store_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    with QdrantServer() as server:
        url = server.url

    async def story(store: VectorStore) -> None:
        try:
            with pytest.raises(ApiError) as away:
                await counts(store, [uuid7() for _ in range(50)])
            assert away.value.code is Code.PROVIDER_UNAVAILABLE
        finally:
            await store.close()

    asyncio.run(asyncio.wait_for(story(_store(url, tmp_path)), PATIENCE_S))
