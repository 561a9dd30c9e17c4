"""The doors that need no key."""

from __future__ import annotations

from typing import Literal

import msgspec

from aiplatform.documented.operation import Operation, PlainError
from aiplatform.documented.specification_shapes import ServiceStatus


class HealthWord(msgspec.Struct):
    """`unavailable`, with status 503, where the database does not answer."""

    status: Literal["ok", "unavailable"]


def _open(path: str, summary: str, *, answers: tuple[int, ...] = (200, 503)) -> Operation:
    return Operation(
        method="GET",
        path=path,
        tag="Health",
        summary=summary,
        answer=HealthWord,
        error=PlainError,
        key="",
        answers=answers,
    )


def _told_more(path: str) -> Operation:
    return msgspec.structs.replace(
        _open(path, "Whether the database answers; with a key, how each provider is doing"),
        answer=(HealthWord, ServiceStatus),
    )


OPERATIONS = (
    _open("/ping", "Whether the process answers", answers=(200,)),
    _open("/livez", "Whether the process answers", answers=(200,)),
    _open(
        "/readyz", "Whether the database answers: while it is away, pages and reports are not served, most calls are"
    ),
    _told_more("/health"),
    _told_more("/v1/health"),
)
