"""Traces, as a collector and Langfuse receive them; and that neither can harm a call."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from tests.collector import Span, TraceCollector
from tests.conftest import NewProduct
from tests.journeys import operating
from tests.product import Product
from tests.servers import free_port, wait_until
from tests.upstream import Fault, Upstream

HELLO = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
_numbers = itertools.count()
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector() -> Iterator[TraceCollector]:
    with TraceCollector() as running:
        yield running


@pytest.fixture(scope="module")
def langfuse() -> Iterator[TraceCollector]:
    with TraceCollector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(new_product: NewProduct, collector: TraceCollector, langfuse: TraceCollector) -> Iterator[Product]:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url + "/",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=the%20house,x-other=two",
        "OTEL_SERVICE_NAME": "house",
        "LANGFUSE_HOST": langfuse.url,
        "LANGFUSE_PUBLIC_KEY": "pk-lf-1",
        "LANGFUSE_SECRET_KEY": "sk-lf-canary",
    }
    with new_product(env=env) as running:
        running.sql("UPDATE providers_provider SET retry_attempts = 3, retry_delay_ms = 10 WHERE slug = 'upstream'")
        operating.answer_known_names_alone(running)  # the last change: once it is in force, so is the other
        yield running


@pytest.fixture(autouse=True)
def _emptied(request: pytest.FixtureRequest, collector: TraceCollector, langfuse: TraceCollector) -> None:
    """Spans arrive in the order of their calls: what earlier tests have made is there once a later call's are."""
    if "traced" in request.fixturenames:
        traced: Product = request.getfixturevalue("traced")
        header = {"X-Request-ID": f"before-{next(_numbers)}"}
        traced.request("POST", "/v1/chat/completions", body=HELLO, key=traced.key, headers=header)
        for each in (collector, langfuse):
            wait_until(partial(each.has_spans_of, header["X-Request-ID"]))
            each.posts.clear()
            each.spans.clear()


def _of(spans: list[Span], kind: str) -> list[Span]:
    return sorted((span for span in spans if span.kind == kind), key=lambda span: span.began_ns)


def test_a_call_is_a_server_span_with_a_client_span_for_its_dispatch(
    traced: Product, upstream: Upstream, collector: TraceCollector
) -> None:
    upstream.on("up-chat", Fault(delay_s=0.1, cached_tokens=1))
    headers = {"X-End-User": "ada", "X-Request-ID": "trace-me"}

    answer = traced.request(
        "POST",
        "/v1/chat/completions",
        body={"model": "up-chat", "messages": [{"role": "user", "content": "Hello there"}]},
        key=traced.key,
        headers=headers,
    )

    assert answer.status == 200
    spans = collector.await_spans(2)
    (server,), (client,) = _of(spans, "SERVER"), _of(spans, "CLIENT")
    row = operating.row(traced, "trace-me")
    assert server.service == client.service == "house"
    assert server.name == "openai.chat"
    assert server.parent_id == ""
    assert server.attributes["aiplatform.request_id"] == "trace-me"
    assert server.attributes["user.id"] == "ada"
    assert client.name == "chat up-chat"
    assert (client.trace_id, client.parent_id) == (server.trace_id, server.span_id)
    assert client.attributes["gen_ai.operation.name"] == "chat"
    assert client.attributes["gen_ai.provider.name"] == "upstream"
    assert client.attributes["gen_ai.request.model"] == "up-chat"
    assert client.attributes["gen_ai.response.model"] == "up-chat"
    assert client.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert client.attributes["gen_ai.usage.input_tokens"] == row["input_tokens"] > 0
    assert client.attributes["gen_ai.usage.output_tokens"] == row["output_tokens"] > 0
    assert client.attributes["gen_ai.usage.cache_read.input_tokens"] == 1
    assert client.attributes["server.address"] == "127.0.0.1"
    assert client.attributes["server.port"] == upstream.port
    assert client.attributes["aiplatform.cost_usd"] == pytest.approx(row["cost_pico"] / 1e12)
    assert not server.is_error
    assert not client.is_error
    assert server.began_ns <= client.began_ns < client.ended_ns <= server.ended_ns
    assert client.ended_ns - client.began_ns >= 0.1e9
    (post,) = collector.posts
    assert post.path == "/v1/traces"
    assert post.headers["content-type"] == "application/x-protobuf"
    assert (post.headers["x-tenant"], post.headers["x-other"]) == ("the house", "two")


