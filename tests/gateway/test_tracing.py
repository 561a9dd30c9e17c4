"""The parts of tracing by themselves: who is whose parent, what is sampled, and a queue that is full."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import structlog
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from core import calling
from core.calling import Calling
from core.vault import Secret
from gateway.tracing import exporter as exporting
from gateway.tracing.collectors import Collector, Sampling, Tracing, sampling
from gateway.tracing.exporter import BATCH, QUEUE_LENGTH, Exporter
from gateway.tracing.identity import identity
from gateway.tracing.spans import SpanMaker
from tests.collector import TraceCollector
from tests.collector import value as collected_value
from tests.providers.topologies import deployment
from tests.servers import free_port, wait_until
from tests.usage import rows
from usage.rows import FACTS, RecordRow

TRACE, PARENT = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
ALL = Sampling(share=1.0)
CLIENT, SERVER = Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER
_numbers = itertools.count()


def a_record(**given: Any) -> RecordRow:
    """Of a call of its own, unless a request id is given."""
    facts = {"request_id": f"req_{next(_numbers)}"} | {name: value for name, value in given.items() if name in FACTS}
    more = {name: value for name, value in given.items() if name not in FACTS}
    return rows.record(rows.hold(**facts), **more)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_EVERY_S", 0.05)
    monkeypatch.setattr(exporting, "_FIRST_PAUSE_S", 0.01)


@contextmanager
def _exporting(url: str) -> Iterator[Exporter]:
    collector = Collector(name="otlp", url=f"{url}/v1/traces", headers={"x-tenant": Secret("house")})
    tracing = Tracing(service="tests", sampling=ALL, collectors=(collector,))
    exporter = Exporter(collector, tracing, dict)
    exporter.start()
    yield exporter
    exporter.stop()


def test_the_rows_of_a_call_agree_on_its_ids() -> None:
    first = a_record(attempt=1, is_final=False)
    second = a_record(attempt=2, request_id=first.request_id, client_id=first.client_id, started_at=first.started_at)

    one, two = identity(first, None), identity(second, None)

    assert (one.trace_id, one.call_id) == (two.trace_id, two.call_id)
    assert one.dispatch_id != two.dispatch_id
    assert one.parent is None


def test_calls_of_one_request_id_are_traces_of_their_own() -> None:
    """Callers may repeat an id of their own."""
    first = a_record(request_id="again")

    ids = {identity(each, None).trace_id for each in (first, a_record(request_id="again", client_id=None))}

    assert len(ids) == 2


@pytest.mark.parametrize(
    ("version", "end", "is_sampled"),
    [("00", "00", False), ("00", "01", True), ("00", "02", False), ("00", "03", True), ("01", "01-of-tomorrow", True)],
)
def test_a_callers_span_is_the_parent(version: str, end: str, is_sampled: bool) -> None:  # noqa: FBT001  # a table
    found = identity(a_record(), Calling("req_1", f"{version}-{TRACE:032x}-{PARENT:016x}-{end}"))

    assert found.trace_id == TRACE
    assert found.parent is not None
    assert (found.parent.span_id, found.parent.is_sampled) == (PARENT, is_sampled)


@pytest.mark.parametrize(
    "header",
    [
        f"ff-{TRACE:032x}-{PARENT:016x}-01",
        f"00-{0:032x}-{PARENT:016x}-01",
        f"00-{TRACE:032x}-{0:016x}-01",
        f"00-{TRACE:032x}-{PARENT:016x}-01-more",
    ],
)
def test_a_senseless_traceparent_counts_as_none(header: str) -> None:
    assert identity(a_record(), Calling("req_1", header)).parent is None


def test_a_request_id_that_is_given_again_later_begins_a_trace_of_its_own() -> None:
    first = a_record(request_id="again")
    later = a_record(request_id="again", started_at=first.started_at + timedelta(milliseconds=1))

    assert identity(first, None).trace_id != identity(later, None).trace_id


@pytest.mark.parametrize(
    ("name", "share", "parent_is_kept", "kept"),
    [
        ("always_on", 0.0, False, True),
        ("always_off", 1.0, True, False),
        ("traceidratio", 0.0, True, False),
        ("traceidratio", 1.0, False, True),
        ("parentbased_always_on", 1.0, None, True),
        ("parentbased_always_on", 1.0, False, False),
        ("parentbased_always_off", 1.0, None, False),
        ("parentbased_always_off", 1.0, True, True),
        ("parentbased_traceidratio", 0.0, None, False),
        ("parentbased_traceidratio", 0.0, True, True),
    ],
)
def test_samplers(name: str, share: float, parent_is_kept: bool | None, kept: bool) -> None:  # noqa: FBT001  # a table
    assert sampling(name, share).keeps(TRACE, parent_is_kept=parent_is_kept) is kept


def test_a_ratio_keeps_its_share() -> None:
    half = sampling("traceidratio", 0.5)

    kept = sum(half.keeps(identity(a_record(), None).trace_id, parent_is_kept=None) for _ in range(2_000))

    assert 850 < kept < 1_150


def test_what_is_not_sampled_makes_no_spans() -> None:
    maker = SpanMaker(sampling=sampling("always_off", 1.0), for_langfuse=False)

    assert maker.spans(a_record(), None, {}) == []


@pytest.mark.parametrize(
    ("surface", "operation"),
    [("openai.chat", "chat"), ("spec_e.embeddings", "embeddings"), ("spec_e.vector", "embeddings")],
)
def test_operations(surface: str, operation: str) -> None:
    maker = SpanMaker(sampling=ALL, for_langfuse=False)

    dispatch, _ = maker.spans(a_record(surface=surface), None, {})

    assert dispatch.name == f"{operation} gpt"


def test_each_figure_of_a_dispatch_is_told_by_its_own_name() -> None:
    gemini = deployment("house", "fast", kind="google")
    provider = msgspec.structs.replace(gemini.provider, address="http://llm.example.com/v1")
    gemini = msgspec.structs.replace(gemini, model="gemini-3", provider=provider)
    record = a_record(
        provider="house",
        deployment="fast",
        deployment_id=gemini.id,
        stream=True,
        attempt=2,
        end_user="bea",
        status="interrupted",
        error_code="PROVIDER_TIMEOUT",
        error_detail="The prompt was: hush",
        finish_reason="length",
        served_model="gemini-3-001",
        evidence="estimated",
        input_tokens=1_000,
        cached_input_tokens=200,
        cache_write_5m_tokens=30,
        cache_write_1h_tokens=4,
        output_tokens=500,
        reasoning_tokens=60,
        cost_pico=6 * 10**12,
        input_cost_pico=2 * 10**12,
        output_cost_pico=3 * 10**12,
        request_cost_pico=10**12,
        saved_pico=7 * 10**12,
        latency_ms=900.0,
        first_token_ms=250.5,
        overhead_ms=100.0,
    )

    dispatch, call = SpanMaker(sampling=ALL, for_langfuse=True).spans(record, None, {gemini.id: gemini})

    both = {
        "gen_ai.operation.name": "chat",
        "error.type": "PROVIDER_TIMEOUT",
        "user.id": "bea",
        "aiplatform.request_id": record.request_id,
        "aiplatform.client": "alice",
        "aiplatform.key_prefix": "aip_12345678",
        "gen_ai.request.stream": True,
        "langfuse.user.id": "bea",
        "langfuse.trace.tags": ["team=search"],
        "langfuse.trace.metadata.team": "search",
        "langfuse.trace.metadata.client": "alice",
        "langfuse.trace.metadata.request_id": record.request_id,
        "langfuse.observation.level": "ERROR",
        "langfuse.observation.status_message": "PROVIDER_TIMEOUT",
    }
    assert told(call) == both | {
        "gen_ai.request.model": "default",
        "aiplatform.surface": "openai.chat",
        "aiplatform.status": "interrupted",
        "aiplatform.attempts": 2,
        "aiplatform.overhead_ms": 100.0,
        "aiplatform.saved_usd": 7.0,
        "langfuse.trace.name": "openai.chat",
        "langfuse.observation.type": "span",
    }
    of_dispatch = told(dispatch)
    assert json.loads(of_dispatch.pop("langfuse.observation.usage_details")) == {
        "input": 1_000 - 200 - 34,
        "input_cached_tokens": 200,
        "input_cache_creation": 34,
        "output": 500 - 60,
        "output_reasoning_tokens": 60,
        "total": 1_500,
    }
    costs = {"input": 2.0, "output": 3.0, "request": 1.0, "total": 6.0}
    assert json.loads(of_dispatch.pop("langfuse.observation.cost_details")) == costs
    assert of_dispatch == both | {
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "gemini-3",
        "gen_ai.response.model": "gemini-3-001",
        "gen_ai.response.finish_reasons": ["length"],
        "gen_ai.response.time_to_first_chunk": 0.2505,
        "gen_ai.usage.input_tokens": 1_000,
        "gen_ai.usage.output_tokens": 500,
        "gen_ai.usage.cache_read.input_tokens": 200,
        "gen_ai.usage.cache_creation.input_tokens": 34,
        "gen_ai.usage.reasoning.output_tokens": 60,
        "server.address": "llm.example.com",
        "server.port": 80,
        "aiplatform.attempt": 2,
        "aiplatform.deployment": "fast",
        "aiplatform.evidence": "estimated",
        "aiplatform.cost_usd": 6.0,
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "gemini-3-001",
        "langfuse.observation.completion_start_time": "2026-11-01T12:00:00.250+00:00",
    }


def told(span: Span) -> dict[str, Any]:
    return {pair.key: collected_value(pair.value) for pair in span.attributes}


def test_a_dispatch_is_a_child_at_the_end_of_its_call() -> None:
    began_at = rows.NOW + timedelta(microseconds=123_456)
    times = {"started_at": began_at, "latency_ms": 900.5, "overhead_ms": 100.0}
    maker = SpanMaker(sampling=ALL, for_langfuse=False)

    dispatch, call = maker.spans(a_record(**times), Calling("r", f"00-{TRACE:032x}-{PARENT:016x}-01"), {})
    [first] = maker.spans(a_record(**times, is_final=False, error_code="PROVIDER_ERROR"), None, {})
    [refused] = maker.spans(a_record(**times, attempt=0), None, {})

    began_ns = 1_793_534_400_123_456_000
    ended_ns = began_ns + 900_500_000
    assert (call.start_time_unix_nano, call.end_time_unix_nano) == (began_ns, ended_ns)
    assert (dispatch.start_time_unix_nano, dispatch.end_time_unix_nano) == (began_ns + 100_000_000, ended_ns)
    assert (dispatch.kind, call.kind, first.kind, refused.kind) == (CLIENT, SERVER, CLIENT, SERVER)
    assert (dispatch.parent_span_id, call.parent_span_id) == (call.span_id, PARENT.to_bytes(8))
    assert [span.flags for span in (dispatch, call, refused)] == [0x101, 0x301, 0x101]
    assert [span.status.code for span in (dispatch, first)] == [Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR]


def test_what_went_well_is_no_error_and_an_embedding_no_generation() -> None:
    maker = SpanMaker(sampling=ALL, for_langfuse=True)

    dispatch, _ = maker.spans(a_record(surface="openai.embeddings"), None, {})

    assert told(dispatch)["langfuse.observation.type"] == "embedding"
    assert not {"error.type", "langfuse.observation.level"} & told(dispatch).keys()


def test_an_unknown_cost_is_not_told_as_none() -> None:
    maker = SpanMaker(sampling=ALL, for_langfuse=True)

    spans = maker.spans(a_record(cost_pico=None, input_cost_pico=None, output_cost_pico=None), None, {})

    told = {pair.key for span in spans for pair in span.attributes}
    assert "aiplatform.cost_usd" not in told
    assert "gen_ai.usage.input_tokens" in told


def test_what_comes_while_the_queue_is_full_is_dropped_and_told_once() -> None:
    with TraceCollector() as collector, structlog.testing.capture_logs() as log:
        collector.hangs = True
        with _exporting(collector.url) as exporter:
            exporter.add(a_record())
            wait_until(lambda: bool(collector.posts))
            record = a_record()
            for _ in range(QUEUE_LENGTH + 10):
                exporter.add(record)
            collector.let_go()
            collector.await_spans(2 * (QUEUE_LENGTH + 1))

    told = [(line["event"].partition(":")[0], line.get("dropped")) for line in log]
    assert told == [("traces are dropped", None), ("traces are taken again", 10)]


def test_a_collector_that_comes_back_gets_what_waited() -> None:
    port = free_port()
    with structlog.testing.capture_logs() as log, _exporting(f"http://127.0.0.1:{port}") as exporter:
        record = a_record()
        for _ in range(3):
            exporter.add(record)
        wait_until(lambda: any(line["event"] == "traces are not taken" for line in log))
        with TraceCollector(port=port) as collector:
            collector.await_spans(6)
            wait_until(lambda: any(line["event"] == "traces are taken again" for line in log))


def test_a_full_batch_goes_at_once_and_keeps_each_calls_own_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_EVERY_S", 600)
    with TraceCollector() as collector, _exporting(collector.url) as exporter:
        for number in range(BATCH):
            calling.begin(f"req_{number}", f"00-{number + 1:032x}-{PARENT:016x}-01")
            exporter.add(a_record())

        spans = collector.await_spans(2 * BATCH)

    assert len({span.trace_id for span in spans}) == BATCH


def test_what_waits_at_the_end_is_sent_in_the_operators_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_EVERY_S", 600)
    with TraceCollector() as collector:
        with _exporting(collector.url) as exporter:
            exporter.add(a_record())

        assert len(collector.spans) == 2
        assert collector.posts[0].headers["x-tenant"] == "house"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_collector_that_is_overrun_is_asked_again_after_pauses_that_end(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_LONGEST_PAUSE_S", 0.02)
    with TraceCollector() as collector, _exporting(collector.url) as exporter:
        collector.statuses += [status] * 20  # the last pause would be an hour and a half

        exporter.add(a_record())

        collector.await_spans(2)


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_what_is_refused_for_good_is_not_sent_again(status: int) -> None:
    with TraceCollector() as collector, structlog.testing.capture_logs() as log:
        collector.statuses += [status, status]
        with _exporting(collector.url) as exporter:
            exporter.add(a_record())
            wait_until(lambda: len(collector.posts) == 1)
            exporter.add(a_record())
            wait_until(lambda: len(collector.posts) == 2)
            exporter.add(a_record())
            collector.await_spans(2)

    assert len(collector.posts) == 3
    assert [line["reason"] for line in log if line["event"] == "traces are not taken"] == [f"HTTP {status}"]


def test_a_collector_that_compresses_its_answer_has_taken_them() -> None:
    with TraceCollector() as collector, structlog.testing.capture_logs() as log:
        collector.encoding = "gzip"
        with _exporting(collector.url) as exporter:
            exporter.add(a_record())
            collector.await_spans(2)

    assert len(collector.posts) == 1
    assert not [line for line in log if line["log_level"] in ("warning", "error")]


def test_a_row_that_cannot_be_told_costs_its_batch_alone() -> None:
    broken = a_record(tags="{not json")
    with TraceCollector() as collector, structlog.testing.capture_logs() as log:
        langfuse = Collector(name="langfuse", url=f"{collector.url}/v1/traces", headers={}, is_langfuse=True)
        tracing = Tracing(service="tests", sampling=ALL, collectors=(langfuse,))
        exporter = Exporter(langfuse, tracing, dict)
        exporter.start()
        exporter.add(broken)
        wait_until(lambda: any("could not be sent" in line["event"] for line in log))
        exporter.add(a_record())
        collector.await_spans(2)
        exporter.stop()
