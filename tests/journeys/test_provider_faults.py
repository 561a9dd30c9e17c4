"""A provider fails: each door says so in its own dialect, with the right code, and the books hold one true row."""

from __future__ import annotations

import email.utils
import itertools
import time
from typing import Any

import pytest

from tests.journeys import operating
from tests.journeys.dialects import ANTHROPIC, DOORS, OPENAI, Door, events
from tests.product import Product
from tests.servers import PATIENCE_S
from tests.upstream import Fault, Upstream

_numbers = itertools.count(1)
every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
either_model = pytest.mark.parametrize("model", ["up-chat", "up-claude"])
BAD_GATEWAY_TYPES = {"openai": "PROVIDER_ERROR", "anthropic": "api_error", "spec-d": "PROVIDER_ERROR"}
REJECTED_TYPES = {"openai": "PROVIDER_REJECTED", "anthropic": "invalid_request_error", "spec-d": "PROVIDER_REJECTED"}
TIMEOUT_TYPES = {"openai": "PROVIDER_TIMEOUT", "anthropic": "timeout_error", "spec-d": "PROVIDER_TIMEOUT"}


@every_door
@either_model
@pytest.mark.parametrize("stream", [False, True])
class TestBeforeTheFirstWord:
    def test_it_rejects_the_call(
        self, house: Product, upstream: Upstream, door: Door, model: str, *, stream: bool
    ) -> None:
        upstream.on(model, Fault(status=400, message="max_tokens is too large"))

        answer = door.call(house, model, stream=stream)

        assert answer.status == 400
        assert door.code(answer.json()) == REJECTED_TYPES[door.name]
        assert door.message(answer.json()) == "max_tokens is too large"
        assert answer.headers["x-should-retry"] == "false"
        check_failed(house, answer.headers["x-request-id"], "PROVIDER_REJECTED", cost_pico=0)

    @pytest.mark.parametrize("status", [500, 529])
    def test_it_answers_with_an_error(
        self, house: Product, upstream: Upstream, door: Door, model: str, status: int, *, stream: bool
    ) -> None:
        upstream.on(model, Fault(status=status, message="not today", retry_after="7"))

        answer = door.call(house, model, stream=stream)

        assert answer.status == 502
        assert door.code(answer.json()) == BAD_GATEWAY_TYPES[door.name]
        provider = {"up-chat": "upstream", "up-claude": "upstream-anthropic"}[model]
        assert door.message(answer.json()) == f"{provider} answered {status}: not today"
        assert "x-should-retry" not in answer.headers
        assert answer.headers["x-provider"] == provider
        assert answer.headers.get("retry-after") == "7"
        check_failed(house, answer.headers["x-request-id"], "PROVIDER_ERROR", cost_pico=0)

    def test_it_takes_too_long(
        self, house: Product, upstream: Upstream, door: Door, model: str, *, stream: bool
    ) -> None:
        """The books hold the most that the provider may bill for it."""
        upstream.always(model, Fault(delay_s=30))

        for timeout_ms in ("200", "5000"):
            with operating.within(15):
                answer = door.call(house, model, stream=stream, headers={"X-Timeout-Ms": timeout_ms})
            if upstream.bill:  # else a busy machine let the time go by before the provider was asked
                break

        assert answer.status == 504
        assert door.code(answer.json()) == TIMEOUT_TYPES[door.name]
        row = check_failed(house, answer.headers["x-request-id"], "PROVIDER_TIMEOUT", evidence="upper_bound")
        assert row["cost_pico"] > 0

    def test_it_hangs_up(self, house: Product, upstream: Upstream, door: Door, model: str, *, stream: bool) -> None:
        upstream.on(model, Fault(drop=True))

        answer = door.call(house, model, stream=stream)

        assert (answer.status, door.code(answer.json())) == (502, BAD_GATEWAY_TYPES[door.name])
        check_failed(house, answer.headers["x-request-id"], "PROVIDER_ERROR", evidence="upper_bound")


@every_door
@either_model
def test_a_bad_body(house: Product, upstream: Upstream, door: Door, model: str) -> None:
    upstream.on(model, Fault(bad_body=True))

    answer = door.call(house, model)

    assert (answer.status, door.code(answer.json())) == (502, BAD_GATEWAY_TYPES[door.name])
    check_failed(house, answer.headers["x-request-id"], "PROVIDER_ERROR", evidence="upper_bound")


