"""A real model server, llama.cpp, added through the admin's own form and called through the platform."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from typing import Any

import ollama
import openai
import pytest

from tests.clients import tiny_model
from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.admin_session import AdminSession
from tests.product import Product
from tests.servers import PATIENCE_S, Server

KEY = "sk-canary-llama"
MODEL = "tiny-llama"
NATIVE = "tiny-llama-itself"
INPUT_PICO, CACHED_PICO, OUTPUT_PICO = 300_000, 75_000, 1_250_000  # $0.30, $0.075 and $1.25 a million


class Llama(Server):
    def command(self) -> list[str]:
        return [sys.executable, tiny_model.__file__, str(self.folder / "tiny.gguf"), str(self.port), KEY, MODEL]

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    server = Llama(tmp_path_factory.mktemp("llama"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def platform(new_product: NewProduct, llama: Llama) -> Iterator[Product]:
    """An administrator has added the server as a custom provider, with its key, model and prices, on one page."""
    with new_product() as running:
        admin = AdminSession(running)
        page = "/admin/providers/provider/add/"
        admin.submit(page, admin.form(page) | filled_in(llama))
        endpoint = f"http://127.0.0.1:{llama.port}/v1"
        operating.add_provider(running, name="llama-itself", kind="openai", endpoint=endpoint, model=NATIVE, apiKey=KEY)
        yield running


def filled_in(llama: Llama) -> dict[str, str]:
    return {
        "name": "Our llama",
        "slug": "our-llama",
        "kind": "custom",
        "base_url": f"http://127.0.0.1:{llama.port}/v1",
        "credentials-0-label": "main",
        "credentials-0-new_key": KEY,
        "deployments-0-name": MODEL,
        "deployments-0-input_price": "0.30",
        "deployments-0-output_price": "1.25",
        "deployments-0-cached_price": "0.075",
    }


@pytest.fixture
def client(platform: Product) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=platform.url("/v1"), api_key=platform.key, max_retries=0) as client:
        yield client


def test_it_answers_and_is_billed_for_what_it_reports(platform: Product, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Once upon a time"}], max_tokens=24, temperature=0
    )

    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 24
    check_row(platform, answer._request_id or "", answer.usage)


def test_it_streams_and_is_billed_for_what_it_reports(platform: Product, client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Once upon a time, in a far country"}],
        max_tokens=24,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
        request_id = stream.response.headers["x-request-id"]

    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 1
    assert chunks[-1].usage is not None
    check_row(platform, request_id, chunks[-1].usage)


def test_its_own_complaint_reaches_the_caller(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="context"):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x " * 3_000}])


def check_row(platform: Product, request_id: str, usage: openai.types.CompletionUsage) -> None:
    cached = (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0
    row = operating.row(platform, request_id)

    assert (row["provider"], row["deployment"], row["credential"]) == ("our-llama", MODEL, "main")
    assert (row["status"], row["evidence"]) == ("ok", "reported")
    assert (row["input_tokens"], row["cached_input_tokens"]) == (usage.prompt_tokens, cached)
    assert row["output_tokens"] == usage.completion_tokens
    assert row["cost_pico"] == (
        (usage.prompt_tokens - cached) * INPUT_PICO + cached * CACHED_PICO + usage.completion_tokens * OUTPUT_PICO
    )


@pytest.mark.parametrize("model", [MODEL, NATIVE])
def test_it_answers_and_streams_in_openai_s_newer_api(platform: Product, client: openai.OpenAI, model: str) -> None:
    """Translated at the custom provider; by llama.cpp itself where it was added as an OpenAI."""
    asked: Any = {"model": model, "input": "Once upon a time", "max_output_tokens": 24, "temperature": 0}

    plain = client.responses.create(**asked)
    with client.responses.create(**asked, stream=True) as stream:
        events = list(stream)
        request_id = stream.response.headers["x-request-id"]

    last: Any = events[-1]
    assert plain.output_text
    assert len([event for event in events if event.type == "response.output_text.delta"]) > 1
    assert last.response.output_text == plain.output_text
    row = operating.row(platform, request_id)
    assert (row["status"], row["evidence"]) == ("ok", "reported")
    assert (row["input_tokens"], row["output_tokens"]) == (
        last.response.usage.input_tokens,
        last.response.usage.output_tokens,
    )


def test_it_answers_and_streams_to_ollama_s_client(platform: Product) -> None:
    messages = [{"role": "user", "content": "Once upon a time"}]
    options = {"num_predict": 24, "temperature": 0}
    with ollama.Client(platform.base_url, headers={"Authorization": f"Bearer {platform.key}"}) as client:
        plain = client.chat(MODEL, messages, options=options)
        chunks = list(client.chat(MODEL, messages, options=options, stream=True))

    assert plain.message.content == "".join(chunk.message.content or "" for chunk in chunks)
    assert (plain.eval_count, plain.done_reason) == (chunks[-1].eval_count, chunks[-1].done_reason)
