"""The parts of tracing by themselves: who is whose parent, what is sampled, and a queue that is full."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

from core import calling
from core.calling import Calling
from gateway.tracing.collectors import Collector, Sampling, Tracing, sampling
from gateway.tracing.exporter import BATCH, QUEUE_LENGTH, Exporter
from gateway.tracing.identity import identity
from gateway.tracing.spans import SpanMaker
from tests.collector import TraceCollector
from tests.servers import free_port, wait_until
from tests.usage import rows
from usage.rows import FACTS, RecordRow

TRACE, PARENT = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
ALL = Sampling(share=1.0)
_numbers = itertools.count()


def a_record(**given: Any) -> RecordRow:
    """Of a call of its own, unless a request id is given."""
    facts = {"request_id": f"req_{next(_numbers)}"} | {name: value for name, value in given.items() if name in FACTS}
    more = {name: value for name, value in given.items() if name not in FACTS}
    return rows.record(rows.hold(**facts), **more)


@contextmanager
def _exporting(url: str) -> Iterator[Exporter]:
    collector = Collector(name="otlp", url=f"{url}/v1/traces", headers={})
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


def test_a_callers_span_is_the_parent() -> None:
    header = f"00-{TRACE:032x}-{PARENT:016x}-01"

    found = identity(a_record(), Calling("req_1", header))

    assert found.trace_id == TRACE
    assert found.parent is not None
    assert (found.parent.span_id, found.parent.is_sampled) == (PARENT, True)


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

    dropped = [line for line in log if line["event"].startswith("traces are dropped")]
    assert len(dropped) == 1


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


def test_a_full_batch_goes_at_once_and_keeps_each_calls_own_trace() -> None:
    with TraceCollector() as collector, _exporting(collector.url) as exporter:
        for number in range(BATCH):
            calling.begin(f"req_{number}", f"00-{number + 1:032x}-{PARENT:016x}-01")
            exporter.add(a_record())

        spans = collector.await_spans(2 * BATCH)

    assert len({span.trace_id for span in spans}) == BATCH


@pytest.mark.parametrize("status", [400, 401, 404])
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
