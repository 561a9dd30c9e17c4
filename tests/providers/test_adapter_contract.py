"""What every adapter owes: one suite for all kinds, the demo among them.

Each is asked in every caller's dialect, so that it both passes calls through and translates them. Over a real socket it
speaks to a host that keeps what it was sent and answers in the adapter's own dialect, and to the scripted provider,
which knows nothing of our code. What dialects themselves promise is told in tests/wire.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from core.http import open_session
from core.vault import Secret
from providers import dispatch, loops
from providers.adapters import ADAPTERS, Answer
from providers.errors import (
    BadGenerationError,
    CredentialRefusedError,
    DisconnectedError,
    ProviderFailureError,
    RateLimitedError,
    RejectedError,
    UnknownModelError,
    UnreachableError,
    UpstreamError,
)
from providers.kinds import KINDS
from providers.specs import CredentialSpec, DeploymentSpec
from tests import upstream as upstream_module
from tests import upstream_gemini, upstream_ollama, upstream_responses
from tests.providers.topologies import deployment, key, sent_to
from tests.upstream import DEFAULT_WORDS, Upstream
from wire import (
    anthropic_messages,
    gemini,
    gemini_embeddings,
    ollama,
    ollama_embeddings,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from wire.dialect import Dialect, EmbeddingDialect, Envelope
from wire.errors import ApiError, Code
from wire.neutral import (
    ChatRequest,
    ChatResponse,
    Choice,
    EmbeddingRequest,
    Finished,
    FinishReason,
    Image,
    Message,
    Metered,
    ResponseFormat,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)

MODEL = "house-large"
KEY = "sk-canary-of-the-contract-93ab"
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n-not-quite-a-picture").decode()
SCHEMA = {"type": "object", "properties": {"harvest": {"type": "string"}}, "required": ["harvest"]}
WEATHER = Tool(name="get_weather", description="Of a town.", parameters={"type": "object", "properties": {}})
MAX_EVENT_BYTES = 1_000_000

KINDS_OVER_HTTP = [kind for kind in ADAPTERS if kind != "demo"]
every_kind = pytest.mark.parametrize("kind", ADAPTERS)
over_http = pytest.mark.parametrize("kind", KINDS_OVER_HTTP)
CALLERS = [openai_chat, anthropic_messages, openai_responses, gemini, ollama]
every_caller = pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
T = TypeVar("T")


@dataclass
class Host:
    """Answers everything with what it was given, and keeps the requests. `cut`: it says nothing and hangs up.

    `promised_bytes`: so much its answer says to have, and it hangs up in the middle.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False
    promised_bytes: int | None = None
    paths: list[str] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path_qs)
        self.seen.append({name.lower(): value for name, value in request.headers.items()})
        self.sent.append(await request.read())
        if self.cut:
            assert request.transport is not None
            request.transport.close()
        if self.promised_bytes is not None:
            return await self._begin(request, self.promised_bytes)
        return web.Response(status=self.status, headers=self.headers, body=self.body)

    async def _begin(self, request: web.Request, promised_bytes: int) -> web.StreamResponse:
        begun = web.StreamResponse(status=self.status, headers=self.headers)
        begun.content_length = promised_bytes
        await begun.prepare(request)
        await begun.write(self.body)
        assert request.transport is not None
        request.transport.close()  # what is written goes out before
        return begun


def ask(text: str = "Hello", **more: Any) -> ChatRequest:
    more.setdefault("messages", (Message("user", (Text(text),)),))
    return ChatRequest(model="whatever", max_output_tokens=640, **more)


def target(kind: str, address: str) -> DeploymentSpec:
    spec = deployment("house", MODEL, kind=kind, keys=(_credential(),))
    return msgspec.structs.replace(spec, provider=msgspec.structs.replace(spec.provider, address=address))


def _credential() -> CredentialSpec:
    return msgspec.structs.replace(key("main"), secret=Secret(KEY))


def opened(caller: Dialect, request: ChatRequest) -> Envelope:
    """As the caller's door opens it; Gemini's takes the model, and whether to stream, from the path."""
    envelope = caller.open_chat(caller.encode_chat(request))
    return msgspec.structs.replace(envelope, model=request.model, stream=request.stream)


