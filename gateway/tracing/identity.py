"""The ids of a call's trace and spans. All rows of a call agree on them without asking each other. Pure."""

from __future__ import annotations

import re
from hashlib import blake2b

import msgspec

from core.calling import Calling
from usage.rows import RecordRow

# https://www.w3.org/TR/trace-context/#traceparent-header; later versions may have more after the flags.
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01


class Parent(msgspec.Struct, frozen=True):
    """The caller's span."""

    trace_id: int
    span_id: int
    is_sampled: bool


class Identity(msgspec.Struct, frozen=True):
    """`dispatch_id` is that of the row's own dispatch."""

    trace_id: int
    call_id: int
    dispatch_id: int
    parent: Parent | None


def identity(record: RecordRow, calling: Calling | None) -> Identity:
    parent = _parent(calling.traceparent) if calling is not None else None
    call = f"{record.request_id} {record.client_id} {record.started_at.isoformat()}"
    return Identity(
        trace_id=parent.trace_id if parent is not None else _id(call, "trace", size=16),
        call_id=_id(call, "call", size=8),
        dispatch_id=_id(str(record.id), "dispatch", size=8),
        parent=parent,
    )


def _parent(header: str) -> Parent | None:
    """None where there is none, or none that the standard allows."""
    match = _TRACEPARENT.fullmatch(header)
    if match is None or (match[1] == "00" and match[5]):
        return None
    trace_id, span_id = int(match[2], 16), int(match[3], 16)
    if not (trace_id and span_id):
        return None
    return Parent(trace_id, span_id, bool(int(match[4], 16) & _SAMPLED))


def _id(of: str, use: str, *, size: int) -> int:
    """Never 0, which would mean none."""
    return int.from_bytes(blake2b(of.encode(), digest_size=size, person=use.encode()).digest()) or 1
