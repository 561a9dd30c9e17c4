"""Fixtures that all tests share: real servers, the product as real processes, a scripted provider, a fixed cast.

`product` and `production` serve the whole session: tests add to them and never change what others rely on. Who kills,
restarts or reconfigures takes `new_product` or `new_production`. Tests of the database itself run twice, on SQLite and
on PostgreSQL (`test_on_postgresql.py`).
"""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.test import TransactionTestCase
from hypothesis import HealthCheck
from xdist.remote import Producer
from xdist.scheduler import Scheduling

from accounts.models import Client
from tests import environment, families, pristine, upstream_gemini, upstream_ollama, upstream_responses
from tests import product as products
from tests.prepare import CAST
from tests.product import Product, Template
from tests.servers import Servers
from tests.upstream import Upstream

# How long it takes to make up examples is the machine's affair.
hypothesis.settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.settings.load_profile("any machine")

ON_POSTGRESQL = "TEST_DATABASE_URL" in os.environ
_LOG_END = 8_000
_DATABASE_FIXTURES = {"db", "transactional_db", "django_db_reset_sequences", "django_db_serialized_rollback"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The run on PostgreSQL repeats those tests alone that use the database in process.

    What is only true of one of the two databases is left to its run.
    """
    kept = [item for item in items if _is_for_this_run(item)]
    config.hook.pytest_deselected(items=[item for item in items if not _is_for_this_run(item)])
    items[:] = kept
    items.sort(key=lambda item: families.rank(file_of(item)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays: looking at it again and again took 8 of 18 s in each process that collects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return families.Families(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What fails against a product has the end of that one's log."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Product):
                report.sections.append((f"the end of the log of {name}", value.log()[-_LOG_END:]))
    return report


def _is_for_this_run(item: pytest.Item) -> bool:
    only = item.get_closest_marker("only_on")
    if only is not None and only.args != ("postgresql" if ON_POSTGRESQL else "sqlite",):
        return False
    return uses_database(item) or not ON_POSTGRESQL


def file_of(item: pytest.Item) -> str:
    """Its path from the root."""
    return item.nodeid.partition("::")[0]


def uses_database(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return item.get_closest_marker("django_db") is not None or bool(fixtures & _DATABASE_FIXTURES)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """What a test that commits leaves is taken back by `tests.pristine`, which the ledger's triggers do not refuse."""
    with django_db_blocker.unblock():
        as_it_was = pristine.remember()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: as_it_was.restore())
        yield


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A PostgreSQL and a Redis for the session, each started when first asked for."""
    running = Servers()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def session_upstream() -> Iterator[Upstream]:
    with Upstream({**upstream_gemini.FACES, **upstream_ollama.FACES, **upstream_responses.FACES}) as upstream:
        yield upstream


@pytest.fixture
def upstream(session_upstream: Upstream) -> Iterator[Upstream]:
    """The scripted provider behind `up-chat`, `up-unpriced`, `up-embed` and `up-claude`, with an empty bill."""
    session_upstream.reset()
    yield session_upstream
    session_upstream.reset()


@pytest.fixture(scope="session")
def states() -> Iterator[Path]:
    """For the data of all installations: a call waits for the ledger's and the journal's fsyncs."""
    with tempfile.TemporaryDirectory(
        prefix="aip-states-", dir=environment.memory(), ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def embedded_template(states: Path, session_upstream: Upstream) -> Template:
    return products.embedded_template(states / "embedded-template", upstream_url=session_upstream.url)


@pytest.fixture(scope="session")
def production_template(states: Path, session_upstream: Upstream, servers: Servers) -> Template:
    folder = states / "production-template"
    return products.production_template(folder, upstream_url=session_upstream.url, postgres=servers.postgres)


NewProduct = Callable[..., AbstractContextManager[Product]]


@pytest.fixture(scope="session")
def new_product(embedded_template: Template, states: Path) -> NewProduct:
    """An embedded product of one's own: `with new_product(env={…}, jobs=True) as product`."""
    return partial(products.embedded, embedded_template, folder=states)


@pytest.fixture(scope="session")
def new_production(production_template: Template, servers: Servers, states: Path) -> NewProduct:
    """One's own, on the session's servers or on others: `with new_production(workers=4, redis=own) as product`."""
    return partial(
        products.production, production_template, folder=states, postgres=servers.postgres, redis=servers.redis
    )


@pytest.fixture(scope="session")
def product(new_product: NewProduct) -> Iterator[Product]:
    """The session's embedded product: one web process, SQLite."""
    with new_product() as running:
        yield running


@pytest.fixture(scope="session")
def production(new_production: NewProduct) -> Iterator[Product]:
    """The session's production product: two web workers, PostgreSQL, Redis."""
    with new_production() as running:
        yield running


@pytest.fixture(params=["embedded", "production"])
def topology(request: pytest.FixtureRequest) -> Product:
    """The test runs on both of the session's products."""
    name = {"embedded": "product", "production": "production"}[request.param]
    running: Product = request.getfixturevalue(name)
    return running


@pytest.fixture
def cast(db: None) -> dict[str, Client]:
    """Alice, Bob and Charlie, in process."""
    return {name: Client.objects.create(name=name) for name in CAST}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """For what a test opens and must close, however it ends."""
    with ExitStack() as opened:
        yield opened