def spoken(kind: str, caller: Dialect) -> Dialect:
    """What is spoken at a provider of that kind when a caller of that dialect calls."""
    chats = ADAPTERS[kind].chats
    return next((chat for chat in chats if chat.dialect is caller), chats[0]).dialect


async def _send(
    host: Host,
    kind: str,
    caller: Dialect,
    request: ChatRequest,
    use: Callable[[Answer, Dialect], Awaitable[T]],
    *,
    forwarded: dict[str, str] | None = None,
) -> T:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", host.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        return await _send_to(f"http://127.0.0.1:{server.port}", kind, caller, request, use, forwarded=forwarded)


async def _send_to(
    address: str,
    kind: str,
    caller: Dialect,
    request: ChatRequest,
    use: Callable[[Answer, Dialect], Awaitable[T]],
    *,
    forwarded: dict[str, str] | None = None,
) -> T:
    there = target(kind, address)
    async with open_session() as session:
        call = dispatch.encode(opened(caller, request), caller, there, max_output_tokens=None)
        answer = await sent_to(session, there, _credential(), call, forwarded)
        try:
            return await use(answer, spoken(kind, caller))
        finally:
            answer.close()


async def read(answer: Answer, dialect: Dialect) -> ChatResponse:
    return dialect.decode_response(await answer.read())


async def read_stream(answer: Answer, dialect: Dialect) -> list[StreamEvent]:
    splitter, decoder = dialect.splitter(max_event_bytes=MAX_EVENT_BYTES), dialect.decoder()
    events: list[StreamEvent] = []
    while (chunk := await answer.next_chunk()) is not None:
        for event in splitter.feed(chunk):
            events += decoder.decode(event)
    return events


def plain(
    host: Host,
    kind: str,
    caller: Dialect,
    request: ChatRequest | None = None,
    *,
    forwarded: dict[str, str] | None = None,
) -> ChatResponse:
    return asyncio.run(_send(host, kind, caller, request or ask(), read, forwarded=forwarded))


def streamed(host: Host, kind: str, caller: Dialect) -> list[StreamEvent]:
    return asyncio.run(_send(host, kind, caller, ask(stream=True), read_stream))


def scripted(kind: str, caller: Dialect, *parts: Any, finish: FinishReason = "stop") -> Host:
    """A host that says `parts` in the words of its kind."""
    choice = Choice(0, parts or (Text("Good day."),), finish)
    usage = Usage(input_tokens=11, output_tokens=7)
    response = ChatResponse(id="r-1", model=MODEL, choices=(choice,), usage=usage, created=1)
    return Host(body=spoken(kind, caller).encode_response(response), headers={"Content-Type": "application/json"})


# --- the registry -------------------------------------------------------------------------------------------------


def test_every_kind_has_an_adapter_and_every_adapter_a_kind() -> None:
    assert set(ADAPTERS) == set(KINDS)


@over_http
def test_the_key_goes_in_a_header_and_nowhere_else(kind: str) -> None:
    host = scripted(kind, openai_chat)
    plain(host, kind, openai_chat)
    assert [name for name, value in host.seen[0].items() if KEY in value] in (
        ["authorization"],
        ["x-api-key"],
        ["x-goog-api-key"],
        ["api-key"],
    )
    assert KEY not in host.paths[0]
    assert KEY.encode() not in host.sent[0]


@over_http
def test_of_a_callers_headers_those_go_along_that_mean_something_there(kind: str) -> None:
    host = scripted(kind, openai_chat)
    plain(host, kind, openai_chat, forwarded={"anthropic-beta": "newer-1", "x-whim": "mine"})
    assert host.seen[0].get("anthropic-beta") == ("newer-1" if kind == "anthropic" else None)
    assert "x-whim" not in host.seen[0]
    assert loops.HEADER.lower() in host.seen[0]


@over_http
def test_without_a_key_no_header_is_sent_in_its_place(kind: str) -> None:
    headers = ADAPTERS[kind].headers(target(kind, "http://h"), None)
    assert not {"authorization", "x-api-key", "x-goog-api-key", "api-key"} & {name.lower() for name in headers}


@over_http
def test_the_model_is_named_as_the_provider_calls_it(kind: str) -> None:
    host = scripted(kind, openai_chat)
    plain(host, kind, openai_chat)
    assert MODEL in host.paths[0] or msgspec.json.decode(host.sent[0])["model"] == MODEL
    assert b"whatever" not in host.sent[0]


