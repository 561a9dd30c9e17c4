"""Google's own Python client, pointed at the platform by its base URL alone."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from tests.clients import captures
from tests.clients.captures import OSLO, PARIS
from tests.clients.replay import Replay
from tests.journeys import operating
from tests.product import Product
from tests.upstream import Fault, Upstream

WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"
PNG = "iVBORw0KGgo="
QUESTION = "Is it warmer in Paris or in Oslo?"
CITY = types.Schema(type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)})
WEATHER = types.FunctionDeclaration(name="weather", description="The weather in a city.", parameters=CITY)
ON_HANDS = types.AutomaticFunctionCallingConfig(disable=True)
SIGNATURE = b"only Google can read it"
MODELS = ["up-gemini", "up-chat", "up-claude"]


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(scope="module")
def house(gateway: Product, session_upstream: Upstream, session_replay: Replay) -> Product:
    """With Google among the providers."""
    operating.add_provider(gateway, name="googles", kind="google", endpoint=session_upstream.url, model="up-gemini")
    operating.add_provider(gateway, name="geminis", kind="google", endpoint=session_replay.url, model="gemini-replay")
    made = {"provider": "googles", "name": "up-vectors", "type": "embedding"}
    operating.manage(gateway, "POST", "/api/ai-providers/deployments", made)
    price = {"deployment": "googles/up-vectors", "inputPerMillion": "2.50", "outputPerMillion": "0"}
    operating.manage(gateway, "POST", "/api/ai-providers/prices", price)
    gateway.until_in_force()
    return gateway


@pytest.fixture
def client(house: Product) -> Iterator[genai.Client]:
    with _client(house) as client:
        yield client


def _client(house: Product, key: str = "") -> genai.Client:
    options = types.HttpOptions(base_url=house.base_url)
    return genai.Client(api_key=key or house.key, vertexai=False, http_options=options)


def _row(house: Product, response: types.GenerateContentResponse) -> dict[str, Any]:
    assert response.sdk_http_response is not None
    headers = {name.lower(): value for name, value in (response.sdk_http_response.headers or {}).items()}
    return operating.row(house, headers["x-request-id"])


def _used(response: types.GenerateContentResponse) -> tuple[int, int]:
    """All that went in, and all that came out."""
    usage = response.usage_metadata
    assert usage is not None
    assert usage.prompt_token_count is not None
    return usage.prompt_token_count, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)


def _call(house: Product, path: str, body: Any, **headers: str) -> Any:
    return house.request("POST", path, body=body, headers={"x-goog-api-key": house.key, **headers})


BODY: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}


# --- chats ---


def test_the_demo_answers(house: Product, client: genai.Client) -> None:
    answer = client.models.generate_content(model="demo", contents="Hello there")

    assert "Hello there" in (answer.text or "")
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    row = _row(house, answer)
    assert (row["input_tokens"], row["output_tokens"]) == _used(answer)
    assert (row["surface"], row["cost_pico"]) == (
        "gemini.generate",
        row["input_tokens"] * 1_000_000 + row["output_tokens"] * 2_000_000,
    )


def test_the_demo_streams_what_it_answers(client: genai.Client) -> None:
    config = types.GenerateContentConfig(max_output_tokens=30)
    plain = client.models.generate_content(model="demo", contents=QUESTION, config=config)

    chunks = list(client.models.generate_content_stream(model="demo", contents=QUESTION, config=config))

    assert "".join(chunk.text or "" for chunk in chunks) == plain.text
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert _used(chunks[-1]) == _used(plain)


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_is_billed_as_its_provider_bills_it(
    house: Product, client: genai.Client, upstream: Upstream, model: str
) -> None:
    answer = client.models.generate_content(model=model, contents=QUESTION)

    (bill,) = upstream.dispatches(model)
    assert answer.text == WORDS
    assert _used(answer) == (bill.input_tokens, bill.output_tokens)
    assert _row(house, answer)["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_is_billed_as_its_provider_bills_it(
    house: Product, client: genai.Client, upstream: Upstream, model: str
) -> None:
    chunks = list(client.models.generate_content_stream(model=model, contents=QUESTION))

    (bill,) = upstream.dispatches(model)
    assert "".join(chunk.text or "" for chunk in chunks).strip() == WORDS
    assert _used(chunks[-1]) == (bill.input_tokens, bill.output_tokens)
    assert _row(house, chunks[0])["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_and_what_was_cached_are_counted(
    house: Product, client: genai.Client, upstream: Upstream, *, stream: bool
) -> None:
    upstream.on("up-gemini", Fault(reasoning_tokens=30, cached_tokens=3))

    if stream:
        answer = list(client.models.generate_content_stream(model="up-gemini", contents=QUESTION))[-1]
    else:
        answer = client.models.generate_content(model="up-gemini", contents=QUESTION)

    (bill,) = upstream.dispatches("up-gemini")
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata.candidates_token_count, answer.usage_metadata.thoughts_token_count) == (8, 30)
    operating.settled(house)
    (row,) = house.sql("SELECT * FROM usage_usagerecord ORDER BY id DESC LIMIT 1")
    assert (row["input_tokens"], row["cached_input_tokens"]) == (bill.input_tokens, 3)
    assert (row["output_tokens"], row["reasoning_tokens"], row["evidence"]) == (38, 30, "reported")


@pytest.mark.parametrize("version", ["v1beta", "v1"])
def test_google_gets_the_caller_s_own_bytes(house: Product, upstream: Upstream, version: str) -> None:
    body = BODY | {"safetySettings": [{"category": "X", "threshold": "BLOCK_LOW_AND_ABOVE"}], "unknown": [1.5]}

    answer = _call(house, f"/{version}/models/up-gemini:generateContent", body)

    (bill,) = upstream.bill
    assert bill.body == body
    assert bill.path == "/v1beta/models/up-gemini:generateContent"
    assert bill.headers["x-goog-api-key"] == "sk-canary-googles"
    assert answer.json()["modelVersion"] == "up-gemini"
    assert answer.headers["x-provider"] == "googles"


@pytest.mark.parametrize("model", MODELS)
def test_without_sse_a_stream_is_an_array(house: Product, upstream: Upstream, model: str) -> None:
    answer = _call(house, f"/v1beta/models/{model}:streamGenerateContent", BODY)

    told = answer.json()
    text = "".join(part["text"] for each in told for part in each["candidates"][0]["content"]["parts"])
    assert answer.headers["content-type"].startswith("application/json")
    assert text.strip() == WORDS
    assert len(told) > 8
    (bill,) = upstream.dispatches(model)
    assert told[-1]["usageMetadata"]["promptTokenCount"] == bill.input_tokens
    assert operating.row_of(house, answer)["output_tokens"] == bill.output_tokens


def test_an_array_that_breaks_ends_in_an_error(house: Product, upstream: Upstream) -> None:
    upstream.on("up-gemini", Fault(cut_after=4))

    *answers, error = _call(house, "/v1beta/models/up-gemini:streamGenerateContent", BODY).json()

    assert len(answers) == 3
    assert error["error"]["status"] == "UNAVAILABLE"


@pytest.mark.parametrize("alt", ["?alt=sse", ""])
def test_who_leaves_in_mid_stream_is_billed_all_the_same(house: Product, upstream: Upstream, alt: str) -> None:
    upstream.on("up-gemini", Fault(chunk_s=0.05, words=40))
    path = f"/v1beta/models/up-gemini:streamGenerateContent{alt}"

    with house.opened("POST", path, body=BODY, headers={"x-goog-api-key": house.key}) as answer:
        assert answer.read(20)
        request_id = answer.headers["x-request-id"]

    row = operating.row(house, request_id)
    (bill,) = upstream.bill
    assert (row["status"], row["evidence"]) == ("cancelled", "reported")
    assert (row["input_tokens"], row["output_tokens"]) == (bill.input_tokens, bill.output_tokens)


def test_a_kept_answer_is_told_again_as_either_kind_of_stream(house: Product, upstream: Upstream) -> None:
    path, cached = "/v1beta/models/up-gemini:streamGenerateContent", {"X-Cache": "on"}
    body = {"contents": [{"parts": [{"text": "Keep this."}]}]}

    first = _call(house, f"{path}?alt=sse", body, **cached)
    again = _call(house, f"{path}?alt=sse", body, **cached)
    as_array = _call(house, path, body, **cached)

    assert [each.headers["x-cache"] for each in (first, again, as_array)] == ["miss", "hit", "hit"]
    assert again.text == first.text
    events = [json.loads(line.removeprefix("data: ")) for line in first.text.splitlines() if line]
    assert as_array.json() == events
    assert len(upstream.bill) == 1


def test_a_name_may_hold_slashes_and_colons(house: Product) -> None:
    full = _call(house, "/v1beta/models/googles/up-gemini:generateContent", BODY)
    colons = _call(house, "/v1beta/models/llama3:8b:generateContent", BODY)

    assert full.headers["x-provider"] == "googles"
    assert colons.status == 404
    assert "'llama3:8b'" in colons.json()["error"]["message"]


@pytest.mark.parametrize("model", ["up-gemini", "up-chat"])
def test_the_instruction_and_a_picture_reach_either_kind_of_provider(
    client: genai.Client, upstream: Upstream, model: str
) -> None:
    contents: list[str | types.Part | Any] = [
        "What is it?",
        types.Part.from_bytes(data=b64decode(PNG), mime_type="image/png"),
    ]
    config = types.GenerateContentConfig(system_instruction="Be terse.")

    client.models.generate_content(model=model, contents=contents, config=config)

    (bill,) = upstream.bill
    if model == "up-gemini":
        assert bill.body["systemInstruction"]["parts"] == [{"text": "Be terse."}]
        shown = bill.body["contents"][0]["parts"][1]["inlineData"]
        assert shown == {"mime_type": "image/png", "data": PNG}  # as the client writes it
    else:
        assert bill.body["messages"][0] == {"role": "system", "content": "Be terse."}
        assert bill.body["messages"][1]["content"][1]["image_url"]["url"] == f"data:image/png;base64,{PNG}"


def _google_says(*parts: dict[str, Any], **members: Any) -> dict[str, Any]:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 31, "candidatesTokenCount": 17, "totalTokenCount": 48}
    answer = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-replay", "responseId": "r"}
    return answer | members


def _called(city: dict[str, str], **members: Any) -> dict[str, Any]:
    return {"functionCall": {"name": "weather", "args": city}, **members}


@pytest.mark.parametrize("model", ["gemini-replay", "gpt-replay", "claude-replay"])
def test_tools_go_round(client: genai.Client, replay: Replay, model: str) -> None:
    """The model asks for two calls at once, hears their results, and answers."""
    calls = [("call_p", PARIS), ("call_o", OSLO)]
    signature = b64encode(SIGNATURE).decode()
    replay.says(
        "gemini-replay",
        _google_says(_called(PARIS, thoughtSignature=signature), _called(OSLO)),
        _google_says({"text": "In Paris."}),
    )
    replay.says("gpt-replay", captures.openai_message(None, calls=calls), captures.openai_message("In Paris."))
    replay.says("claude-replay", captures.anthropic_message("", calls=calls), captures.anthropic_message("In Paris."))
    tools: list[Any] = [types.Tool(function_declarations=[WEATHER])]
    chat = client.chats.create(
        model=model, config=types.GenerateContentConfig(tools=tools, automatic_function_calling=ON_HANDS)
    )

    asked = chat.send_message(QUESTION)
    answered = chat.send_message(
        [
            types.Part.from_function_response(name="weather", response={"output": "21 degrees"}),
            types.Part.from_function_response(name="weather", response={"error": "no such city"}),
        ]
    )

    assert [call.args for call in asked.function_calls or ()] == [PARIS, OSLO]
    assert answered.text == "In Paris."
    heard = json.dumps(replay.asked[1])
    assert "21 degrees" in heard
    assert "no such city" in heard
    if model == "gemini-replay":
        history = replay.asked[1]["contents"][1]["parts"]
        assert b64decode(history[0]["thoughtSignature"]) == SIGNATURE


def test_tool_calls_stream(house: Product, client: genai.Client, replay: Replay) -> None:
    replay.says("gpt-replay", captures.openai_tool_stream([("call_p", PARIS), ("call_o", OSLO)]))
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[WEATHER])], automatic_function_calling=ON_HANDS
    )

    chunks = list(client.models.generate_content_stream(model="gpt-replay", contents=QUESTION, config=config))

    calls = [call for chunk in chunks for call in chunk.function_calls or ()]
    assert [(call.id, call.args) for call in calls] == [("call_p", PARIS), ("call_o", OSLO)]
    assert _row(house, chunks[0])["cost_pico"] == operating.cost_pico(31, 17)


def test_the_client_calls_functions_by_itself(client: genai.Client, replay: Replay) -> None:
    asked: list[str] = []

    def weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "21 degrees"

    replay.says(
        "claude-replay",
        captures.anthropic_message("", calls=[("call_p", PARIS)]),
        captures.anthropic_message("In Paris."),
    )

    answer = client.models.generate_content(
        model="claude-replay", contents=QUESTION, config=types.GenerateContentConfig(tools=[weather])
    )

    assert (answer.text, asked) == ("In Paris.", ["Paris"])


@pytest.mark.parametrize("model", ["gemini-replay", "gpt-replay"])
def test_structured_output_is_parsed(client: genai.Client, replay: Replay, model: str) -> None:
    said = '{"name": "Ada", "age": 36}'
    replay.says("gemini-replay", _google_says({"text": said}))
    replay.says("gpt-replay", captures.openai_message(said))
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)

    answer = client.models.generate_content(model=model, contents=QUESTION, config=config)

    assert answer.parsed == Person(name="Ada", age=36)
    (asked,) = replay.asked
    if model == "gpt-replay":
        wanted = asked["response_format"]["json_schema"]
        assert wanted["schema"]["required"] == ["name", "age"]
        assert (wanted["strict"], wanted["schema"]["additionalProperties"]) == (True, False)


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # how the client uses aiohttp
def test_the_async_client_answers_and_streams_many_calls_at_once(house: Product, upstream: Upstream) -> None:
    async def streamed(client: genai.client.AsyncClient, model: str) -> str:
        stream = await client.models.generate_content_stream(model=model, contents=QUESTION)
        return "".join([chunk.text or "" async for chunk in stream]).strip()

    async def plain(client: genai.client.AsyncClient, model: str) -> str:
        return (await client.models.generate_content(model=model, contents=QUESTION)).text or ""

    async def all_at_once() -> list[str]:
        async with _client(house).aio as client:
            return await asyncio.gather(*(ask(client, model) for ask in (plain, streamed) for model in MODELS * 3))

    assert asyncio.run(all_at_once()) == [WORDS] * 18
    assert len(upstream.bill) == 18


@pytest.mark.parametrize("stream", [False, True])
def test_openai_s_client_reaches_google(
    house: Product, openai_client: openai.OpenAI, upstream: Upstream, *, stream: bool
) -> None:
    upstream.on("up-gemini", Fault(reasoning_tokens=5))
    messages: Any = [{"role": "user", "content": QUESTION}]

    if stream:
        chunks = list(
            openai_client.chat.completions.create(
                model="up-gemini", messages=messages, stream=True, stream_options={"include_usage": True}
            )
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        usage = chunks[-1].usage
    else:
        answer = openai_client.chat.completions.create(model="up-gemini", messages=messages)
        text, usage = answer.choices[0].message.content or "", answer.usage

    (bill,) = upstream.dispatches("up-gemini")
    assert text.strip() == WORDS
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (bill.input_tokens, bill.output_tokens)
    assert usage.completion_tokens_details.reasoning_tokens == 5


# --- all else ---


def test_tokens_are_counted_by_our_own_estimate(client: genai.Client, upstream: Upstream) -> None:
    short = client.models.count_tokens(model="up-gemini", contents="Hello").total_tokens
    long = client.models.count_tokens(model="up-gemini", contents="Hello " * 1000).total_tokens

    assert short is not None
    assert long is not None
    assert 1400 < long - short < 1600
    assert upstream.bill == []


def test_tokens_of_a_whole_request_are_counted_too(house: Product) -> None:
    whole = {"generateContentRequest": BODY | {"model": "models/up-gemini"}}
    bodies = (BODY, whole, BODY | {"generateContentRequest": None})

    counted = [_call(house, "/v1beta/models/up-gemini:countTokens", body).json() for body in bodies]

    assert counted[0]["totalTokens"] > 0
    assert counted == counted[:1] * 3


@pytest.mark.parametrize("model", ["up-vectors", "up-embed"])
def test_texts_become_vectors(client: genai.Client, upstream: Upstream, model: str) -> None:
    texts: list[Any] = ["a red fox", "prices of steel"]

    answer = client.models.embed_content(model=model, contents=texts)

    (bill,) = upstream.dispatches(model)
    assert [each.values for each in answer.embeddings or ()] == [[0.1, 0.2, 0.3]] * 2
    if model == "up-vectors":
        assert [request["model"] for request in bill.body["requests"]] == ["models/up-vectors"] * 2


def test_a_single_text_becomes_a_vector(house: Product, upstream: Upstream) -> None:
    body = {"model": "models/up-vectors", "content": {"parts": [{"text": "a red fox"}]}, "taskType": "CLUSTERING"}

    answer = _call(house, "/v1beta/models/up-vectors:embedContent", body)

    (bill,) = upstream.bill
    assert answer.json()["embedding"] == {"values": [0.1, 0.2, 0.3]}
    assert bill.body == {"requests": [body]}
    row = operating.row_of(house, answer)
    assert (row["surface"], row["input_tokens"]) == ("gemini.embeddings", bill.input_tokens)
    assert row["cost_pico"] == operating.cost_pico(bill.input_tokens, 0)


@pytest.mark.parametrize(
    "requests", ["a red fox", [], ["a red fox"], [{}] * 101], ids=["text", "none", "texts", "many"]
)
def test_what_is_no_batch_is_refused_before_anything_is_spent(
    house: Product, upstream: Upstream, requests: Any
) -> None:
    answer = _call(house, "/v1beta/models/up-vectors:batchEmbedContents", {"requests": requests})

    assert (answer.status, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert upstream.bill == []
    assert operating.rows(house, answer.headers["x-request-id"]) == []


def test_it_lists_the_models(client: genai.Client) -> None:
    models = {model.name: model for model in client.models.list()}

    assert {"models/default", "models/demo", "models/up-gemini", "models/up-claude"} <= set(models)
    assert "generateContent" in (models["models/up-gemini"].supported_actions or ())
    assert models["models/up-vectors"].supported_actions == ["embedContent", "batchEmbedContents"]
    assert client.models.get(model="googles/up-gemini").name == "models/googles/up-gemini"
    with pytest.raises(errors.ClientError) as refused:
        client.models.get(model="up-nothing")
    assert refused.value.status == "NOT_FOUND"


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_either_version_lists_the_models(house: Product, version: str) -> None:
    headers = {"x-goog-api-key": house.key}

    listed = house.request("GET", f"/{version}/models", headers=headers)
    shown = house.request("GET", f"/{version}/models/googles/up-gemini", headers=headers)

    assert shown.json() in listed.json()["models"] + [shown.json()]
    assert shown.json()["name"] == "models/googles/up-gemini"


def test_a_list_comes_in_the_dialect_of_who_asks(house: Product) -> None:
    by_header = house.request("GET", "/v1/models", headers={"x-goog-api-key": house.key})
    by_query = house.request("GET", f"/v1/models?key={house.key}")
    by_bearer = house.request("GET", "/v1/models", key=house.key)

    assert by_header.json() == by_query.json()
    assert by_header.json()["models"][0]["name"].startswith("models/")
    assert by_bearer.json()["object"] == "list"


class TestErrors:
    """Each is the client's own typed exception, and says what went wrong in Google's words."""

    def test_a_wrong_key(self, house: Product) -> None:
        with _client(house, "aip_00000000_wrong") as client, pytest.raises(errors.ClientError) as refused:
            client.models.generate_content(model="demo", contents=QUESTION)

        assert (refused.value.code, refused.value.status) == (401, "UNAUTHENTICATED")

    def test_an_unknown_model(self, client: genai.Client) -> None:
        with pytest.raises(errors.ClientError, match="up-gemini") as refused:  # what there is
            client.models.generate_content(model="gemini-17", contents=QUESTION)

        assert (refused.value.code, refused.value.status) == (404, "NOT_FOUND")

    def test_nothing_is_there(self, house: Product) -> None:
        for path in (
            "/v1beta/models/demo:sing",
            "/v1beta/nothing",
            "/v1/models/demo",
            "/v1beta/models/:generateContent",
            "/v1beta/models/a%00b:generateContent",
        ):
            answer = _call(house, path, BODY)
            assert (answer.status, answer.json()["error"]["status"]) == (404, "NOT_FOUND")

    def test_a_malformed_body(self, client: genai.Client) -> None:
        config = types.GenerateContentConfig(max_output_tokens=-1)

        with pytest.raises(errors.ClientError, match="maxOutputTokens") as refused:
            client.models.generate_content(model="demo", contents=QUESTION, config=config)

        assert refused.value.status == "INVALID_ARGUMENT"

    def test_a_field_that_would_be_lost_in_translation(self, client: genai.Client, upstream: Upstream) -> None:
        config = types.GenerateContentConfig(tools=[types.Tool(google_search=types.GoogleSearch())])

        with pytest.raises(errors.ClientError, match="googleSearch"):
            client.models.generate_content(model="up-chat", contents=QUESTION, config=config)

        assert upstream.bill == []

    def test_what_google_rejects(self, client: genai.Client, upstream: Upstream) -> None:
        upstream.on("up-gemini", Fault(status=400, message="roles must alternate"))

        with pytest.raises(errors.ClientError, match="must alternate"):
            client.models.generate_content(model="up-gemini", contents=QUESTION)

    def test_our_own_key_s_trouble_is_not_the_caller_s(self, client: genai.Client, upstream: Upstream) -> None:
        upstream.on("up-gemini", Fault(status=400, message="API_KEY_INVALID"))

        with pytest.raises(errors.ServerError, match="own key") as failed:
            client.models.generate_content(model="up-gemini", contents=QUESTION)

        assert (failed.value.code, failed.value.status) == (502, "UNAVAILABLE")

    @pytest.mark.parametrize("model", ["up-gemini", "up-chat"])
    @pytest.mark.parametrize("fault", [Fault(cut_after=4), Fault(error_after=4), Fault(bad_chunk_after=4)])
    def test_a_stream_that_breaks_raises(
        self, client: genai.Client, upstream: Upstream, model: str, fault: Fault
    ) -> None:
        upstream.on(model, fault)
        heard: list[str] = []

        with pytest.raises(errors.ServerError) as cut:
            heard.extend(
                chunk.text or "" for chunk in client.models.generate_content_stream(model=model, contents=QUESTION)
            )

        assert WORDS.startswith("".join(heard).strip())
        assert (cut.value.code, cut.value.status) == (502, "UNAVAILABLE")
