"""Another house's idea of every provider, `llmock`, behind the platform: its shapes, and the faults that it plays.

It plays neither Ollama nor Azure, embeds as OpenAI alone, and breaks no answer that comes in one piece: those are
`tests/upstream.py`'s. Its Mistral does not count its streams unasked, which the real one does.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from google import genai

from tests.clients import llmock
from tests.clients.llmock import Llmock
from tests.clients.official import CLIENTS, Official
from tests.conftest import NewProduct
from tests.faults import invariants, load
from tests.journeys import operating
from tests.journeys.dialects import ANTHROPIC, OPENAI, Door
from tests.product import Answer, Product
from tests.servers import wait_until

Row = dict[str, Any]
EMBEDDING = "llmock-embeds"
PATIENT = {"X-Timeout-Ms": "10000"}  # else the first provider's limit is that of the whole call
BELOW = operating.AFTER_THE_REST - 10
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Face:
    """A shape, at `path`, as a provider of `kind`.

    `counts_streams`: its streams tell their usage.
    """

    name: str
    kind: str
    path: str
    counts_streams: bool = True

    @property
    def model(self) -> str:
        return f"llmock-{self.name}"

    def __str__(self) -> str:
        return self.name


OPENAIS = Face(name="openai", kind="openai", path="/v1")
ANTHROPICS = Face(name="anthropic", kind="anthropic", path="/anthropic")
GOOGLES = Face(name="google", kind="google", path="/gemini")
FACES = [
    OPENAIS,
    ANTHROPICS,
    GOOGLES,
    Face(name="deepseek", kind="deepseek", path="/v1"),
    Face(name="mistral", kind="mistral", path="/mistral/v1", counts_streams=False),
    Face(name="groq", kind="groq", path="/groq/openai/v1"),
    Face(name="together", kind="custom", path="/together/v1"),
    Face(name="perplexity", kind="custom", path="/perplexity/v1"),
    Face(name="ai21", kind="custom", path="/ai21/v1"),
    Face(name="xai", kind="custom", path="/xai/v1"),
]
SPARE = {OPENAIS: ANTHROPICS, ANTHROPICS: GOOGLES, GOOGLES: OPENAIS}

each_face = pytest.mark.parametrize("face", FACES, ids=str)
each_shape = pytest.mark.parametrize("face", SPARE, ids=str)
each_exchange = pytest.mark.parametrize(  # in its own dialect where there is such a door, and translated
    ("face", "door"),
    [(OPENAIS, OPENAI), (OPENAIS, ANTHROPIC), (ANTHROPICS, ANTHROPIC), (ANTHROPICS, OPENAI), (GOOGLES, OPENAI)],
    ids=lambda each: str(each.name),
)
each_client = pytest.mark.parametrize("client", CLIENTS, ids=str)
streamed_or_not = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llmock]:
    running = Llmock(tmp_path_factory.mktemp("llmock"))
    try:
        running.start()
        yield running
    finally:
        running.kill()


@pytest.fixture(scope="module")
def shop(new_product: NewProduct, server: Llmock) -> Iterator[Product]:
    """In the end its books hold all that llmock was asked."""
    with new_product() as product:
        for face in FACES:
            operating.add_provider(
                product, name=face.name, kind=face.kind, endpoint=server.url(face.path), model=face.model, wait=False
            )
        made = {"provider": "openai", "name": EMBEDDING, "type": "embedding"}
        operating.manage(product, "POST", "/api/ai-providers/deployments", made)
        price = {"deployment": f"openai/{EMBEDDING}", "inputPerMillion": "2.50", "outputPerMillion": "0"}
        operating.manage(product, "POST", "/api/ai-providers/prices", price)
        product.until_in_force()
        yield product
        invariants.check(product, server.bill())


@pytest.fixture(scope="module")
def hasty(shop: Product, server: Llmock) -> dict[Face, str]:
    """A pair each, whose first waits 0.4 s for whatever is to come."""
    bounds = ("timeout_ms", "first_token_timeout_ms", "between_chunks_timeout_ms")
    return {face: pair(shop, server, face, ", ".join(f"{bound} = 400" for bound in bounds)) for face in SPARE}


@pytest.fixture(scope="module")
def patient(shop: Product, server: Llmock) -> dict[Face, str]:
    """The same, for what has nothing to do with time: however busy the machine is."""
    return {face: pair(shop, server, face) for face in SPARE}


@pytest.fixture(autouse=True)
def balanced(shop: Product, server: Llmock) -> Iterator[None]:
    """After each test: the books are closed, and llmock finds nothing wrong in how it was asked."""
    yield
    server.forget_scripts()
    invariants.settled(shop)
    # It says so of every stream that it cut and nobody asked for again, whatever the caller was told.
    assert server.faults_found() <= {"truncated_stream_accepted"}
    server.bill()


# --- the shapes -----------------------------------------------------------------------------------------------------


@each_face
@each_client
@streamed_or_not
def test_it_answers(shop: Product, server: Llmock, face: Face, client: Official, *, stream: bool) -> None:
    name = load.new_name()

    heard = (client.stream if stream else client.plain)(shop, face.model, name)

    (asked,) = server.dispatches(face.model)
    row = operating.row(shop, name)
    assert (asked["stream"], len(heard.pieces) > 2) == (stream, stream)
    assert heard.text == f"Hello! You said: {name}"
    assert (row["surface"], row["provider"], row["deployment"]) == (client.surface, face.name, face.model)
    if stream and not face.counts_streams:
        assert (row["status"], row["evidence"]) == ("ok", "estimated")
        return
    told = llmock.tokens(server.said(asked["path"], asked["body"]))
    assert (heard.input_tokens, heard.output_tokens) == told
    assert (row["status"], row["evidence"], row["cost_pico"]) == ("ok", "reported", operating.cost_pico(*told))


def test_it_embeds(shop: Product, server: Llmock) -> None:
    """Through OpenAI's client, and translated for Google's."""
    name = load.new_name()
    texts: Any = [name, "and two"]
    headers = {"X-Request-ID": name}

    with openai.OpenAI(base_url=shop.url("/v1"), api_key=shop.key, default_headers=headers) as client:
        own = client.embeddings.create(model=EMBEDDING, input=texts)
    options = genai.types.HttpOptions(base_url=shop.base_url, headers=headers)
    with genai.Client(api_key=shop.key, http_options=options) as google:
        translated = google.models.embed_content(model=EMBEDDING, contents=texts)

    said = server.said("/v1/embeddings", {"model": EMBEDDING, "input": texts})
    vectors = [each["embedding"] for each in said["data"]]
    assert [each.embedding for each in own.data] == [pytest.approx(vector, abs=1e-6) for vector in vectors]
    assert [each.values for each in translated.embeddings or ()] == [
        pytest.approx(vector, abs=1e-6) for vector in vectors
    ]
    cost_pico = operating.cost_pico(*llmock.tokens(said))
    assert [row["cost_pico"] for row in operating.rows(shop, name)] == [cost_pico, cost_pico]


# --- the faults -----------------------------------------------------------------------------------------------------


def pair(shop: Product, server: Llmock, face: Face, setting: str = "", **settings: Any) -> str:
    """A model at a provider of its own, of its name, and at a spare one of another shape. `setting`: of the first."""
    name, spare = f"trouble-{next(_numbers)}", SPARE[face]
    operating.add_provider(
        shop, name=name, kind=face.kind, endpoint=server.url(face.path), model=name, wait=False, **settings
    )
    if setting:
        shop.sql(f"UPDATE providers_provider SET {setting} WHERE slug = '{name}'")
    endpoint = server.url(spare.path)
    operating.add_provider(shop, name=f"{name}-spare", kind=spare.kind, endpoint=endpoint, model=name, priority=BELOW)
    return name


def at(face: Face, model: str) -> dict[str, str]:
    """What a fault must match to befall the first of a pair alone."""
    return {"model": model, "path": f"{face.path}/*"}


def ask(shop: Product, door: Door, model: str, *, stream: bool = False, alone: bool = False) -> Answer:
    """`alone`: of the first of a pair."""
    name = load.new_name()
    prompt = f"{name} and ten words more, that a stream has some length"
    model = f"{model}/{model}" if alone else model
    return door.call(shop, model, prompt, stream=stream, headers={"X-Request-ID": name, **PATIENT})


def rows_of(shop: Product, answer: Answer) -> list[Row]:
    """A refusal's row is written behind its answer."""
    name = answer.headers["x-request-id"]
    wait_until(lambda: operating.rows(shop, name), what=f"the rows of {name}")
    return operating.rows(shop, name)