# --- answers ------------------------------------------------------------------------------------------------------


@every_kind
@every_caller
def test_a_plain_answer(kind: str, caller: Dialect) -> None:
    response = plain(scripted(kind, caller), kind, caller)
    [choice] = response.choices
    said = "".join(part.text for part in choice.parts if isinstance(part, Text))
    assert "Good day." in said or "demo provider" in said
    assert choice.finish == "stop"
    assert response.usage is not None
    assert response.usage.input_tokens
    assert response.usage.output_tokens


@every_kind
@every_caller
def test_a_streamed_answer(kind: str, caller: Dialect) -> None:
    encoder = spoken(kind, caller).encoder(show_usage=True)
    usage = Usage(input_tokens=11, output_tokens=7)
    said: list[StreamEvent] = [
        Started("r-1", MODEL, 1),
        TextDelta("Good "),
        TextDelta("day."),
        Finished("stop"),
        Metered(usage),
    ]
    body = b"".join(map(encoder.encode, said)) + encoder.close()
    host = Host(body=body, headers={"Content-Type": spoken(kind, caller).stream_type.decode()})

    events = streamed(host, kind, caller)

    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert text == "Good day." or "demo provider" in text
    assert [event.finish for event in events if isinstance(event, Finished)] == ["stop"]
    metered = [event.usage for event in events if isinstance(event, Metered)][-1]
    assert metered.input_tokens
    assert metered.output_tokens


@over_http
@every_caller
def test_an_answer_that_was_cut_off_by_its_bound_says_so(kind: str, caller: Dialect) -> None:
    host = scripted(kind, caller, Text("Good"), finish="length")
    assert plain(host, kind, caller).choices[0].finish == "length"


@over_http
@every_caller
def test_a_tool_call(kind: str, caller: Dialect) -> None:
    host = scripted(kind, caller, ToolCall("call_1", "get_weather", '{"town": "Ulm"}'), finish="tool_calls")

    request = ask(tools=(WEATHER,), tool_choice=ToolChoice("auto"))
    [choice] = plain(host, kind, caller, request).choices

    assert b"get_weather" in host.sent[0]
    [call] = [part for part in choice.parts if isinstance(part, ToolCall)]
    assert (call.name, msgspec.json.decode(call.arguments)) == ("get_weather", {"town": "Ulm"})
    assert choice.finish == "tool_calls"


@over_http
@every_caller
def test_a_tools_result_goes_back(kind: str, caller: Dialect) -> None:
    host = scripted(kind, caller)
    messages = (
        Message("user", (Text("The weather?"),)),
        Message("assistant", (ToolCall("call_1", "get_weather", '{"town": "Ulm"}'),)),
        Message("user", (ToolResult("call_1", (Text("It rains frogs."),)),)),
    )
    plain(host, kind, caller, ask(messages=messages, tools=(WEATHER,)))
    for said in (b"get_weather", b"Ulm", b"It rains frogs."):
        assert said in host.sent[0]


@over_http
@every_caller
def test_a_picture_goes_along(kind: str, caller: Dialect) -> None:
    host = scripted(kind, caller)
    parts = (Text("What is this?"), Image(data=PIXEL, media_type="image/png"))
    plain(host, kind, caller, ask(messages=(Message("user", parts),)))
    assert PIXEL.encode() in host.sent[0]


@over_http
def test_a_structured_answer_is_asked_for(kind: str) -> None:
    host = scripted(kind, openai_chat, Text('{"harvest": "plums"}'))
    wanted = ResponseFormat("json_schema", name="fruit", schema=SCHEMA, strict=True)
    response = plain(host, kind, openai_chat, ask(response_format=wanted))
    assert b'"harvest"' in host.sent[0]
    assert response.choices[0].parts == (Text('{"harvest": "plums"}'),)


@over_http
@every_caller
def test_what_ends_an_answer_and_how_it_is_drawn_go_along(kind: str, caller: Dialect) -> None:
    host = scripted(kind, caller)
    stop = () if caller is openai_responses else ("THE-END",)  # for which that API has no word
    plain(host, kind, caller, ask(stop=stop, temperature=0.25))
    assert all(text.encode() in host.sent[0] for text in stop)
    assert b"0.25" in host.sent[0]


