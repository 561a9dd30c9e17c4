"""What a process that serves begins with, and its end where it serves gRPC beside HTTP."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pytest_django.fixtures import Settings

from aiplatform.serving import Serving, _open_as_many_files_as_may_be
from tests.gateway import gateways
from tests.servers import PATIENCE_S, free_port

pytestmark = pytest.mark.django_db(transaction=True)


def test_grpc_takes_no_new_calls_once_it_is_told_to_stop(tmp_path: Path, settings: Settings) -> None:
    """However long HTTP's calls last, for which whoever serves them waits before it stops the rest."""
    settings.GRPC_PORT, settings.METRICS_PORT, settings.STATE_DIR = free_port(), 0, tmp_path

    async def asked() -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{settings.GRPC_PORT}") as channel:
            # One that comes in the very moment of the stop is not taken either, but may be left without an answer.
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S / 4)

    async def asked_for_ever() -> None:
        while True:
            await asked()

    async def story() -> None:
        serving = Serving(tallies_dir=tmp_path, is_metrics_port_shared=False)
        await serving.start()
        try:
            await serving.start_grpc()
            await asked()

            serving.told_to_stop()

            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(grpc.aio.AioRpcError):
                    await asked_for_ever()
        finally:
            await serving.stop()
            await gateways.let_go(serving.gateway)

    asyncio.run(story())


def test_it_may_open_as_many_files_as_the_system_lets_it(tmp_path: Path, settings: Settings) -> None:
    """Many systems begin with 1,024: half as many calls at once."""
    settings.METRICS_PORT, settings.STATE_DIR = 0, tmp_path
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def story() -> None:
        serving = Serving(tallies_dir=tmp_path, is_metrics_port_shared=False)
        await serving.start()
        await serving.stop()
        await gateways.let_go(serving.gateway)

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, most))
    try:
        asyncio.run(story())
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert allowed == (65_536 if most == resource.RLIM_INFINITY else min(most, 65_536))


@pytest.mark.parametrize(("bound", "asked"), [(61_440, [65_536, 32_768]), (10_240, [65_536, 32_768, 16_384])])
def test_where_the_system_allows_fewer_files_than_it_says_half_as_many_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, bound: int, asked: list[int]
) -> None:
    """As on macOS, which tells no hard limit, and refuses more than `kern.maxfilesperproc`."""
    seen: list[int] = []

    def setrlimit(_kind: int, limits: tuple[int, int]) -> None:
        seen.append(limits[0])
        if limits[0] > bound:
            raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (10_240, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)

    _open_as_many_files_as_may_be()

    assert seen == asked
