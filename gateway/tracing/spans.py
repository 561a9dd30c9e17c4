"""From usage rows to spans as they travel: one for a row's dispatch, and on the final row one for its call.

They are written as OTLP's own messages. The SDK is made to follow code while it runs, which these need not; and where
it is installed, each process imports a part of it with its Redis client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from core.calling import Calling
from gateway.tracing import attributes
from gateway.tracing.attributes import Attributes
from gateway.tracing.collectors import Sampling
from gateway.tracing.identity import Identity, identity
from providers.specs import DeploymentSpec
from usage.rows import RecordRow

_NS_PER_MS = 1_000_000
_SAMPLED, _KNOWS_PARENT, _PARENT_IS_REMOTE = 0x001, 0x100, 0x200  # of `Span.flags`


class SpanMaker:
    """With `for_langfuse`, spans carry its own attributes besides."""

    def __init__(self, *, sampling: Sampling, for_langfuse: bool) -> None:
        self._sampling = sampling
        self._for_langfuse = for_langfuse

    def spans(
        self, record: RecordRow, calling: Calling | None, deployments: Mapping[UUID, DeploymentSpec]
    ) -> list[Span]:
        """None of a trace that is not sampled."""
        ids = identity(record, calling)
        parent_is_kept = ids.parent.is_sampled if ids.parent is not None else None
        if not self._sampling.keeps(ids.trace_id, parent_is_kept=parent_is_kept):
            return []
        made = []
        if record.attempt:
            deployment = deployments.get(record.deployment_id) if record.deployment_id is not None else None
            made.append(self._dispatch(record, ids, deployment))
        if record.is_final:
            made.append(self._call(record, ids))
        return made

    def _dispatch(self, record: RecordRow, ids: Identity, deployment: DeploymentSpec | None) -> Span:
        told = attributes.of_dispatch(record, deployment)
        more = attributes.langfuse_of_dispatch(record) if self._for_langfuse else {}
        return Span(
            trace_id=_trace_id(ids),
            span_id=_span_id(ids.dispatch_id),
            parent_span_id=_span_id(ids.call_id),
            flags=_SAMPLED | _KNOWS_PARENT,
            name=f"{attributes.operation(record)} {told['gen_ai.request.model']}",
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=_ended_ns(record) - _ns((record.latency_ms or 0) - (record.overhead_ms or 0)),
            end_time_unix_nano=_ended_ns(record),
            attributes=_pairs({**told, **more}),
            status=_status(record),
        )

    def _call(self, record: RecordRow, ids: Identity) -> Span:
        more = attributes.langfuse_of_call(record) if self._for_langfuse else {}
        return Span(
            trace_id=_trace_id(ids),
            span_id=_span_id(ids.call_id),
            parent_span_id=_span_id(ids.parent.span_id) if ids.parent is not None else b"",
            flags=_SAMPLED | _KNOWS_PARENT | (_PARENT_IS_REMOTE if ids.parent is not None else 0),
            name=record.surface,
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=_began_ns(record),
            end_time_unix_nano=_ended_ns(record),
            attributes=_pairs({**attributes.of_call(record), **more}),
            status=_status(record),
        )


def request(spans: Iterable[Span], *, service: str) -> bytes:
    """The body of one export."""
    scope = ScopeSpans(scope=InstrumentationScope(name="aiplatform"), spans=spans)
    resource = Resource(attributes=_pairs({"service.name": service}))
    told = ResourceSpans(resource=resource, scope_spans=[scope])
    return ExportTraceServiceRequest(resource_spans=[told]).SerializeToString()


def _pairs(told: Attributes) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in told.items()]


def _value(value: str | float | Sequence[str]) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):  # before the numbers, of which it is one
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=each) for each in value]))


def _status(record: RecordRow) -> Status:
    return Status(code=Status.STATUS_CODE_ERROR if record.error_code else Status.STATUS_CODE_UNSET)


def _trace_id(ids: Identity) -> bytes:
    return ids.trace_id.to_bytes(16)


def _span_id(number: int) -> bytes:
    return number.to_bytes(8)


def _began_ns(record: RecordRow) -> int:
    return round(record.started_at.timestamp() * 1_000_000) * 1_000


def _ended_ns(record: RecordRow) -> int:
    """By the call's own clock, which does not jump: so that a dispatch lies within its call."""
    return _began_ns(record) + _ns(record.latency_ms or 0)


def _ns(milliseconds: float) -> int:
    return round(max(milliseconds, 0) * _NS_PER_MS)
