"""Qdrant, on a thread of its own: a server, or the embedded store on this machine's disk.

Both are the same client. The embedded one blocks, and lets in one process alone; either takes its time to pack large
vectors. So all of it happens on the event loop of one thread, which is started, and Qdrant imported, when the first
call comes for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import msgspec
import structlog

from core.vault import Secret
from vectors.filters import Condition
from vectors.thread import LoopThread
from wire.errors import ApiError, Code

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

log = structlog.get_logger(__name__)

MOST_WAITING = 100
SERVER_TIMEOUT_S = 10
_RETRY_AFTER_S = 5
_SET_UP_S = 3_600  # an administrator must change a setting first: no client should sleep that out
_PREFIX = "aip_"
_DISTANCES = {"cosine": "Cosine", "dot": "Dot", "euclid": "Euclid"}
T = TypeVar("T")


class Point(msgspec.Struct, frozen=True):
    """`payload` is what Qdrant keeps, the caller's own id and payload in it."""

    id: UUID
    vector: Sequence[float]
    payload: dict[str, Any]


class Query(msgspec.Struct, frozen=True):
    vector: Sequence[float]
    limit: int
    score_threshold: float | None
    filter: Condition | None


class Hit(msgspec.Struct, frozen=True):
    score: float
    payload: dict[str, Any]