def check_spared(shop: Product, door: Door, answer: Answer, model: str, *, stream: bool) -> Row:
    """The spare provider answered, and two rows tell it. Returns the first."""
    first, second = rows_of(shop, answer)
    assert (answer.status, answer.headers["x-provider"], answer.headers["x-attempts"]) == (200, f"{model}-spare", "2")
    said = "".join(map(door.piece, _events(answer))) if stream else door.text(answer.json())
    assert said.startswith(f"Hello! You said: {answer.headers['x-request-id']}")
    assert (first["provider"], first["attempt"], bool(first["is_final"])) == (model, 1, False)
    assert (second["provider"], second["attempt"], bool(second["is_final"])) == (f"{model}-spare", 2, True)
    assert (first["status"], second["status"], second["evidence"]) == ("error", "ok", "reported")
    return first


def _events(answer: Answer) -> list[Row]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


@each_exchange
@streamed_or_not
class TestBeforeTheFirstWord:
    @pytest.mark.parametrize("status", [401, 429, 503, 529])
    def test_another_answers(
        self, shop: Product, server: Llmock, face: Face, door: Door, status: int, *, stream: bool
    ) -> None:
        model = pair(shop, server, face)
        server.script({"type": "fail", "status": status, "message": "not today"}, match=at(face, model))

        first = check_spared(shop, door, ask(shop, door, model, stream=stream), model, stream=stream)

        assert (first["error_code"], first["evidence"], first["cost_pico"]) == ("PROVIDER_ERROR", "none", 0)
        assert "not today" in first["error_detail"]

    def test_a_rejected_call_is_the_caller_s(
        self, shop: Product, server: Llmock, patient: dict[Face, str], face: Face, door: Door, *, stream: bool
    ) -> None:
        model = patient[face]
        server.script({"type": "fail", "status": 400, "message": "prompt is too long"}, match=at(face, model))

        answer = ask(shop, door, model, stream=stream)

        (row,) = rows_of(shop, answer)
        assert (answer.status, answer.headers["x-should-retry"]) == (400, "false")
        assert door.message(answer.json()) == "prompt is too long"
        assert (row["error_code"], row["evidence"], row["cost_pico"]) == ("PROVIDER_REJECTED", "none", 0)
        assert len(server.dispatches(model)) == 1


