"""What the log says can be laid beside the call that it is about."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests import environment
from tests.conftest import NewProduct
from tests.product import Product
from tests.servers import free_port, wait_until


@pytest.fixture(scope="module")
def logging(new_product: NewProduct) -> Iterator[Product]:
    """In JSON, and with a Redis that is not there, so that there is something to say."""
    with new_product(env={"LOG_FORMAT": "json", "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}) as running:
        yield running


_BREAK_A_JOB = """
from aiplatform.celery import app
app.send_task("providers.tasks.probe_provider", kwargs={"provider_id": "no-id"})
"""


def _lines(product: Product) -> list[dict[str, Any]]:
    return [json.loads(line) for line in product.log().splitlines() if line.startswith("{")]


def test_each_line_is_an_object(logging: Product) -> None:
    logging.chat()

    said = [line for line in logging.log().splitlines() if line.strip()]
    told = _lines(logging)
    assert len(told) == len(said)
    assert all({"event", "level", "logger", "timestamp"} <= line.keys() for line in told)


def test_what_is_logged_during_a_call_carries_its_id(logging: Product) -> None:
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0}

    answer = logging.request(
        "POST", "/v1/chat/completions", body=body, key=logging.key, headers={"X-Request-ID": "log-me"}
    )

    assert answer.status == 200
    told = [line for line in _lines(logging) if line["logger"] == "gateway.cache.link"]
    assert [line["request_id"] for line in told] == ["log-me"], _lines(logging)


def test_djangos_lines_carry_it_too(logging: Product) -> None:
    logging.request("GET", "/api/nothing-there/", key=logging.manage_key, headers={"X-Request-ID": "lost-my-way"})

    wait_until(lambda: any(line.get("request_id") == "lost-my-way" for line in _lines(logging)))
    (line,) = [line for line in _lines(logging) if line.get("request_id") == "lost-my-way"]
    assert line["logger"] == "django.request"


def test_lines_of_no_call_carry_none(logging: Product) -> None:
    told = [line for line in _lines(logging) if line["logger"] == "core.http"]

    assert told
    assert not [line for line in told if "request_id" in line]


def test_the_servers_own_lines_are_objects_too(logging: Product) -> None:
    with socket.create_connection(("127.0.0.1", logging.port)) as line:
        line.sendall(b"no HTTP at all\r\n\r\n")
        line.recv(1000)

    told = [line for line in _lines(logging) if line["logger"].startswith("uvicorn")]  # and none for each request
    assert [line["event"] for line in told] == ["Invalid HTTP request received."], logging.log()


def test_the_workers_lines_are_objects_tracebacks_and_all(new_product: NewProduct) -> None:
    with new_product(env={"LOG_FORMAT": "json"}, jobs=True) as product:
        subprocess.run([sys.executable, "-c", _BREAK_A_JOB], env=product.env, cwd=environment.ROOT, check=True)
        wait_until(lambda: "badly formed" in product.log(), what="the job's failure")

        said = product.log().splitlines()
        told = _lines(product)

    assert len(told) == len(said), said
    (broken,) = [line for line in told if "badly formed" in line["event"]]
    assert (broken["level"], broken["logger"]) == ("error", "celery.app.trace")
    assert "Traceback" in broken["exception"]
