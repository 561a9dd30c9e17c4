"""`/v1/vector/collections`: make, list, show and delete them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gateway.catalogue import Caller
from gateway.doors.telling import tell
from gateway.http import Exchange
from vectors import bodies, operations, queries
from vectors.bodies import NewCollection
from vectors.counting import counts
from vectors.entry import STORE, admit, client_of, named, read, read_body
from vectors.models import VectorCollection
from wire.errors import ApiError, Code

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway

PATH = "/v1/vector/collections"


async def create_collection(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`POST /v1/vector/collections`. The same collection may be asked for again.

    Where the store has not got it, because a process died in between or the store lost it, it is made there.
    """
    body = await read_body(gateway, exchange, NewCollection)
    distance = bodies.distance_of(body.distance)
    await admit(gateway, door, exchange, caller)
    STORE.require()
    row, is_new = await read(
        operations.add,
        client_id=client_of(caller),
        name=body.collection_name,
        size=body.vector_size,
        distance=distance,
        model=body.model,
    )
    if is_new or not await STORE.exists(row.id):
        try:
            await STORE.create(row.id, size=row.size, distance=row.distance)
        except BaseException:  # cancelled too: no row without its collection
            if is_new:
                await read(operations.remove, row.id)
            raise
        if not await read(queries.exists, row.id):  # deleted meanwhile: nothing is in the store of which no row tells
            await STORE.drop(row.id)
            raise ApiError(Code.NOT_FOUND, "This collection was deleted just now.", param="collection_name")
    [described] = await _described([row])
    await tell(exchange, described)


async def list_collections(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`GET /v1/vector/collections`: the client's own."""
    await admit(gateway, door, exchange, caller)
    rows = await read(queries.of_client, client_of(caller))
    await tell(exchange, {"collections": await _described(rows)})


async def show_collection(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`GET /v1/vector/collections/{name}`."""
    await admit(gateway, door, exchange, caller)
    [described] = await _described([await named(caller, _name_in(exchange))])
    await tell(exchange, described)


async def delete_collection(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`DELETE /v1/vector/collections/{name}`, with all that is in it. Cut short, it can be repeated."""
    await admit(gateway, door, exchange, caller)
    row = await named(caller, _name_in(exchange))
    await STORE.drop(row.id)
    await read(operations.remove, row.id)
    await STORE.drop(row.id)  # who asked for it just now may have made it again
    await tell(exchange, {"collection_name": row.name, "deleted": True})


def _name_in(exchange: Exchange) -> str:
    name = exchange.path.removeprefix(f"{PATH}/")
    if not bodies.is_name(name):
        raise ApiError(Code.NOT_FOUND, "No collection can have that name.", param="collection_name")
    return name


async def _described(rows: Sequence[VectorCollection]) -> list[dict[str, Any]]:
    points = await counts(STORE, [row.id for row in rows])
    return [
        {
            "collection_name": row.name,
            "vector_size": row.size,
            "distance": row.distance,
            "model": row.model or None,
            "points_count": count,
            "created_at": row.created_at,
        }
        for row, count in zip(rows, points, strict=True)
    ]