def test_each_dispatch_of_a_call_has_its_span(traced: Product, upstream: Upstream, collector: TraceCollector) -> None:
    upstream.on("up-chat", Fault(status=500), Fault(status=503))

    assert traced.chat(model="up-chat").status == 200

    spans = collector.await_spans(4)
    (server,), clients = _of(spans, "SERVER"), _of(spans, "CLIENT")
    assert [span.is_error for span in clients] == [True, True, False]
    assert [span.attributes.get("error.type") for span in clients] == ["PROVIDER_ERROR", "PROVIDER_ERROR", None]
    assert [span.attributes["aiplatform.attempt"] for span in clients] == [1, 2, 3]
    assert {(span.trace_id, span.parent_id) for span in clients} == {(server.trace_id, server.span_id)}
    assert len({span.span_id for span in spans}) == 4
    assert not server.is_error
    assert server.attributes["aiplatform.attempts"] == 3


def test_a_call_that_goes_nowhere_is_a_server_span_alone(traced: Product, collector: TraceCollector) -> None:
    assert traced.chat(model="nobody-knows-it").status == 404
    assert traced.chat("Say it twice", temperature=0).status == 200
    assert traced.chat("Say it twice", temperature=0).headers["x-cache"] == "hit"

    spans = collector.await_spans(4)
    assert [(span.attributes["aiplatform.status"], span.is_error) for span in _of(spans, "SERVER")] == [
        ("refused", True),
        ("ok", False),
        ("cached", False),
    ]
    assert len(_of(spans, "CLIENT")) == 1


