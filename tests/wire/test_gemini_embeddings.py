"""Google's API for embeddings: batches, and single texts as batches of one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from wire import gemini_embeddings, openai_embeddings
from wire.dialect import BadBodyError, EmbeddingDialect
from wire.errors import ApiError, Code
from wire.neutral import EmbeddingRequest, EmbeddingResponse, Usage

DIALECT: EmbeddingDialect = gemini_embeddings


def asked(text: str, **members: Any) -> dict[str, Any]:
    return {"content": {"parts": [{"text": text}]}} | members


def batch(*requests: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"requests": requests})


def test_a_batch_is_understood() -> None:
    envelope = gemini_embeddings.open_embeddings(
        batch(
            asked("a", model="models/x", taskType="RETRIEVAL_QUERY", output_dimensionality=8),
            asked("b", model="models/x", task_type="RETRIEVAL_QUERY", outputDimensionality=8),
        )
    )

    request = gemini_embeddings.decode_embeddings(msgspec.structs.replace(envelope, model="x"))

    assert request == EmbeddingRequest("x", ("a", "b"), dimensions=8, task="RETRIEVAL_QUERY")
    assert (envelope.kind, envelope.max_output_tokens) == ("embedding", 0)


def test_a_single_text_is_a_batch_of_one() -> None:
    envelope = gemini_embeddings.open_single(
        b'{"content":{"parts":{"text":"a"}},"title":"T","taskType":"RETRIEVAL_DOCUMENT"}'
    )

    request = gemini_embeddings.decode_embeddings(envelope)

    assert request == EmbeddingRequest("", ("a",), task="RETRIEVAL_DOCUMENT", title="T")


def test_the_model_is_replaced_in_every_request_and_all_else_stays() -> None:
    envelope = gemini_embeddings.open_embeddings(b'{"requests":[{"model":"models/x","content":{},"n":1e2},{}]}')

    rewritten = gemini_embeddings.rewrite_embeddings(envelope, model="theirs")

    assert rewritten == b'{"requests":[{"model":"models/theirs","content":{},"n":1e2},{"model":"models/theirs"}]}'


def test_a_request_survives_the_way_to_a_provider_and_back() -> None:
    request = EmbeddingRequest("m", ("a", "b"), dimensions=8, task="CLUSTERING", title="T")

    envelope = gemini_embeddings.open_embeddings(gemini_embeddings.encode_embeddings(request))

    assert gemini_embeddings.decode_embeddings(msgspec.structs.replace(envelope, model="m")) == request


def test_an_answer_survives_the_way_to_a_caller_and_back() -> None:
    response = EmbeddingResponse("", ((0.5, -1.0), (2.0,)), Usage(input_tokens=7))

    told = gemini_embeddings.encode_response(response, {})

    read = gemini_embeddings.decode_response(told)
    assert read.usage is not None
    assert msgspec.structs.replace(read, usage=msgspec.structs.replace(read.usage, raw=b"")) == response
    assert gemini_embeddings.read_result(told).usage == read.usage


def test_google_takes_a_hundred_texts_at_once() -> None:
    def encode(texts: int) -> bytes:
        return gemini_embeddings.encode_embeddings(EmbeddingRequest("m", ("a",) * texts))

    assert len(msgspec.json.decode(encode(100))["requests"]) == 100
    with pytest.raises(ApiError, match="at most 100") as caught:
        encode(101)
    assert (caught.value.code, caught.value.param) == (Code.UNSUPPORTED_FIELD, "texts")


def test_a_single_answer_keeps_its_numbers() -> None:
    told = b'{"embeddings":[{"values":[0.10,2e-3]}],"usageMetadata":{"promptTokenCount":3}}'

    assert gemini_embeddings.single(told) == (
        b'{"embedding":{"values":[0.10,2e-3]},"usageMetadata":{"promptTokenCount":3}}'
    )


def test_openai_s_caller_at_google() -> None:
    envelope = openai_embeddings.open_embeddings(b'{"model":"m","input":["a","b"],"dimensions":8,"user":"u"}')

    told = msgspec.json.decode(gemini_embeddings.encode_embeddings(openai_embeddings.decode_embeddings(envelope)))

    assert told["requests"] == [
        {"model": "models/m", "outputDimensionality": 8, "content": {"parts": [{"text": text}]}} for text in "ab"
    ]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{}", Code.INVALID_REQUEST, "requests"),
        (b'{"requests":[]}', Code.INVALID_REQUEST, "requests"),
        (b'{"requests":[{}]}', Code.INVALID_REQUEST, "requests[0]"),
        (batch(asked("a", outputDimensionality=0)), Code.INVALID_REQUEST, "requests[0].outputDimensionality"),
        (batch(asked("a", odd=1)), Code.UNSUPPORTED_FIELD, "requests[0].odd"),
        (
            batch({"content": {"parts": [{"inlineData": {}}]}}),
            Code.UNSUPPORTED_FIELD,
            "requests[0].content.parts[0].inlineData",
        ),
        (batch(asked("a", title="T"), asked("b")), Code.UNSUPPORTED_FIELD, "requests"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, code: Code, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        gemini_embeddings.decode_embeddings(gemini_embeddings.open_embeddings(body))

    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize("told", [b"{}", b"[", b'{"embeddings":[]}', b'{"error":{"message":"busy"}}'])
def test_what_is_no_answer_is_refused(told: bytes) -> None:
    with pytest.raises(BadBodyError):
        gemini_embeddings.read_result(told)