@each_exchange
@pytest.mark.parametrize(("kind", "stream"), [("delay", False), ("delay", True), ("slow_first_token", True)])
def test_a_slow_one_is_not_waited_for(
    shop: Product, server: Llmock, hasty: dict[Face, str], face: Face, door: Door, *, kind: str, stream: bool
) -> None:
    model = hasty[face]
    server.script({"type": kind, "seconds": 1}, match=at(face, model))

    first = check_spared(shop, door, ask(shop, door, model, stream=stream), model, stream=stream)

    assert first["error_code"] == "PROVIDER_TIMEOUT"


@each_exchange
class TestLimits:
    def test_a_short_one_is_waited_out(self, shop: Product, server: Llmock, face: Face, door: Door) -> None:
        model = pair(shop, server, face, retryAttempts=3, retryDelay=0)
        server.script({"type": "fail", "status": 429, "retry_after": 1}, match=at(face, model))

        answer = ask(shop, door, model, alone=True)

        refused, answered = server.dispatches(model)
        assert answer.status == 200
        assert answered["started_at"] - refused["ended_at"] >= 1
        assert [row["status"] for row in rows_of(shop, answer)] == ["error", "ok"]

    def test_a_long_one_is_passed_on(self, shop: Product, server: Llmock, face: Face, door: Door) -> None:
        model = pair(shop, server, face, retryAttempts=3)
        server.script({"type": "fail", "status": 429, "retry_after": 60}, match=at(face, model))

        told, refused = (ask(shop, door, model, alone=True) for _ in range(2))

        assert (told.status, told.headers["retry-after"]) == (502, "60")
        assert refused.status == 503
        assert 50 <= int(refused.headers["retry-after"]) <= 60
        assert [(row["status"], row["cost_pico"]) for row in rows_of(shop, refused)] == [("error", 0)]
        assert len(server.dispatches(model)) == 1