@pytest.mark.parametrize("kind", ["custom", "anthropic"])
@pytest.mark.parametrize("status", [401, 402, 403])
@every_door
def test_a_refused_platform_key_is_not_taken_for_the_callers(
    house: Product, upstream: Upstream, door: Door, kind: str, status: int
) -> None:
    """The caller's own key is right; the provider's words are for the administrator, in the books."""
    model = lone_model(house, upstream, kind=kind)
    upstream.always(model, Fault(status=status, message="Incorrect API key provided. See your account page."))

    answers = [door.call(house, model, stream=stream) for stream in (False, True)]

    for answer in answers:  # nobody else can be asked, so each call is
        assert (answer.status, door.code(answer.json())) == (502, BAD_GATEWAY_TYPES[door.name])
        assert "this platform's own key" in door.message(answer.json())
        assert "x-should-retry" not in answer.headers
        assert "Incorrect API key" in operating.row_of(house, answer)["error_detail"]


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("27", 27, 27),
        ("date", 25, 30),
        ("soon", None, None),
        ("inf", None, None),
        ("nan", None, None),
        ("99999999999", 86_400, 86_400),
        ("1e400", None, None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None, None),
    ],
)
def test_retry_after_is_passed_on(
    house: Product, upstream: Upstream, said: str, least: int | None, most: int | None
) -> None:
    """As far as it makes sense, and at most a day."""
    model = lone_model(house, upstream)
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    upstream.on(model, Fault(status=429, retry_after=date if said == "date" else said))

    answer = OPENAI.call(house, model)

    assert answer.status == 502
    told = answer.headers.get("retry-after")
    assert told is None if least is None or most is None else least <= int(str(told)) <= most


@every_door
@either_model
class TestInMidStream:
    """What was said before stands; then comes an error event of the dialect, and no end."""

    def test_it_is_cut(self, house: Product, upstream: Upstream, door: Door, model: str) -> None:
        upstream.on(model, Fault(cut_after=4))

        stream = door.stream(house, model)

        check_broken(house, stream, door, code="PROVIDER_ERROR", type_=BAD_GATEWAY_TYPES[door.name])
        assert stream.text.strip() == "word0 word1 word2"

    def test_it_says_an_error(self, house: Product, upstream: Upstream, door: Door, model: str) -> None:
        upstream.on(model, Fault(error_after=4, chunk_s=0.2, message="overloaded in mid-answer"))

        stream = door.stream(house, model)

        check_broken(house, stream, door, code="PROVIDER_ERROR", type_=BAD_GATEWAY_TYPES[door.name])
        assert "overloaded in mid-answer" in door.message(stream.error or {})

    def test_it_says_what_it_should_not(self, house: Product, upstream: Upstream, door: Door, model: str) -> None:
        upstream.on(model, Fault(bad_chunk_after=4, chunk_s=0.2))

        stream = door.stream(house, model)

        check_broken(house, stream, door, code="PROVIDER_ERROR", type_=BAD_GATEWAY_TYPES[door.name])

    def test_it_reports_no_usage(self, house: Product, upstream: Upstream, door: Door, model: str) -> None:
        upstream.on(model, Fault(no_usage=True))

        stream = door.stream(house, model)

        row = operating.row(house, stream.request_id)
        assert stream.ended
        if model == "up-chat":  # Anthropic's tells a part of it up front
            assert (row["status"], row["evidence"]) == ("ok", "estimated")
        assert row["input_tokens"] > 0
        assert row["output_tokens"] > 0
        assert row["cost_pico"] == operating.cost_pico(row["input_tokens"], row["output_tokens"])


@every_door
@either_model
def test_an_answer_without_usage_is_estimated(house: Product, upstream: Upstream, door: Door, model: str) -> None:
    upstream.on(model, Fault(no_usage=True))

    answer = door.call(house, model)

    row = operating.row_of(house, answer)
    assert (answer.status, row["status"], row["evidence"]) == (200, "ok", "estimated")
    assert row["output_tokens"] > 0
    assert row["cost_pico"] == operating.cost_pico(row["input_tokens"], row["output_tokens"]) > 0