def test_a_callers_trace_is_gone_on_with(traced: Product, upstream: Upstream, collector: TraceCollector) -> None:
    body = {"model": "up-chat", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    header = {"traceparent": f"00-{TRACE}-{PARENT}-01"}

    traced.request("POST", "/v1/chat/completions", body=body, key=traced.key, headers=header)

    spans = collector.await_spans(2)
    (server,), (client,) = _of(spans, "SERVER"), _of(spans, "CLIENT")
    assert (server.trace_id, server.parent_id) == (TRACE, PARENT)
    assert (client.trace_id, client.parent_id) == (TRACE, server.span_id)
    assert client.attributes["gen_ai.request.stream"] is True
    assert 0 < client.attributes["gen_ai.response.time_to_first_chunk"] < 5
    (dispatch,) = upstream.dispatches("up-chat")
    assert "traceparent" not in {name.lower() for name in dispatch.headers}


@pytest.mark.parametrize(
    "header",
    [
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        "nonsense",
    ],
)
def test_a_senseless_traceparent_counts_as_none(traced: Product, collector: TraceCollector, header: str) -> None:
    traced.request("POST", "/v1/chat/completions", body=HELLO, key=traced.key, headers={"traceparent": header})

    (server,) = _of(collector.await_spans(2), "SERVER")
    assert server.trace_id != TRACE
    assert server.parent_id == ""


def test_a_trace_that_its_caller_does_not_keep_is_not_kept(traced: Product, collector: TraceCollector) -> None:
    for flags in ("00", "01"):
        header = {"traceparent": f"00-{TRACE}-{PARENT}-{flags}", "X-Request-ID": f"flags-{flags}"}
        traced.request("POST", "/v1/chat/completions", body=HELLO, key=traced.key, headers=header)

    spans = collector.await_spans(2)
    assert {span.attributes["aiplatform.request_id"] for span in spans} == {"flags-01"}


def test_langfuse_gets_users_tags_tokens_and_costs(
    traced: Product, upstream: Upstream, langfuse: TraceCollector
) -> None:
    upstream.on("up-chat", Fault(cached_tokens=1, reasoning_tokens=2))
    headers = {"X-End-User": "ada", "X-Tags": "team=search,env=prod", "X-Request-ID": "for-langfuse"}
    body = {"model": "up-chat", "messages": [{"role": "user", "content": "Hello there"}], "stream": True}

    traced.request("POST", "/v1/chat/completions", body=body, key=traced.key, headers=headers)

    spans = langfuse.await_spans(2)
    (server,), (client,) = _of(spans, "SERVER"), _of(spans, "CLIENT")
    row = operating.row(traced, "for-langfuse")
    (post,) = langfuse.posts
    assert post.path == "/api/public/otel/v1/traces"
    assert post.headers["authorization"] == "Basic " + base64.b64encode(b"pk-lf-1:sk-lf-canary").decode()
    assert "x-tenant" not in post.headers  # the other collector's headers are its own
    for span in spans:
        assert span.attributes["langfuse.user.id"] == "ada"
        assert sorted(span.attributes["langfuse.trace.tags"]) == ["env=prod", "team=search"]
        assert span.attributes["langfuse.trace.metadata.team"] == "search"
    assert server.attributes["langfuse.trace.name"] == "openai.chat"
    assert server.attributes["langfuse.observation.type"] == "span"
    assert client.attributes["langfuse.observation.type"] == "generation"
    assert client.attributes["langfuse.observation.completion_start_time"].endswith("+00:00")
    tokens = json.loads(client.attributes["langfuse.observation.usage_details"])
    assert tokens["input"] + tokens["input_cached_tokens"] == row["input_tokens"]
    assert tokens["output"] + tokens["output_reasoning_tokens"] == row["output_tokens"]
    assert (tokens["input_cached_tokens"], tokens["output_reasoning_tokens"]) == (1, 2)
    costs = json.loads(client.attributes["langfuse.observation.cost_details"])
    assert costs["total"] == pytest.approx(row["cost_pico"] / 1e12)


def test_other_doors_are_traced_alike(traced: Product, upstream: Upstream, collector: TraceCollector) -> None:
    traced.request("POST", "/generate", body={"prompt": "Hello", "use_cache": False}, key=traced.key)
    traced.request("POST", "/v1/embeddings", body={"model": "up-embed", "input": "Hello"}, key=traced.key)

    spans = collector.await_spans(4)
    assert {span.name for span in _of(spans, "SERVER")} == {"spec_a.generate", "openai.embeddings"}
    (embedding,) = [span for span in _of(spans, "CLIENT") if span.name == "embeddings up-embed"]
    assert embedding.attributes["gen_ai.operation.name"] == "embeddings"


def test_a_collector_that_is_overrun_gets_the_same_again(traced: Product, collector: TraceCollector) -> None:
    collector.statuses += [503, 429]

    traced.chat()

    assert len(collector.await_spans(2)) == 2
    assert len(collector.posts) == 3
    assert len({post.body for post in collector.posts}) == 1
    assert traced.log().count("traces are not taken") == 1
    wait_until(lambda: "traces are taken again" in traced.log())


def _call_for(product: Product, count: int) -> float:
    """The longest of as many calls, in seconds."""
    longest = 0.0
    for _ in range(count):
        began = time.perf_counter()
        assert product.chat().status == 200
        longest = max(longest, time.perf_counter() - began)
    return longest


def test_a_dead_collector_costs_a_call_nothing(new_product: NewProduct) -> None:
    with new_product(env={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}) as product:
        product.chat()
        wait_until(lambda: "traces are not taken" in product.log())

        assert _call_for(product, 20) < 5
        assert product.log().count("traces are not taken") == 1
        began = time.perf_counter()
        product.stop()
        assert time.perf_counter() - began < 20


def test_a_hanging_collector_costs_a_call_nothing(new_product: NewProduct, stack: ExitStack) -> None:
    collector = stack.enter_context(TraceCollector())
    collector.hangs = True
    with new_product(env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}) as product:
        product.chat()
        wait_until(lambda: bool(collector.posts))

        assert _call_for(product, 20) < 5
        began = time.perf_counter()
        product.stop()
        assert time.perf_counter() - began < 20


def test_what_waits_is_sent_before_the_end(new_product: NewProduct, stack: ExitStack) -> None:
    collector = stack.enter_context(TraceCollector())
    with new_product(env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}) as product:
        product.chat()
        product.stop()

        assert len(collector.spans) == 2


def test_without_a_collector_nothing_of_traces_is_loaded(product: Product) -> None:
    parts = {"opentelemetry.sdk", "opentelemetry.proto", "gateway.tracing.exporter"}

    loaded = product.manage("shell", "-c", f"import sys, aiplatform.asgi; print(sorted({parts} & sys.modules.keys()))")

    assert loaded.strip().splitlines()[-1] == "[]"
