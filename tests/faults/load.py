"""Callers, many at once, each of whose calls carries a name that the books and the provider's bill both know."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import aiohttp

from tests.product import Product

_numbers = itertools.count(1)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Told:
    """How a call went. `status` 0: the connection broke, or the caller left."""

    name: str
    key: str
    status: int
    code: str = ""
    seconds: float = 0.0
    heard: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        return self.status == 200

    @property
    def ended(self) -> bool:
        return "[DONE]" in self.heard


class Callers:
    """`async with Callers(product) as callers`, within `run`."""

    def __init__(self, product: Product) -> None:
        self._product = product

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=aiohttp.ClientTimeout(60)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(
        self,
        *,
        key: str | None = None,
        model: str = "up-chat",
        name: str | None = None,
        leave_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> Told:
        """A chat completion through the OpenAI door; `leave_after_s`: the caller hangs up then."""
        name, key = name or new_name(), key or self._product.key
        body = {"model": model, "messages": [{"role": "user", "content": name}], **fields}
        sent = {"Authorization": f"Bearer {key}", "X-Request-ID": name, **(headers or {})}
        began = time.monotonic()
        try:
            async with asyncio.timeout(leave_after_s):
                async with self._session.post(
                    self._product.url("/v1/chat/completions"), json=body, headers=sent
                ) as answer:
                    heard = (await answer.read()).decode()
                    status, told = answer.status, answer.headers
        except (TimeoutError, aiohttp.ClientError):
            return Told(name=name, key=key, status=0, seconds=time.monotonic() - began)
        code = json.loads(heard)["error"]["code"] if status >= 400 else ""
        return Told(
            name=name, key=key, status=status, code=code, seconds=time.monotonic() - began, heard=heard, headers=told
        )

    async def get(self, path: str, key: str | None = None) -> tuple[int, float]:
        """(status, seconds)."""
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with self._session.get(self._product.url(path), headers=headers) as answer:
            await answer.read()
            return answer.status, time.monotonic() - began


def run(product: Product, story: Callable[[Callers], Awaitable[T]]) -> T:
    async def told() -> T:
        async with Callers(product) as callers:
            return await story(callers)

    return asyncio.run(told())


def new_name() -> str:
    return f"call-{next(_numbers)}-x"


def statuses(told: Iterable[Told]) -> dict[str, int]:
    """How many of each status and code."""
    return dict(Counter(f"{each.status} {each.code}".strip() for each in told))


def say(text: str) -> None:
    """A figure, for whoever asks to see them (`make faults`)."""
    sys.stdout.write(f"{text}\n")
