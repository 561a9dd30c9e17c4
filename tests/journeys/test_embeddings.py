"""Texts become vectors, and the books know what that cost."""

from __future__ import annotations

import base64
import struct
from typing import Any

from tests.journeys import operating
from tests.product import Answer, Product


def _embed(product: Product, **body: Any) -> Answer:
    return product.request("POST", "/v1/embeddings", body=body, key=product.key)


def test_texts_become_vectors_and_a_row(house: Product) -> None:
    answer = _embed(house, model="demo-embedding", input=["a red fox", "a red fox", "prices of steel"], user="carol")

    body = answer.json()
    fox, again, steel = (each["embedding"] for each in body["data"])
    assert answer.status == 200
    assert (body["model"], body["usage"]) == ("demo-embedding", {"prompt_tokens": 9, "total_tokens": 9})
    assert fox == again != steel
    row = operating.row_of(house, answer)
    assert (row["surface"], row["input_tokens"], row["output_tokens"], row["evidence"]) == (
        "openai.embeddings",
        9,
        0,
        "reported",
    )
    assert (row["status"], row["end_user"], row["cost_pico"]) == ("ok", "carol", 9 * 1_000_000)


def test_base64_holds_the_same_numbers(house: Product) -> None:
    numbers = _embed(house, model="demo-embedding", input="a red fox", dimensions=8).json()["data"][0]["embedding"]

    packed = _embed(house, model="demo-embedding", input="a red fox", dimensions=8, encoding_format="base64")

    unpacked = struct.unpack("<8f", base64.b64decode(packed.json()["data"][0]["embedding"]))
    assert [round(number, 6) for number in unpacked] == [round(number, 6) for number in numbers]


def test_what_is_wrong_is_named(house: Product) -> None:
    missing = _embed(house, model="demo-embedding")
    chat = house.chat(model="demo-embedding")

    assert (missing.status, missing.json()["error"]["param"]) == (400, "input")
    assert (chat.status, chat.json()["error"]["code"]) == (404, "MODEL_NOT_FOUND")