class TestStalls:
    """The provider of `hasty` may be silent for a second, that of `hurried` for three."""

    @every_door
    def test_before_the_first_word(self, house: Product, upstream: Upstream, door: Door) -> None:
        upstream.on("hasty", Fault(stall_after=0))

        with operating.within(15):
            answer = door.call(house, "hasty", stream=True)

        assert (answer.status, door.code(answer.json())) == (504, TIMEOUT_TYPES[door.name])
        check_failed(house, answer.headers["x-request-id"], "PROVIDER_TIMEOUT", evidence="upper_bound")

    @every_door
    def test_between_words(self, house: Product, upstream: Upstream, door: Door) -> None:
        upstream.on("hasty", Fault(stall_after=3))

        with operating.within(15):
            stream = door.stream(house, "hasty")

        check_broken(house, stream, door, code="PROVIDER_TIMEOUT", type_=TIMEOUT_TYPES[door.name])
        assert stream.text.strip() == "word0 word1"

    def test_a_slow_but_steady_stream_is_not_cut(self, house: Product, upstream: Upstream) -> None:
        upstream.on("hurried", Fault(chunk_s=0.5))

        assert OPENAI.stream(house, "hurried").ended


def test_words_reach_the_caller_as_they_come(house: Product, upstream: Upstream) -> None:
    """Through both a dialect's own and a translated stream: nothing is held back until the end."""
    for door in (OPENAI, ANTHROPIC):
        upstream.on("leaving", Fault(stall_after=4))

        with door.streaming(house, "leaving") as answer, operating.within(PATIENCE_S / 2):
            assert any("word2" in data for data in events(answer))


def lone_model(house: Product, upstream: Upstream, *, kind: str = "custom", **settings: Any) -> str:
    """A model of a provider of its own: what is held against the key stays there."""
    name = f"w-lone-{next(_numbers)}"
    endpoint = upstream.url if kind == "anthropic" else upstream.openai_url
    operating.add_provider(house, name=name, kind=kind, endpoint=endpoint, model=name, **settings)
    return name


def test_a_provider_that_is_the_platform_itself_fails_before_it_asks_itself(house: Product, upstream: Upstream) -> None:
    """Whoever set it so has erred, not who calls: another provider takes the call."""
    url, name = house.url("/v1"), f"mirror-{next(_numbers)}"
    made = operating.add_provider(house, name=name, kind="custom", endpoint=url, apiKey=house.key, model=name)

    alone = house.chat(model=name)
    below = operating.AFTER_THE_REST - 10
    operating.add_provider(
        house, name=f"{name}-b", kind="custom", endpoint=upstream.openai_url, model=name, priority=below
    )
    helped = house.chat(model=name)

    operating.manage(house, "PATCH", f"/api/ai-providers/{made}", {"isActive": False})  # others name no model
    assert alone.status == 502
    assert "the address of a provider is the platform's own" in OPENAI.message(alone.json())
    check_failed(house, alone.headers["x-request-id"], "PROVIDER_ERROR", cost_pico=0)
    assert (helped.status, helped.headers["x-provider"]) == (200, f"{name}-b")


def check_failed(
    house: Product, request_id: str, code: str, *, evidence: str = "none", cost_pico: int | None = None
) -> dict[str, Any]:
    row = operating.row(house, request_id)
    status = "refused" if code == "PROVIDER_REJECTED" else "error"
    assert (row["status"], row["error_code"], row["evidence"]) == (status, code, evidence)
    assert row["error_detail"]
    assert row["is_final"]
    if cost_pico is not None:
        assert row["cost_pico"] == cost_pico
    return row


def check_broken(house: Product, stream: Any, door: Door, *, code: str, type_: str) -> None:
    assert stream.status == 200
    assert not stream.ended
    assert stream.error is not None
    assert door.code(stream.error) == type_
    assert door.message(stream.error)
    row = operating.row(house, stream.request_id)
    assert (row["status"], row["error_code"], row["evidence"]) == ("error", code, "estimated")
    assert row["output_tokens"] > 0
    assert row["cost_pico"] == operating.cost_pico(row["input_tokens"], row["output_tokens"])
