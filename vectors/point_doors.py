"""`/v1/vector/points` and `/v1/vector/search`: write, delete and find points, by vector or by text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from gateway.catalogue import Caller
from gateway.doors.telling import tell
from gateway.http import JSON, Exchange
from vectors import operations, points
from vectors.bodies import NewPoints, Search, Unwanted, check_vector, require_one
from vectors.embedding import embed, model_for
from vectors.entry import STORE, admit, named, read, read_body
from vectors.filters import translate
from vectors.store import Query

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway


async def upsert_points(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`POST /v1/vector/points`: what is there under the same ids is replaced."""
    body = await read_body(gateway, exchange, NewPoints)
    texts = points.texts(body.points)
    if not texts:
        await admit(gateway, door, exchange, caller)
    row = await named(caller, body.collection_name)
    STORE.require()
    model = model_for(row, body.model)
    drafts = await asyncio.to_thread(points.drafts, row, body.points)  # whatever is wrong, nothing is paid for it
    headers = [JSON]
    vectors: Iterator[Sequence[float]] = iter(())
    if texts:
        await STORE.require_collection(row.id)  # nor for what could not be kept
        embedded = await embed(gateway, door, exchange, caller, texts=texts, model=model, end_user=body.user_id)
        vectors = iter(points.checked(row, embedded, points.text_fields(body.points)))
        headers += embedded.headers
        if embedded.model != row.model:
            await read(operations.claim_model, row.id, embedded.model)
    await STORE.upsert(row.id, [draft.with_vector(vectors) for draft in drafts])
    told = {"collection_name": row.name, "upserted": len(drafts)}
    await exchange.answer(200, msgspec.json.encode(told), headers)


async def delete_points(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`DELETE /v1/vector/points`. Ids that are not there are no error."""
    body = await read_body(gateway, exchange, Unwanted)
    await admit(gateway, door, exchange, caller)
    row = await named(caller, body.collection_name)
    await STORE.delete(row.id, [points.point_id(row.id, str(each)) for each in body.ids])
    await tell(exchange, {"collection_name": row.name, "deleted": True})


async def search(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`POST /v1/vector/search`."""
    body = await read_body(gateway, exchange, Search)
    require_one(body.query_vector, body.text, field="query_vector", name="query_vector")
    condition = translate(body.filter) if body.filter else None
    if body.text is None:
        await admit(gateway, door, exchange, caller)
    row = await named(caller, body.collection_name)
    STORE.require()
    vector: Sequence[float] = body.query_vector or ()
    headers = [JSON]
    if body.text is None:
        check_vector(vector, size=row.size, distance=row.distance, field="query_vector")
    else:
        model = model_for(row, body.model)
        await STORE.require_collection(row.id)  # before the text is paid for
        embedded = await embed(gateway, door, exchange, caller, texts=[body.text], model=model, end_user=body.user_id)
        [vector] = points.checked(row, embedded, ["text"])
        headers += embedded.headers
    found = await STORE.search(row.id, Query(vector, body.limit, body.score_threshold, condition))
    results = [points.told(hit) for hit in found]
    await exchange.answer(200, msgspec.json.encode({"results": results}), headers)