class VectorStore:
    """One per process. Collections are named by the id of their row.

    All raise `ApiError`: PROVIDER_UNAVAILABLE where Qdrant is away or may not be used, QUEUE_FULL, and NOT_FOUND for a
    collection that is not there.
    """

    def __init__(self, *, url: str, api_key: Secret | None, folder: Path, one_process: bool) -> None:
        self._url = url
        self._api_key = api_key
        self._folder = folder
        self._one_process = one_process
        self._waiting = 0
        self._thread = LoopThread("vectors")
        self._client: AsyncQdrantClient | None = None

    def require(self) -> None:
        """Raises `ApiError` where this process can keep no vectors."""
        if not self._url and not self._one_process:
            raise ApiError(
                Code.PROVIDER_UNAVAILABLE,
                "Vectors need QDRANT_URL here: the embedded store serves one web process, and not production.",
                retry_after_s=_SET_UP_S,
            )

    async def create(self, collection: UUID, *, size: int, distance: str) -> None:
        """Nothing happens where it is there already."""

        async def work(client: AsyncQdrantClient) -> None:
            from qdrant_client import models  # noqa: PLC0415 - takes a second or two, and most installations never ask
            from qdrant_client.http.exceptions import UnexpectedResponse  # noqa: PLC0415 - as above

            params = models.VectorParams(size=size, distance=models.Distance(_DISTANCES[distance]))
            try:
                await client.create_collection(_name(collection), vectors_config=params)
            except (ValueError, UnexpectedResponse):
                if not await client.collection_exists(_name(collection)):
                    raise
            if not self._url:
                _write_ahead(self._folder / "collection" / _name(collection))

        await self._do(collection, work)

    async def exists(self, collection: UUID) -> bool:
        async def work(client: AsyncQdrantClient) -> bool:
            return await client.collection_exists(_name(collection))

        return await self._do(collection, work)

    async def require_collection(self, collection: UUID) -> None:
        """Raises `ApiError` where nothing could be written to it, or found in it."""
        if not await self.exists(collection):
            raise _gone()

    async def drop(self, collection: UUID) -> None:
        """Nothing happens where it is gone already."""

        async def work(client: AsyncQdrantClient) -> None:
            await client.delete_collection(_name(collection))

        await self._do(collection, work)

    async def count(self, collection: UUID) -> int:
        async def work(client: AsyncQdrantClient) -> int:
            return (await client.count(_name(collection), exact=True)).count

        return await self._do(collection, work)

    async def upsert(self, collection: UUID, points: Sequence[Point]) -> None:
        """What is there under the same ids is replaced. Searches that begin from now on see them."""

        async def work(client: AsyncQdrantClient) -> None:
            from qdrant_client import models  # noqa: PLC0415 - as above

            packed = [
                models.PointStruct(id=str(point.id), vector=list(point.vector), payload=point.payload)
                for point in points
            ]
            await client.upsert(_name(collection), points=packed, wait=True)

        await self._do(collection, work)

    async def delete(self, collection: UUID, ids: Sequence[UUID]) -> None:
        async def work(client: AsyncQdrantClient) -> None:
            await client.delete(_name(collection), points_selector=[str(each) for each in ids], wait=True)

        await self._do(collection, work)

    async def search(self, collection: UUID, query: Query) -> list[Hit]:
        """The nearest first."""

        async def work(client: AsyncQdrantClient) -> list[Hit]:
            from qdrant_client import models  # noqa: PLC0415 - as above

            found = await client.query_points(
                _name(collection),
                query=list(query.vector),
                limit=query.limit,
                score_threshold=query.score_threshold,
                query_filter=models.Filter.model_validate(query.filter) if query.filter else None,
                with_payload=True,
            )
            return [Hit(each.score, each.payload or {}) for each in found.points]

        return await self._do(collection, work)

    async def close(self) -> None:
        """Let go of the folder, or of the connections."""
        client, self._client = self._client, None
        if client is not None:
            await self._thread.run(client.close())
        await self._thread.stop()

    async def _do(self, collection: UUID, work: Callable[[AsyncQdrantClient], Awaitable[T]]) -> T:
        self.require()
        if self._waiting >= MOST_WAITING:
            raise ApiError(Code.QUEUE_FULL, "The vector store has too much to do.", retry_after_s=_RETRY_AFTER_S)
        self._waiting += 1
        try:
            return await self._thread.run(self._work(collection, work))
        finally:
            self._waiting -= 1

    # --- on the thread ----------------------------------------------------------------------------------------------

    async def _work(self, collection: UUID, work: Callable[[AsyncQdrantClient], Awaitable[T]]) -> T:
        client = self._opened()
        from qdrant_client.http.exceptions import ApiException, UnexpectedResponse  # noqa: PLC0415 - as above

        try:
            return await work(client)
        except (ValueError, UnexpectedResponse) as error:  # embedded, and from a server
            if not await self._is_there(client, collection):
                raise _gone() from error
            if isinstance(error, ValueError):
                raise
            raise _away(error) from error
        except ApiException as error:
            raise _away(error) from error

    async def _is_there(self, client: AsyncQdrantClient, collection: UUID) -> bool:
        from qdrant_client.http.exceptions import ApiException  # noqa: PLC0415 - as above

        try:
            return await client.collection_exists(_name(collection))
        except ApiException as error:
            raise _away(error) from error

    def _opened(self) -> AsyncQdrantClient:
        if self._client is None:
            from qdrant_client import AsyncQdrantClient  # noqa: PLC0415 - as above

            if self._url:
                key = self._api_key.reveal() if self._api_key else None
                self._client = AsyncQdrantClient(
                    url=self._url, api_key=key, timeout=SERVER_TIMEOUT_S, check_compatibility=False
                )
            else:
                self._client = self._embedded()
        return self._client

    def _embedded(self) -> AsyncQdrantClient:
        from qdrant_client import AsyncQdrantClient  # noqa: PLC0415 - as above

        try:
            return AsyncQdrantClient(path=str(self._folder))
        except RuntimeError as error:  # its folder is locked
            log.warning("the vectors are in use by another process", folder=str(self._folder))
            raise ApiError(
                Code.PROVIDER_UNAVAILABLE,
                "Another process has the vectors open: several need QDRANT_URL.",
                retry_after_s=_RETRY_AFTER_S,
            ) from error


def _gone() -> ApiError:
    return ApiError(Code.NOT_FOUND, "This collection's vectors are gone: make it again.")


def _name(collection: UUID) -> str:
    return _PREFIX + collection.hex


def _write_ahead(folder: Path) -> None:
    """Each point is a commit of the embedded store's: with a write-ahead log it costs one fsync instead of several.

    SQLite remembers the mode in the file.
    """
    for file in folder.glob("*.sqlite"):
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def _away(error: Exception) -> ApiError:
    log.warning("Qdrant does not serve", error=str(error) or type(error).__name__)
    return ApiError(Code.PROVIDER_UNAVAILABLE, "The vector store does not answer.", retry_after_s=_RETRY_AFTER_S)
