"""Google's adapter: where a call goes, what it carries, and what a refusal means."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from aiohttp import web

from core.http import open_session
from core.vault import Secret
from providers import dispatch
from providers.errors import CredentialRefusedError, ProviderFailureError, RateLimitedError, RejectedError
from providers.specs import CredentialSpec, DeploymentSpec
from tests.providers.topologies import deployment, sent_to
from wire import gemini, openai_chat, openai_embeddings

HELLO = b'{"contents":[{"parts":[{"text":"Hi"}]}]}'
MESSAGE = "API key g-secret-key-123 not valid."
ERROR_INFO, RETRY_INFO = "type.googleapis.com/google.rpc.ErrorInfo", "type.googleapis.com/google.rpc.RetryInfo"


def google(*, address: str = "https://g.example", **changes: Any) -> DeploymentSpec:
    target = deployment("p", "gemini-3.8-flash", kind="google")
    provider = msgspec.structs.replace(target.provider, address=address)
    return msgspec.structs.replace(target, provider=provider, **changes)


@pytest.mark.parametrize(("stream", "verb"), [(False, "generateContent"), (True, "streamGenerateContent?alt=sse")])
def test_the_url_names_the_model_and_says_whether_to_stream(*, stream: bool, verb: str) -> None:
    envelope = msgspec.structs.replace(gemini.open_chat(HELLO), model="any", stream=stream)

    sendable = dispatch.encode(envelope, gemini, google(), max_output_tokens=None)

    assert sendable.url == f"https://g.example/v1beta/models/gemini-3.8-flash:{verb}"
    assert sendable.body() == HELLO
    assert sendable.dialect is gemini


def test_embeddings_go_out_as_a_batch() -> None:
    envelope = openai_embeddings.open_embeddings(b'{"model":"any","input":"a"}')

    sendable = dispatch.encode(envelope, openai_embeddings, google(type="embedding"), max_output_tokens=None)

    assert sendable.url == "https://g.example/v1beta/models/gemini-3.8-flash:batchEmbedContents"
    assert json.loads(sendable.body())["requests"][0]["model"] == "models/gemini-3.8-flash"


def test_a_models_defaults_fill_what_the_call_leaves_open() -> None:
    target = google(defaults={"temperature": 0.2, "top_k": 4, "stop": ["END"]})
    own = gemini.open_chat(HELLO[:-1] + b',"generation_config":{"temperature":0.9}}')
    translated = openai_chat.open_chat(b'{"model":"m","temperature":0.9,"messages":[{"role":"user","content":"Hi"}]}')

    for envelope, caller in ((own, gemini), (translated, openai_chat)):
        sent = json.loads(dispatch.encode(envelope, caller, target, max_output_tokens=7).body())
        assert sent["generationConfig"] == {
            "temperature": 0.9,
            "topK": 4,
            "stopSequences": ["END"],
            "maxOutputTokens": 7,
        }


def _refused(status: int, error: Any) -> ProviderFailureError:
    """What comes of a call that Google answers so."""
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        return web.json_response(error, status=status)

    async def call() -> None:
        app = web.Application()
        app.router.add_post("/v1beta/models/{name}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        target = google(address=f"http://127.0.0.1:{runner.addresses[0][1]}")
        key = CredentialSpec(target.id, "first", Secret("g-secret-key-123"))
        sendable = dispatch.encode(gemini.open_chat(HELLO), gemini, target, max_output_tokens=None)
        try:
            async with open_session() as session:
                await sent_to(session, target, key, sendable)
        finally:
            await runner.cleanup()

    with pytest.raises(ProviderFailureError) as caught:
        asyncio.run(call())
    assert asked[0].headers["x-goog-api-key"] == "g-secret-key-123"
    return caught.value


@pytest.mark.parametrize("reason", ["API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED"])
def test_a_bad_key_is_not_the_callers_fault(reason: str) -> None:
    info = {"@type": ERROR_INFO, "reason": reason, "domain": "googleapis.com"}

    failure = _refused(
        400, {"error": {"code": 400, "message": MESSAGE, "status": "INVALID_ARGUMENT", "details": [info]}}
    )

    assert isinstance(failure, CredentialRefusedError)
    assert failure.detail == "API key ••••-123 not valid."


def test_nor_is_an_account_that_must_be_paid_for() -> None:
    failure = _refused(400, [{"error": {"code": 400, "message": "Enable billing.", "status": "FAILED_PRECONDITION"}}])

    assert isinstance(failure, CredentialRefusedError)


def test_a_bad_call_is() -> None:
    failure = _refused(400, {"error": {"code": 400, "message": "No such field.", "status": "INVALID_ARGUMENT"}})

    assert isinstance(failure, RejectedError)
    assert failure.detail == "No such field."


def test_when_to_come_back_is_in_the_body() -> None:
    details = [{"@type": RETRY_INFO, "retryDelay": "3.5s"}]

    failure = _refused(429, {"error": {"code": 429, "message": "Quota.", "details": details}})

    assert isinstance(failure, RateLimitedError)
    assert failure.retry_after_s == 3.5


@pytest.mark.parametrize("told", ["nonsense", [], {}, {"error": 1}, [[]]])
def test_what_is_no_error_of_google_s_is_judged_by_its_status(told: Any) -> None:
    assert isinstance(_refused(400, told), RejectedError)