@over_http
@every_caller
def test_the_bound_of_the_answer_goes_along(kind: str, caller: Dialect) -> None:
    host = scripted(kind, caller)
    plain(host, kind, caller)
    assert b":640" in host.sent[0]


# --- the scripted provider ----------------------------------------------------------------------------------------

FACES = {
    **upstream_gemini.FACES,
    **upstream_ollama.FACES,
    **upstream_responses.FACES,
    "/openai/v1/chat/completions": upstream_module._OpenAI(),
    "/openai/v1/responses": upstream_responses.Responses(),
}


@pytest.fixture(scope="module")
def many_faced() -> Iterator[Upstream]:
    with Upstream(FACES) as running:
        yield running


def _there(upstream: Upstream, kind: str) -> str:
    return upstream.url if kind in ("anthropic", "google", "ollama", "azure") else upstream.openai_url


@over_http
@every_caller
def test_the_scripted_provider_is_understood_word_by_word(many_faced: Upstream, kind: str, caller: Dialect) -> None:
    many_faced.reset()
    whole = asyncio.run(_send_to(_there(many_faced, kind), kind, caller, ask(), read))
    events = asyncio.run(_send_to(_there(many_faced, kind), kind, caller, ask(stream=True), read_stream))

    words = " ".join(f"word{number}" for number in range(DEFAULT_WORDS))
    assert whole.choices[0].parts == (Text(words),)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)).strip() == words
    first, second = many_faced.bill
    assert [first.stream, second.stream] == [False, True]
    assert whole.usage is not None
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (first.input_tokens, first.output_tokens)
    if second.reported:
        last = [event.usage for event in events if isinstance(event, Metered)][-1]
        assert (last.input_tokens, last.output_tokens) == (second.input_tokens, second.output_tokens)
    else:
        assert kind == "mistral"  # which tells its usage unasked; the scripted provider does not


# --- failures -----------------------------------------------------------------------------------------------------


@over_http
@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (202, UpstreamError),
        (302, UpstreamError),
        (400, RejectedError),
        (401, CredentialRefusedError),
        (402, CredentialRefusedError),
        (403, CredentialRefusedError),
        (404, RejectedError),
        (408, UpstreamError),
        (409, RejectedError),
        (413, RejectedError),
        (422, RejectedError),
        (429, RateLimitedError),
        (500, UpstreamError),
        (503, UpstreamError),
        (529, UpstreamError),
    ],
)
def test_errors_are_told_apart(kind: str, status: int, failure: type[ProviderFailureError]) -> None:
    refusal = ApiError(Code.INVALID_REQUEST, f"Not with {KEY}.")
    body = spoken(kind, openai_chat).encode_error(refusal, request_id="r-1")
    host = Host(status, {"Retry-After": "7", "Location": "http://127.0.0.1:9/"}, body)
    with pytest.raises(ProviderFailureError) as caught:
        plain(host, kind, openai_chat)
    assert type(caught.value) is failure
    assert caught.value.status == status
    assert KEY not in caught.value.detail
    assert len(host.sent) == 1
    if status in (429, 503):
        assert caught.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        ("2.5", 2.5),
        ("-3", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("999999", 86_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_when_to_come_back_is_a_count_or_a_date_and_at_most_a_day_away(said: str, wait_s: float | None) -> None:
    with pytest.raises(RateLimitedError) as caught:
        plain(Host(429, {"Retry-After": said}), "custom", openai_chat)
    assert caught.value.retry_after_s == wait_s


_UNKNOWN = {
    "anthropic": b'{"type":"error","error":{"type":"not_found_error","message":"model: house-large"}}',
    "google": b'{"error":{"code":404,"message":"models/house-large is not found","status":"NOT_FOUND"}}',
    "ollama": b'{"error":"model \'house-large\' not found"}',
    "azure": b'{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}',
    "custom": b'{"object":"error","message":"The model `house-large` does not exist.","code":404}',
}


@over_http
def test_a_model_that_the_provider_does_not_know_may_be_known_elsewhere(kind: str) -> None:
    openais = b'{"error":{"message":"No such model.","type":"invalid_request_error","code":"model_not_found"}}'
    with pytest.raises(UnknownModelError) as caught:
        plain(Host(404, {}, _UNKNOWN.get(kind, openais)), kind, openai_chat)
    assert caught.value.status == 404
    assert caught.value.retryable


@over_http
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error":{"message":"Gone.","type":"invalid_request_error","code":"model_decommissioned"}}'),
        (400, b'{"object":"error","message":"Invalid model: house-large","type":"invalid_model","code":"1500"}'),
        (400, b'{"error":{"message":"Model Not Exist","type":"invalid_request_error","code":"invalid_request_error"}}'),
        (400, b'{"error":{"message":"Not here.","type":"invalid_request_error","code":"model_not_found"}}'),
    ],
)
def test_some_say_with_another_status_that_they_do_not_know_a_model(kind: str, status: int, body: bytes) -> None:
    with pytest.raises(UnknownModelError) as caught:
        plain(Host(status, {}, body), kind, openai_chat)
    assert caught.value.status == status


