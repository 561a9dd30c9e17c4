"""What the gateway takes from the database about providers' health, and what its processes tell each other."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from django.utils import timezone

from gateway.catalogue import Catalogue, Snapshot, Source
from gateway.circuits import Circuits, unhealthy_providers
from providers.errors import UpstreamError
from providers.models import Health, Provider
from providers.resilience.board import Board, Pass
from providers.resilience.breaker import Policy
from providers.specs import DeploymentSpec, Topology
from providers.standing import STALE_AFTER
from tests import servers as real
from tests.providers.topologies import deployment
from tests.servers import PATIENCE_S, Redis
from usage.budgets import Budgets

ONE = deployment("one")
QUICK = deployment("one", circuit=Policy(open_s=0.01))  # at once a trial is due
RESET = deployment("one", forgiven_at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.django_db
def test_an_old_check_speaks_against_nobody() -> None:
    now = timezone.now()
    old, fresh, fine = (Provider.objects.create(name=name, slug=name, kind="demo") for name in ("old", "fresh", "fine"))
    for provider, age, status in (
        (old, STALE_AFTER + timedelta(seconds=1), Health.Status.UNHEALTHY),
        (fresh, STALE_AFTER - timedelta(seconds=1), Health.Status.UNHEALTHY),
        (fine, timedelta(0), Health.Status.HEALTHY),
    ):
        Health.objects.create(provider=provider, status=status, checked_at=now - age)

    assert unhealthy_providers(now=now) == {fresh.pk}


class Process:
    """One of an installation's, in step when it is told to."""

    def __init__(self, redis: Redis, *specs: DeploymentSpec) -> None:
        self.board = Board(Random(0))
        self._catalogue = Catalogue(snapshot(*specs), Source(), ThreadPoolExecutor(1))
        self._circuits = Circuits(self.board, self._catalogue, redis_url=redis.url)

    async def steps(self, count: int = 1) -> None:
        for _ in range(count):
            await self._circuits.round()

    def break_down(self, spec: DeploymentSpec = ONE) -> None:
        now = time.perf_counter()
        for _ in range(spec.provider.circuit.failures):
            leave = self.board.seek(spec, now)
            assert isinstance(leave, Pass)
            self.board.failed(leave, UpstreamError("broken", status=500), now)

    def call(self, spec: DeploymentSpec) -> Pass | None:
        """What has nowhere else to go; None: it may not be made now."""
        found = self.board.seek(spec, time.perf_counter(), early=True)
        return found if isinstance(found, Pass) else None

    def answer(self, leave: Pass | None) -> None:
        assert leave is not None
        self.board.answered(leave, 100, time.perf_counter())

    def learn_of_reset(self) -> None:
        self._catalogue.current = snapshot(RESET)

    def is_open(self) -> bool:
        return self.board.is_open(ONE)

    def run(self) -> asyncio.Task[None]:
        """As the gateway has it, until cancelled."""
        return asyncio.create_task(self._circuits.run())

    async def close(self) -> None:
        await self._circuits.close()


def snapshot(*specs: DeploymentSpec) -> Snapshot:
    topology = Topology(names={}, deployments=specs, routes=(), catch_all=None)
    return Snapshot(revision=1, callers={}, topology=topology, budgets=Budgets(()))


@contextmanager
def taking_nothing(redis: Redis) -> Iterator[None]:
    """It answers who reads. What is written within is never executed, if nobody waits for the end."""
    redis.client.client_pause(60_000, all=False)
    try:
        yield
    finally:
        redis.client.client_unpause()


async def stall(redis: Redis) -> None:
    """No command of now and of the next second is ever executed, if nobody waits for longer than that."""
    await asyncio.to_thread(redis.client.execute_command, "CLIENT", "PAUSE", 1_500, "ALL")


