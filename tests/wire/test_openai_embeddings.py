"""OpenAI's API for embeddings: what callers ask, and what the many hosts of it answer."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec
import pytest
from openai.types import CreateEmbeddingResponse

from wire import openai_embeddings
from wire.dialect import BadBodyError, EmbeddingDialect
from wire.errors import ApiError, Code
from wire.neutral import EmbeddingRequest, EmbeddingResponse, Usage

DIALECT: EmbeddingDialect = openai_embeddings
MOST_FLOAT = 3.4028234663852886e38  # of 32 bits


def asked(**fields: Any) -> EmbeddingRequest:
    body = {"model": "m", "input": "a"} | fields
    return openai_embeddings.decode_embeddings(openai_embeddings.open_embeddings(msgspec.json.encode(body)))


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


@pytest.mark.parametrize(
    ("fields", "request_"),
    [
        ({"input": "a"}, EmbeddingRequest("m", ("a",))),
        ({"input": ["a"] * 2048}, EmbeddingRequest("m", ("a",) * 2048)),
        ({"dimensions": 8, "user": "u"}, EmbeddingRequest("m", ("a",), dimensions=8, end_user="u")),
        ({"safety_identifier": "s", "encoding_format": "float"}, EmbeddingRequest("m", ("a",), end_user="s")),
        ({"user": "u", "safety_identifier": "s"}, EmbeddingRequest("m", ("a",), end_user="u")),
        ({"dimensions": None, "encoding_format": None, "user": None}, EmbeddingRequest("m", ("a",))),
    ],
)
def test_a_request_is_understood(fields: dict[str, Any], request_: EmbeddingRequest) -> None:
    assert asked(**fields) == request_


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"model": None}, Code.INVALID_REQUEST, "model"),
        ({"input": []}, Code.INVALID_REQUEST, "input"),
        ({"input": ["a"] * 2049}, Code.INVALID_REQUEST, "input"),
        ({"input": {"a": 1}}, Code.INVALID_REQUEST, "input"),
        ({"input": ["a", 1]}, Code.INVALID_REQUEST, "input"),
        ({"input": [1, 2]}, Code.UNSUPPORTED_FIELD, "input"),
        ({"input": [[1], [2, 3]]}, Code.UNSUPPORTED_FIELD, "input"),
        ({"dimensions": 0}, Code.INVALID_REQUEST, "dimensions"),
        ({"encoding_format": "hex"}, Code.INVALID_REQUEST, "encoding_format"),
        ({"odd": 1}, Code.UNSUPPORTED_FIELD, "odd"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], code: Code, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        asked(**fields)

    assert (caught.value.code, caught.value.param) == (code, param)


def test_an_envelope_tells_the_books_what_they_need() -> None:
    envelope = openai_embeddings.open_embeddings(b'{"input":["a","b"],"n":1e2}')

    assert (envelope.model, envelope.kind, envelope.input_bytes) == ("", "embedding", len('["a","b"]'))
    assert (envelope.stream, envelope.max_output_tokens, envelope.choices, envelope.show_usage) == (False, 0, 1, True)
    assert openai_embeddings.rewrite_embeddings(envelope, model="n") == b'{"input":["a","b"],"n":1e2,"model":"n"}'
    with pytest.raises(ApiError, match="'input'"):
        openai_embeddings.open_embeddings(b'{"model":"m"}')


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (EmbeddingRequest("m", ("a",)), {"model": "m", "input": ["a"]}),
        (
            EmbeddingRequest("m", ("a", "b"), dimensions=8, end_user="u"),
            {"model": "m", "input": ["a", "b"], "dimensions": 8, "user": "u"},
        ),
    ],
)
def test_a_host_is_sent_what_all_of_them_know(request_: EmbeddingRequest, body: dict[str, Any]) -> None:
    assert msgspec.json.decode(openai_embeddings.encode_embeddings(request_)) == body


@pytest.mark.parametrize("hint", ["task", "title"])
def test_google_s_hints_cannot_be_said(hint: str) -> None:
    with pytest.raises(ApiError) as caught:
        openai_embeddings.encode_embeddings(msgspec.structs.replace(EmbeddingRequest("m", ("a",)), **{hint: "x"}))

    assert (caught.value.code, caught.value.param) == (Code.UNSUPPORTED_FIELD, hint)


@pytest.mark.parametrize(
    "data",
    [
        [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [0.5, -1]}],
        [{"embedding": [0.5, -1]}, {"embedding": [2]}],
        [{"index": 0, "embedding": packed(0.5, -1.0)}, {"index": 1, "embedding": packed(2.0)}],
    ],
)
def test_an_answer_s_vectors_are_in_the_order_of_the_texts(data: list[dict[str, Any]]) -> None:
    body = msgspec.json.encode({"data": data, "model": "m-1", "usage": {"prompt_tokens": 7, "total_tokens": 7}})

    read = openai_embeddings.decode_response(body)

    assert (read.model, read.vectors) == ("m-1", ((0.5, -1.0), (2.0,)))
    assert read.usage is not None
    assert read.usage.input_tokens == 7
    told = openai_embeddings.read_result(body)
    assert (told.model, told.finish, told.usage, told.output_bytes) == ("m-1", None, read.usage, 0)


@pytest.mark.parametrize("told", [b"{}", b"[", b'{"data":[]}', b'{"error":{"message":"busy"}}'])
def test_what_is_no_answer_is_refused(told: bytes) -> None:
    for read in (openai_embeddings.read_result, openai_embeddings.decode_response):
        with pytest.raises(BadBodyError, match="busy" if b"busy" in told else "embeddings"):
            read(told)


@pytest.mark.parametrize("vector", ["AAAAAAA=", "AA", "AAA*AAAA", "Ä"])
def test_what_is_no_packed_vector_is_refused(vector: str) -> None:
    with pytest.raises(BadBodyError, match="not an embedding"):
        openai_embeddings.decode_response(msgspec.json.encode({"data": [{"embedding": vector}]}))


@pytest.mark.parametrize(
    ("asked_for", "vectors"),
    [
        (b"null", [[0.5, 1e39], [-1e39]]),
        (b'"float"', [[0.5, 1e39], [-1e39]]),
        (b'"base64"', [packed(0.5, MOST_FLOAT), packed(-MOST_FLOAT)]),
    ],
)
def test_a_caller_is_told_numbers_as_asked_for(asked_for: bytes, vectors: list[Any]) -> None:
    response = EmbeddingResponse("m", ((0.5, 1e39), (-1e39,)), Usage(input_tokens=7))

    body = openai_embeddings.encode_response(response, {"encoding_format": msgspec.Raw(asked_for)})

    read = CreateEmbeddingResponse.construct(**msgspec.json.decode(body))
    assert (read.object, read.model) == ("list", "m")
    assert (read.usage.prompt_tokens, read.usage.total_tokens) == (7, 7)
    assert [(each.object, each.index) for each in read.data] == [("embedding", 0), ("embedding", 1)]
    assert [each.embedding for each in read.data] == vectors


def test_a_caller_is_told_no_tokens_where_the_provider_told_none() -> None:
    told = msgspec.json.decode(openai_embeddings.encode_response(EmbeddingResponse("m", ((0.5,),), None), {}))

    assert told["usage"] == {"prompt_tokens": 0, "total_tokens": 0}
