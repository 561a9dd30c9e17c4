"""Circuits as people and programs meet them: seen, explained, reset, and shared by all workers of an installation."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.admin_session import AdminSession
from tests.journeys.dialects import OPENAI
from tests.product import Product
from tests.servers import Servers, wait_until
from tests.upstream import Fault, Upstream

OPEN_AFTER = 3
KNOWN_S = 3.0  # what one worker learns the others know within a second; the rest for a busy machine
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def workers(new_production: NewProduct) -> Iterator[Product]:
    """Two of them, with PostgreSQL and Redis."""
    with new_production(workers=2) as running:
        yield running


@pytest.fixture(params=["embedded", "production"])
def installation(request: pytest.FixtureRequest) -> Product:
    running: Product = request.getfixturevalue({"embedded": "house", "production": "workers"}[request.param])
    return running


def fragile(product: Product, upstream: Upstream, **settings: Any) -> str:
    """A model of a provider of its own, whose circuit opens after three failures."""
    name = f"x-fragile-{next(_numbers)}"
    operating.add_provider(
        product,
        name=name,
        kind="custom",
        endpoint=upstream.openai_url,
        model=name,
        failureThreshold=OPEN_AFTER,
        **settings,
    )
    return name


def with_spare(product: Product, upstream: Upstream) -> tuple[str, int]:
    """The model, and the priority of its spare at `<model>-spare`, where it is called otherwise."""
    model, below = fragile(product, upstream), operating.AFTER_THE_REST - 10
    made = operating.add_provider(
        product, name=f"{model}-spare", kind="custom", endpoint=upstream.openai_url, model=model, priority=below
    )
    rename = "UPDATE providers_deployment SET upstream_name = %s WHERE provider_id = %s"
    product.sql(rename, f"{model}-elsewhere", made.replace("-", ""))
    product.until_in_force()
    return model, below


def break_down(product: Product, upstream: Upstream, model: str) -> None:
    """All workers leave it alone."""
    upstream.always(model, Fault(status=500))
    operating.until_all_agree(lambda: OPENAI.call(product, model).status == 503)


def until_it_answers(product: Product, model: str) -> None:
    """Well, from every worker."""
    last: list[object] = []

    def it_does() -> bool:
        answer = OPENAI.call(product, model)
        if answer.status != 200:
            last[:] = [answer.status, answer.text]
        return answer.status == 200

    try:
        operating.until_all_agree(it_does)
    except TimeoutError as error:
        status = product.request("GET", "/v1/providers/status", key=product.key).text
        rows = product.sql("SELECT slug, circuits_reset_at FROM providers_provider WHERE slug = %s", model)
        raise AssertionError(f"{model} was last answered with {last}; it is {rows}, all stand so: {status}") from error


def circuit_state(product: Product, name: str) -> str:
    answer = product.request("GET", "/v1/providers/status", key=product.key)
    found = {each["name"]: each["circuit_state"] for each in answer.json()["providers"]}
    state: str = found[name]
    return state


def page(session: AdminSession, path: str) -> str:
    with session.opened("GET", path) as answer:
        assert answer.status == 200
        return unescape(answer.read().decode())


def test_an_open_circuit_is_seen_explained_and_reset(installation: Product, upstream: Upstream) -> None:
    model = fragile(installation, upstream, circuitTimeout=600_000)  # no early trial closes it within this test
    break_down(installation, upstream, model)
    session = AdminSession(installation)
    (provider,) = installation.sql("SELECT id FROM providers_provider WHERE slug = %s", model)
    own_page = f"/admin/providers/provider/{provider['id']}/change/"

    wait_until(lambda: circuit_state(installation, model) == "open", what="the state to be told")
    assert "Left alone" in page(session, "/admin/providers/provider/")
    shown = page(session, own_page)
    assert f"{model} is left alone" in shown

    upstream.reset()
    (reset,) = set(re.findall(r'"(/admin/[^"]*/reset_circuit[^"]*)"', shown))
    headers = {"X-CSRFToken": session.csrf_token, "Referer": installation.url(own_page)}
    with session.opened("POST", reset, headers=headers) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, installation.url(own_page))
    assert installation.sql("SELECT circuits_reset_at FROM providers_provider WHERE slug = %s", model)[0][
        "circuits_reset_at"
    ]

    until_it_answers(installation, model)
    wait_until(lambda: circuit_state(installation, model) == "closed", what="the state to be told")
    wait_until(lambda: f"{model} is left alone" not in page(session, own_page), what="all workers to have told it")


def test_it_comes_back_by_itself(installation: Product, upstream: Upstream) -> None:
    model = fragile(installation, upstream, circuitTimeout=10_000)
    break_down(installation, upstream, model)

    upstream.reset()

    until_it_answers(installation, model)
    wait_until(lambda: circuit_state(installation, model) == "closed", what="the state to be told")


def test_what_one_worker_learns_the_other_knows(workers: Product, upstream: Upstream) -> None:
    model = fragile(workers, upstream)
    upstream.always(model, Fault(status=500))
    for _ in range(2 * OPEN_AFTER):  # at least one of the two has seen three failures
        OPENAI.call(workers, model)
    time.sleep(KNOWN_S)
    dispatched = len(upstream.dispatches(model))

    answers = [OPENAI.call(workers, model) for _ in range(20)]

    assert {answer.status for answer in answers} == {503}
    assert len(upstream.dispatches(model)) == dispatched


def test_workers_try_one_call_at_a_time(workers: Product, upstream: Upstream) -> None:
    """Each trial takes half a second; ten callers would all like to make it."""
    model = fragile(workers, upstream, circuitTimeout=10_000)  # a trial after a second: until then all answer 503
    break_down(workers, upstream, model)
    upstream.always(model, Fault(status=500, delay_s=0.5))
    time.sleep(KNOWN_S)
    upstream.bill.clear()
    until = time.monotonic() + 60

    def ask() -> None:
        while len(upstream.dispatches(model)) < 4 and time.monotonic() < until:
            OPENAI.call(workers, model)

    with ThreadPoolExecutor(10) as callers:
        for _ in range(10):
            callers.submit(ask)

    arrivals = [line.arrived_at for line in upstream.dispatches(model)]
    assert len(arrivals) >= 4
    assert all(later - earlier > 0.45 for earlier, later in itertools.pairwise(arrivals))


def test_without_redis_each_worker_goes_by_its_own_experience(
    new_production: NewProduct, servers: Servers, upstream: Upstream
) -> None:
    from tests import servers as real

    with real.redis() as redis, new_production(workers=2, redis=redis) as running:
        model = fragile(running, upstream, circuitTimeout=10_000)
        redis.kill()
        time.sleep(1.5)

        with operating.within(10):
            assert OPENAI.call(running, model).status == 200
        break_down(running, upstream, model)
        upstream.reset()
        until_it_answers(running, model)
        assert running.log().count("circuits are not shared") == 2  # once a worker
        assert "sharing circuits has failed" not in running.log(), running.log()


def test_where_a_call_would_go(house: Product, upstream: Upstream) -> None:
    """The page says the order, the reasons, the prices and the obstacles; nothing is sent."""
    model, below = with_spare(house, upstream)
    session = AdminSession(house)
    query = {"model": model, "kind": "chat", "client": "alice", "input_tokens": 1000, "output_tokens": 500}
    path = f"/admin/where-would-a-call-go/?{urlencode(query)}"
    upstream.bill.clear()

    before = page(session, path)
    assert not upstream.bill
    assert f"This call would go to {model}/{model}." in before
    assert f"priority {below}" in before
    assert "$0.0075" in before  # 1,000 tokens at $2.50 and 500 at $10 a million

    upstream.on(model, *[Fault(status=500)] * OPEN_AFTER)
    for _ in range(OPEN_AFTER):
        OPENAI.call(house, model)
    after = page(session, path)
    assert f"This call would go to {model}-spare/{model}." in after
    assert "it has failed of late" in after
    assert "No model 'nobody-knows-it'" in page(
        session, path.replace(urlencode({"model": model}), "model=nobody-knows-it")
    )


def test_each_call_says_why_it_went_there(house: Product, upstream: Upstream) -> None:
    model, below = with_spare(house, upstream)
    upstream.on(model, Fault(status=503))

    answer = OPENAI.call(house, model)

    rows = operating.rows(house, answer.headers["x-request-id"])
    told = [page(AdminSession(house), f"/admin/usage/usagerecord/{row['id']}/change/") for row in rows]
    assert f"Number 1 of 2 candidates: priority {operating.AFTER_THE_REST}." in told[0]
    assert f"Number 2 of 2 candidates: priority {below}. Tried before: {model}/{model} (PROVIDER_ERROR 503)." in told[1]


def test_a_disk_that_takes_no_more_is_told_of_once(new_product: NewProduct) -> None:
    """A folder of that name stands for it."""
    with new_product() as product:
        assert product.web.process is not None
        told = product.state_dir / f"circuits-{product.web.process.pid}.json"
        wait_until(told.exists, what="what the background worker is told")
        told.with_suffix(".new").mkdir()
        wait_until(lambda: "how circuits stand cannot be written down" in product.log(), what="a warning")
        time.sleep(5)  # two more rounds

        assert product.log().count("how circuits stand cannot be written down") == 1
        assert "Traceback" not in product.log()

        told.with_suffix(".new").rmdir()
        before = told.stat().st_mtime_ns
        wait_until(lambda: told.stat().st_mtime_ns > before, what="that it is written again")