def told(story: Callable[[Redis, Process, Process], Awaitable[None]], *specs: DeploymentSpec) -> None:
    async def bounded(redis: Redis) -> None:
        here, there = (Process(redis, *(specs or (ONE,))) for _ in range(2))
        try:
            async with asyncio.timeout(PATIENCE_S):
                await story(redis, here, there)
        finally:
            await here.close()
            await there.close()

    with real.redis() as redis:
        asyncio.run(bounded(redis))


def test_what_could_not_be_told_in_time_is_told_later() -> None:
    async def story(redis: Redis, here: Process, there: Process) -> None:
        await there.steps()
        here.break_down()
        with taking_nothing(redis):
            await here.steps()
            await there.steps(2)
            assert not there.is_open()

        await here.steps()
        await there.steps()

        assert there.is_open()

    told(story)


def test_a_reset_holds_also_where_redis_was_away_in_that_moment() -> None:
    """What the other one told before the reset is still to be found there, and is found again."""

    async def story(redis: Redis, here: Process, there: Process) -> None:
        here.break_down()
        await here.steps()
        await there.steps()
        assert there.is_open()

        there.learn_of_reset()
        await stall(redis)
        await there.steps(2)
        assert not there.is_open()

        await there.steps(2)
        assert not there.is_open()
        await here.steps()
        assert not here.is_open()

    told(story)


def test_while_the_database_hangs_circuits_are_shared() -> None:
    """Whoever asks it has no thread to wait in."""

    async def story(redis: Redis, here: Process, there: Process) -> None:
        thaw = threading.Event()
        with ThreadPoolExecutor(1) as only:
            asyncio.get_running_loop().set_default_executor(only)
            only.submit(thaw.wait)
            running = [process.run() for process in (here, there)]
            here.break_down()
            try:
                while not there.is_open():  # noqa: ASYNC110 - it is told by nobody
                    await asyncio.sleep(0.01)
            finally:
                thaw.set()
                for each in running:
                    each.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    told(story)


def test_it_ends_in_whichever_moment_it_is_told_to() -> None:
    """One of them is that in which a command has just been sent, and nobody hears of it."""

    async def story(redis: Redis, here: Process, there: Process) -> None:
        for moment in range(60):
            running = here.run()
            for _ in range(moment):
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait({running}, timeout=PATIENCE_S / 10)
            assert running.cancelled()

    told(story)


def test_one_process_at_a_time_tries_whichever_the_calls_come_to() -> None:
    """The one that has made a trial leaves the next to another that is called when it is not."""

    async def story(redis: Redis, here: Process, there: Process) -> None:
        here.break_down(QUICK)
        await here.steps()
        await there.steps()
        await asyncio.sleep(2 * QUICK.provider.circuit.open_s)
        assert not here.call(QUICK)
        await here.steps()
        trial = here.call(QUICK)

        for _ in range(2):
            assert not there.call(QUICK)
            await there.steps()
            await here.steps()
        here.answer(trial)

        async with asyncio.timeout(PATIENCE_S):
            while not (second := there.call(QUICK)):
                await there.steps()
                await here.steps()
                await asyncio.sleep(0.05)
        there.answer(second)
        assert not here.call(QUICK)

    told(story, QUICK)


def test_thousands_of_open_circuits_are_shared_and_tried_in_a_few_commands() -> None:
    models = [deployment("one", f"model-{number}", circuit=QUICK.provider.circuit) for number in range(2_000)]

    async def story(redis: Redis, here: Process, there: Process) -> None:
        await here.steps()
        for model in models:
            here.break_down(model)
        await asyncio.sleep(2 * QUICK.provider.circuit.open_s)
        asked = redis.client.info("stats")["total_reads_processed"]
        for model in models:
            assert not here.call(model)

        await here.steps()

        assert here.board.claims == {model.id for model in models}
        # A read takes in 16 KiB of a long command.
        assert redis.client.info("stats")["total_reads_processed"] - asked < 200

    told(story, *models)