@pytest.mark.parametrize("code", ["tool_use_failed", "json_validate_failed"])
def test_what_a_model_made_badly_is_not_the_callers_fault(code: str) -> None:
    """Groq says it with the status of a bad call."""
    error = {"message": "Failed to call a function.", "type": "invalid_request_error", "code": code}
    with pytest.raises(BadGenerationError) as caught:
        plain(Host(400, {}, msgspec.json.encode({"error": error})), "groq", openai_chat)
    failure = caught.value
    assert (failure.fault, failure.retryable, failure.repeatable, failure.counts) == ("provider", True, True, False)


@over_http
@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "'temperature' must be 1 for house-large."),
        (404, "No such File object: file-Qhouse-largeXyz"),
        (404, "No such File object: house-large-2"),
    ],
)
def test_a_models_name_in_other_words_says_nothing_of_the_model(kind: str, status: int, message: str) -> None:
    body = msgspec.json.encode({"error": {"message": message, "type": "invalid_request_error", "code": None}})
    with pytest.raises(RejectedError) as caught:
        plain(Host(status, {}, body), kind, openai_chat)
    assert type(caught.value) is RejectedError


@over_http
@pytest.mark.parametrize(
    "body",
    [
        b"<html><head><title>404 Not Found</title></head></html>",
        b"default backend - 404",
        b'{"detail":"Not Found"}',
        b'{"type":"error","error":{"type":"not_found_error","message":"Not Found"}}',
        b'{"error":{"message":"Invalid URL (POST /v2/chat/completions)","type":"invalid_request_error"}}',
        b'{"error":{"message":"Unknown request URL: POST /chat/completions. Please check.","code":"unknown_url"}}',
        b'{"error":{"code":"404","message":"Resource not found"}}',
    ],
)
def test_a_404_that_speaks_of_nothing_is_about_the_address_and_none_of_the_callers(kind: str, body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        plain(Host(404, {}, body), kind, openai_chat)
    assert caught.value.status == 404
    assert caught.value.counts
    assert caught.value.retryable


@over_http
def test_an_error_without_a_body_of_its_kind_is_told_by_its_status(kind: str) -> None:
    with pytest.raises(UpstreamError, match="502"):
        plain(Host(502, {}, b"<html>Bad gateway</html>"), kind, openai_chat)


@over_http
@pytest.mark.parametrize(("status", "failure"), [(400, RejectedError), (429, RateLimitedError), (503, UpstreamError)])
def test_an_error_whose_body_breaks_off_keeps_its_status(
    kind: str, status: int, failure: type[ProviderFailureError]
) -> None:
    host = Host(status, {"Retry-After": "7"}, b'{"error": {"message": "Slow d', promised_bytes=1_000)
    with pytest.raises(ProviderFailureError) as caught:
        plain(host, kind, openai_chat)
    assert (type(caught.value), caught.value.status) == (failure, status)
    assert caught.value.detail == f"house answered {status}."
    if status != 400:
        assert caught.value.retry_after_s == 7


@over_http
def test_a_connection_that_breaks_was_sent(kind: str) -> None:
    with pytest.raises(DisconnectedError) as caught:
        plain(Host(cut=True), kind, openai_chat)
    assert caught.value.sent


@over_http
def test_where_nothing_listens_nothing_was_sent(kind: str) -> None:
    async def send() -> None:
        async with open_session() as session:
            there = target(kind, "http://127.0.0.1:9")
            call = dispatch.encode(
                openai_chat.open_chat(openai_chat.encode_chat(ask())), openai_chat, there, max_output_tokens=None
            )
            await sent_to(session, there, None, call)

    with pytest.raises(UnreachableError) as caught:
        asyncio.run(send())
    assert not caught.value.sent


# --- what single kinds are known for ------------------------------------------------------------------------------

THOUGHT = (
    Message("user", (Text("The weather?"),)),
    Message("assistant", (Thinking("I should ask."), ToolCall("call_1", "get_weather", "{}"))),
    Message("user", (ToolResult("call_1", (Text("It rains."),)),)),
)


def sent(kind: str, request: ChatRequest, caller: Any = anthropic_messages) -> dict[str, Any]:
    call = dispatch.encode(opened(caller, request), caller, target(kind, "https://h.example"), max_output_tokens=None)
    body: dict[str, Any] = msgspec.json.decode(call.body())
    return body


def test_deepseek_is_told_what_it_thought_before_it_called_a_tool() -> None:
    """It answers 400 otherwise: https://api-docs.deepseek.com/guides/thinking_mode."""
    chat = ADAPTERS["deepseek"].chats[0]
    body = msgspec.json.decode(chat.encode(ask(messages=THOUGHT, tools=(WEATHER,))))
    assert body["messages"][1]["reasoning_content"] == "I should ask."


ELSEWHERE = (
    Message("user", (Text("The weather?"),)),
    Message("assistant", (Thinking("Signed.", "by-another"), ToolCall("toolu_1", "get_weather", "{}"))),
    Message("user", (ToolResult("toolu_1", (Text("It rains."),)),)),
    Message("assistant", (Text("It rains."),)),
    Message("user", (Text("And now?"),)),
)


@every_caller
def test_deepseek_finds_a_thought_on_calls_that_others_made(caller: Dialect) -> None:
    body = sent("deepseek", ask(messages=ELSEWHERE, tools=(WEATHER,)), caller)
    assert [message.get("reasoning_content") for message in body["messages"]] == [None, " ", None, None, None]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, " "),
        ({"reasoning_content": None}, " "),
        ({"reasoning_content": ""}, " "),
        ({"reasoning_content": "Hm."}, "Hm."),
    ],
)
def test_deepseeks_own_callers_may_leave_the_thought_out_too(said: dict[str, Any], told: str) -> None:
    made = {"id": "one", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": [made], **said}]
    envelope = openai_chat.open_chat(msgspec.json.encode({"model": "m", "messages": messages}))
    call = dispatch.encode(envelope, openai_chat, target("deepseek", "https://h.example"), max_output_tokens=None)
    assert [message.get("reasoning_content") for message in msgspec.json.decode(call.body())["messages"]] == [
        None,
        told,
    ]


@pytest.mark.parametrize(("effort", "thinking"), [("none", {"type": "disabled"}), ("high", None), (None, None)])
def test_deepseek_is_told_not_to_think(effort: str | None, thinking: dict[str, str] | None) -> None:
    body = sent("deepseek", ask(reasoning_effort=effort))
    assert body.get("thinking") == thinking
    assert body.get("reasoning_effort") == (None if effort == "none" else effort)


@every_caller
def test_mistral_gets_ids_of_calls_that_it_takes(caller: Dialect) -> None:
    body = sent("mistral", ask(messages=ELSEWHERE, tools=(WEATHER,)), caller)
    _, call, result, *_ = body["messages"]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert re.fullmatch("[a-zA-Z0-9]{9}", result["tool_call_id"])


@pytest.mark.parametrize("foreign", ["Ab3dEf6h9-and-more", "Ab3dEf6h9ZZ", "short"])
def test_also_where_they_begin_as_its_own_do(foreign: str) -> None:
    messages = (
        Message("user", (Text("The weather?"),)),
        Message("assistant", (ToolCall(foreign, "get_weather", "{}"),)),
        Message("user", (ToolResult(foreign, (Text("It rains."),)),)),
    )
    body = sent("mistral", ask(messages=messages, tools=(WEATHER,)), openai_chat)
    assert re.fullmatch("[a-zA-Z0-9]{9}", body["messages"][2]["tool_call_id"])
    assert body["messages"][2]["tool_call_id"] not in foreign


def test_and_its_own_ids_stay() -> None:
    made = {"id": "Ab3dEf6h9", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = [
        {"role": "user", "content": "Hi", "tool_calls": None, "tool_call_id": None},
        {"role": "assistant", "content": "", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "Ab3dEf6h9", "content": "x"},
    ]
    envelope = openai_chat.open_chat(msgspec.json.encode({"model": "m", "messages": said}))
    call = dispatch.encode(envelope, openai_chat, target("mistral", "https://h.example"), max_output_tokens=None)
    assert msgspec.json.decode(call.body())["messages"] == said


ADDED = (
    Message("user", (Text("The weather?"),)),
    Message("assistant", (ToolCall("one", "get_weather", "{}"), ToolCall("two", "get_weather", "{}"))),
    Message("user", (ToolResult("one", (Text("Rain."),)), ToolResult("two", (Text("Sun."),)), Text("Where is which?"))),
)


@every_caller
def test_mistral_finds_a_word_between_a_tools_result_and_what_the_user_adds(caller: Dialect) -> None:
    body = sent("mistral", ask(messages=ADDED, tools=(WEATHER,)), caller)
    *_, result, between, added = body["messages"]
    assert [message["role"] for message in body["messages"]].count("assistant") == 2
    assert (result["role"], between["role"], added["role"]) == ("tool", "assistant", "user")
    assert (between["content"], added["content"]) == ("Understood.", "Where is which?")
    assert "Understood." not in str(sent("custom", ask(messages=ADDED, tools=(WEATHER,)), caller))


@pytest.mark.parametrize("kind", ["groq", "mistral", "cerebras"])
def test_hosts_that_refuse_unknown_fields_are_not_told(kind: str) -> None:
    """Groq: "property 'reasoning_content' is unsupported"; Mistral and Cerebras: extra inputs are not permitted."""
    chat = ADAPTERS[kind].chats[0]
    body = msgspec.json.decode(chat.encode(ask(messages=THOUGHT, tools=(WEATHER,))))
    assert "reasoning_content" not in body["messages"][1]
    assert body["messages"][1]["tool_calls"][0]["function"]["name"] == "get_weather"


@pytest.mark.parametrize("kind", ["groq", "mistral", "cerebras"])
def test_nor_where_the_caller_speaks_their_dialect(kind: str) -> None:
    thought = {"role": "assistant", "content": "Sunny.", "reasoning_content": "Hm.", "name": "reasoning_content"}
    said = [{"role": "user", "content": "Hi"}, thought, {"role": "user", "content": "reasoning_content?"}]
    envelope = openai_chat.open_chat(msgspec.json.encode({"model": "m", "messages": said}))
    call = dispatch.encode(envelope, openai_chat, target(kind, "https://h.example"), max_output_tokens=None)
    del thought["reasoning_content"]
    assert msgspec.json.decode(call.body())["messages"] == said


def test_what_is_no_message_is_the_hosts_to_refuse() -> None:
    envelope = openai_chat.open_chat(b'{"model": "m", "messages": ["reasoning_content"]}')
    call = dispatch.encode(envelope, openai_chat, target("groq", "https://h.example"), max_output_tokens=None)
    assert msgspec.json.decode(call.body())["messages"] == ["reasoning_content"]


@every_caller
def test_mistral_gets_no_field_that_it_does_not_know(caller: Dialect) -> None:
    body = sent("mistral", ask(stream=True, end_user="u-7"), caller)
    assert not {"stream_options", "user", "max_completion_tokens"} & body.keys()
    assert body["max_tokens"] == 640
    said = [{"role": "user", "content": "Hi"}]
    newer = {"model": "m", "messages": said, "max_completion_tokens": 5, "seed": 3, "stream": True}
    newer["safety_identifier"] = "u-8"
    envelope = openai_chat.open_chat(msgspec.json.encode(newer))
    call = dispatch.encode(envelope, openai_chat, target("mistral", "https://h.example"), max_output_tokens=None)
    assert msgspec.json.decode(call.body()) == {
        "model": MODEL,
        "messages": said,
        "stream": True,
        "max_tokens": 5,
        "random_seed": 3,
    }


@pytest.mark.parametrize("caller", [openai_embeddings, gemini_embeddings, ollama_embeddings], ids=lambda it: it.name)
def test_mistral_is_told_how_long_vectors_are_to_be_in_its_own_word(caller: EmbeddingDialect) -> None:
    """`dimensions`, `user` and `safety_identifier` are extra inputs there, and refused."""
    asked = EmbeddingRequest("m", ("a",), dimensions=256, end_user="u-7")
    opened = caller.open_embeddings(caller.encode_embeddings(asked))
    fields = opened.fields
    if caller is openai_embeddings:
        fields = fields | {"safety_identifier": msgspec.Raw(b'"u-8"')}
    envelope = msgspec.structs.replace(opened, fields=fields, end_user="u-7")
    call = dispatch.encode(envelope, caller, target("mistral", "https://h.example"), max_output_tokens=None)
    body = msgspec.json.decode(call.body())
    assert body == {"model": MODEL, "input": ["a"], "output_dimension": 256}


@pytest.mark.parametrize(
    ("message", "failure", "status"),
    [
        ("Your credit balance is too low to access the Anthropic API.", CredentialRefusedError, 402),
        ("You have reached your specified API usage limits. You will regain access on …", CredentialRefusedError, 402),
        ("You have reached your specified workspace API usage limits. You will regain …", CredentialRefusedError, 402),
        ("This organization has been disabled.", CredentialRefusedError, 402),
        ("max_tokens: Field required", RejectedError, 400),
        ("messages.0: Your credit balance is too low", RejectedError, 400),
    ],
)
def test_an_account_of_anthropic_s_that_may_not_call_is_not_the_callers_fault(
    message: str, failure: type[ProviderFailureError], status: int
) -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    with pytest.raises(ProviderFailureError) as caught:
        plain(Host(400, {}, msgspec.json.encode(error)), "anthropic", openai_chat)
    assert (type(caught.value), caught.value.status, caught.value.detail) == (failure, status, message)


def test_anthropic_is_told_which_version_of_its_api_is_spoken() -> None:
    """It answers 400 otherwise."""
    host = scripted("anthropic", openai_chat)
    plain(host, "anthropic", openai_chat)
    assert host.seen[0]["anthropic-version"] == "2023-06-01"


def test_azure_is_called_by_its_deployments_name_on_the_v1_path() -> None:
    host = scripted("azure", openai_chat)
    plain(host, "azure", openai_chat)
    assert host.paths == ["/openai/v1/chat/completions"]
    assert host.seen[0]["api-key"] == KEY
    assert msgspec.json.decode(host.sent[0])["model"] == MODEL
    imposed = dispatch.encode(
        openai_chat.open_chat(b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}'),
        openai_chat,
        target("azure", "https://h.example"),
        max_output_tokens=9,
    )
    assert msgspec.json.decode(imposed.body())["max_completion_tokens"] == 9


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("openai", "/embeddings"),
        ("azure", "/openai/v1/embeddings"),
        ("mistral", "/embeddings"),
        ("ollama", "/api/embed"),
        ("google", f"/v1beta/models/{MODEL}:batchEmbedContents"),
    ],
)
def test_where_vectors_are_asked_for(kind: str, path: str) -> None:
    embeddings = ADAPTERS[kind].embeddings
    assert embeddings is not None
    assert embeddings.url(target(kind, "https://h.example")) == f"https://h.example{path}"


def test_an_organization_of_openai_s_is_named() -> None:
    there = target("openai", "https://h.example")
    of_one = msgspec.structs.replace(there, provider=msgspec.structs.replace(there.provider, organization="org-7"))
    assert ADAPTERS["openai"].headers(of_one, None)["OpenAI-Organization"] == "org-7"
    assert "OpenAI-Organization" not in ADAPTERS["openai"].headers(there, None)


def test_the_demo_gives_one_answer_and_ends_it_at_its_bound() -> None:
    whole = plain(Host(), "demo", openai_chat).choices[0]
    assert isinstance(whole.parts[0], Text)
    words = len(re.findall(r"\w+|[^\w\s]", whole.parts[0].text))

    def asked(bound: int) -> Choice:
        request = msgspec.structs.replace(ask(), max_output_tokens=bound)
        return plain(Host(), "demo", openai_chat, request).choices[0]

    assert asked(words) == whole
    assert asked(words - 1).finish == "length"
    with pytest.raises(RejectedError, match="one answer"):
        plain(Host(), "demo", openai_chat, ask(choices=2))