@each_exchange
@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed", "stall"])
class TestABrokenStream:
    @pytest.fixture
    def asked(self, hasty: dict[Face, str], patient: dict[Face, str], kind: str) -> dict[Face, str]:
        return hasty if kind == "stall" else patient

    def test_another_answers_where_nothing_was_said(
        self, shop: Product, server: Llmock, asked: dict[Face, str], face: Face, door: Door, *, kind: str
    ) -> None:
        model = asked[face]
        self._break(server, face, model, kind, after_chunks=0)

        check_spared(shop, door, ask(shop, door, model, stream=True), model, stream=True)

    def test_the_caller_is_told_and_charged_for_the_part(
        self, shop: Product, server: Llmock, asked: dict[Face, str], face: Face, door: Door, *, kind: str
    ) -> None:
        model = asked[face]
        answer = self._broken_in_the_middle(shop, server, face=face, door=door, model=model, kind=kind)

        (row,) = rows_of(shop, answer)
        *said, last = _events(answer)
        assert "".join(map(door.piece, said)).startswith("Hello! ")
        assert "error" in last
        assert not any(door.is_end(line) for line in answer.text.splitlines())
        assert (answer.status, row["status"], row["evidence"]) == (200, "error", "estimated")
        assert row["error_code"] == ("PROVIDER_TIMEOUT" if kind == "stall" else "PROVIDER_ERROR")
        assert row["output_tokens"] > 0
        assert row["cost_pico"] > 0

    def _broken_in_the_middle(
        self, shop: Product, server: Llmock, *, face: Face, door: Door, model: str, kind: str
    ) -> Answer:
        """Where a busy machine let all of it arrive at once, the spare has answered, as it should: once more then."""
        for _ in range(5):
            self._break(server, face, model, kind, after_chunks=12)  # the first words have usually arrived by then
            answer = ask(shop, door, model, stream=True)
            if len(rows_of(shop, answer)) == 1:
                break
        return answer

    @staticmethod
    def _break(server: Llmock, face: Face, model: str, kind: str, *, after_chunks: int) -> None:
        fault = {"type": "stream_fault", "kind": kind, "after_chunks": after_chunks, "stall_seconds": 1}
        server.script(fault, match=at(face, model))


@each_shape
def test_an_outage_opens_the_circuit_until_it_is_over(shop: Product, server: Llmock, face: Face) -> None:
    model = pair(shop, server, face, failureThreshold=3, circuitTimeout=30_000)  # a first trial after 3 s
    server.script({"type": "fail", "status": 503}, match=at(face, model), times=None)

    failed = [ask(shop, OPENAI, model, alone=True) for _ in range(3)]
    refused = ask(shop, OPENAI, model, alone=True)
    spared = ask(shop, OPENAI, model)
    asked = len(server.dispatches(model))
    server.forget_scripts()

    assert [answer.status for answer in failed] == [502] * 3
    assert (refused.status, asked) == (503, 3 + 1)  # the one is the spare's
    assert "circuit open" in OPENAI.message(refused.json())
    assert (spared.headers["x-provider"], spared.headers["x-attempts"]) == (f"{model}-spare", "1")
    assert [row["status"] for row in rows_of(shop, refused)] == ["error"]
    wait_until(lambda: ask(shop, OPENAI, model, alone=True).status == 200, what="the provider to be asked again")
