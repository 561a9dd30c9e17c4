"""A table's rows in memory, of which those alone are made anew that have changed since they were last looked at.

Every row is read each time, as the driver gives it, which costs little; turning it into values and making something of
them costs much. Whether a row has changed is told by a digest of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from types import SimpleNamespace
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import QuerySet

from gateway.loading.pace import Pace

_SLICE = 200  # rows fetched at a time: the driver keeps other threads waiting meanwhile
_DIGEST_BYTES = 12

Made = TypeVar("Made")
Key = TypeVar("Key", bound=Hashable)
Parts = TypeVar("Parts")


class Table(Generic[Made]):
    """`made`: what `make` made of each row of `rows`, by its id and in their order.

    `make` gets the columns as attributes. `version` grows with every change. For one thread.
    """

    def __init__(self, rows: QuerySet[Any], columns: Sequence[str], make: Callable[[Any], Made]) -> None:
        self.made: dict[UUID, Made] = {}
        self.version = 0
        self._rows = rows
        self._columns = ("pk", *columns)
        self._make = make
        self._known: dict[Any, tuple[bytes, UUID, Made]] = {}

    def refresh(self, pace: Pace) -> None:
        """Look at the rows. Raises django.db.Error; what was known remains then."""
        found: dict[Any, tuple[bytes, UUID, Made]] = {}
        changes = 0
        compiler = self._rows.values_list(*self._columns).query.get_compiler(connection=connection)
        with connection.cursor() as cursor:
            cursor.execute(*compiler.as_sql())
            while rows := cursor.fetchmany(_SLICE):
                new: list[tuple[Any, bytes, Any]] = []
                for row in pace.over(rows):
                    mark, known = _digest(row), self._known.get(row[0])
                    if known is not None and known[0] == mark:
                        found[row[0]] = known
                    else:
                        found[row[0]] = (mark, row[0], row[0])  # its place in the order
                        new.append((row[0], mark, row))
                changes += len(new)
                values = compiler.results_iter(results=[[row for *_, row in new]])
                for (place, mark, _), each in zip(new, pace.over(values), strict=True):
                    made = self._make(SimpleNamespace(**dict(zip(self._columns, each, strict=True))))
                    found[place] = (mark, each[0], made)
        if changes or len(found) != len(self.made):
            self._known = found
            self.made = {key: made for _, key, made in found.values()}
            self.version += 1

    def forget(self) -> None:
        """Make every row anew next time: what they are made with has changed."""
        self._known = {}


def remade(
    known: Mapping[Key, tuple[Parts, Made]],
    parts: Iterable[tuple[Key, Parts]],
    make: Callable[[Parts], Made],
) -> dict[Key, tuple[Parts, Made]]:
    """Everything's parts, and what was made of them; where they are those of `known`, nothing is made anew."""
    found: dict[Key, tuple[Parts, Made]] = {}
    for key, its in parts:
        before = known.get(key)
        found[key] = before if before is not None and before[0] == its else (its, make(its))
    return found


def made_of(known: Mapping[Key, tuple[Parts, Made]]) -> Iterator[tuple[Key, Made]]:
    for key, (_, made) in known.items():
        yield key, made


def _digest(row: Sequence[Any]) -> bytes:
    return blake2b(_encode(row), digest_size=_DIGEST_BYTES).digest()


_encode = msgspec.msgpack.Encoder().encode
