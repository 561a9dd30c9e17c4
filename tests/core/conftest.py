"""Fixtures of the HTTP client's tests."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from tests.core.hosts import Run


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a story on each kind of event loop: uvloop is what the product's servers have."""
    chosen: Run = request.param
    return chosen
