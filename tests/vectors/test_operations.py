"""Rows of collections: each client's own, of one model, and not too many."""

from __future__ import annotations

import pytest
from django.db import IntegrityError
from django.db.models import ProtectedError

from accounts.models import Client
from core.ids import uuid7
from vectors import operations, queries
from vectors.models import VectorCollection
from wire.errors import ApiError, Code


def _add(client: Client, name: str = "docs", *, size: int = 2, model: str = "") -> tuple[VectorCollection, bool]:
    return operations.add(client_id=client.id, name=name, size=size, distance="cosine", model=model)


def test_the_same_again_is_the_same(cast: dict[str, Client]) -> None:
    made, is_new = _add(cast["alice"])

    assert is_new
    assert _add(cast["alice"]) == (made, False)
    assert _add(cast["bob"])[1]


def test_another_under_the_same_name_is_refused(cast: dict[str, Client]) -> None:
    _add(cast["alice"], model="ada")

    for other in ({"size": 3}, {"model": "babbage"}):
        with pytest.raises(ApiError, match="2 numbers, cosine, texts by ada") as caught:
            _add(cast["alice"], **other)
        assert caught.value.param == "collection_name"


def test_a_client_has_so_many_and_no_more(cast: dict[str, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAX_COLLECTIONS", 2)
    for name in ("one", "two"):
        _add(cast["alice"], name)

    with pytest.raises(ApiError, match="at most 2 collections"):
        _add(cast["alice"], "three")
    assert _add(cast["bob"], "three")[1]


def test_names_are_looked_up_inside_their_client(cast: dict[str, Client]) -> None:
    made, _ = _add(cast["alice"])

    assert queries.named(cast["alice"].id, "docs") == made
    assert queries.of_client(cast["bob"].id) == []
    with pytest.raises(ApiError, match="There is none yet") as caught:
        queries.named(cast["bob"].id, "docs")
    assert caught.value.code is Code.NOT_FOUND


def test_the_first_model_claims_a_collection(cast: dict[str, Client]) -> None:
    made, _ = _add(cast["alice"])

    operations.claim_model(made.id, "ada")
    operations.claim_model(made.id, "ada")

    with pytest.raises(ApiError, match="embedded with ada"):
        operations.claim_model(made.id, "babbage")
    made.refresh_from_db()
    assert made.model == "ada"


def test_nobody_claims_what_was_deleted(cast: dict[str, Client]) -> None:
    with pytest.raises(ApiError) as caught:
        operations.claim_model(uuid7(), "ada")

    assert caught.value.code is Code.NOT_FOUND


def test_the_database_holds_to_it(cast: dict[str, Client]) -> None:
    made, _ = _add(cast["alice"])

    with pytest.raises(ProtectedError):
        cast["alice"].delete()
    with pytest.raises(IntegrityError):
        VectorCollection.objects.create(client=made.client, name=made.name, size=9, distance="dot")
