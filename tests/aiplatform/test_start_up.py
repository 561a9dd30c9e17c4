"""What a web worker loads before its first call, and what only once it is asked for."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
from django.contrib import admin
from django.core import checks

from tests import environment
from tests.conftest import NewProduct
from tests.product import Product

HEAVY = {
    # the SDKs, which serve the control plane
    *("anthropic", "google.genai", "openai"),
    # what few installations have, or only other processes
    *("celery", "grpc", "kombu", "opentelemetry.sdk.trace", "psycopg", "qdrant_client"),
    # Django's pages and API, and what only they import
    *("PIL", "aiplatform.urls", "drf_spectacular.openapi", "jsonschema", "requests", "rest_framework.views"),
    *("unfold.admin", "usage.admin", "yaml"),
}
# A worker's life up to its first call, then a page. It prints which of the modules in its arguments each has loaded.
_WORKER = """
import asyncio, json, sys

from aiplatform.asgi import application

def loaded():
    return [name for name in sys.argv[1:] if name in sys.modules]

async def live():
    events, said = asyncio.Queue(), asyncio.Queue()
    life = asyncio.create_task(application({"type": "lifespan"}, events.get, said.put))
    await events.put({"type": "lifespan.startup"})
    assert (await said.get())["type"] == "lifespan.startup.complete"
    at_start = loaded()
    answer = await get("/admin/login/")
    await events.put({"type": "lifespan.shutdown"})
    await life
    print(json.dumps([at_start, answer["status"], loaded()]))

async def get(path):
    sent, asked = [], iter([{"type": "http.request", "body": b"", "more_body": False}])
    async def receive():
        return next(asked, None) or await asyncio.Event().wait()
    async def send(message):
        sent.append(message)
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": [], "scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "root_path": ""}
    await application(scope, receive, send)
    return sent[0]

asyncio.run(live())
"""


class Loads(msgspec.Struct, array_like=True):
    at_start: list[str]
    page_status: int
    with_a_page: list[str]


@pytest.fixture(scope="module")
def loads(new_product: NewProduct) -> Loads:
    with new_product() as product:
        product.stop()
        return _live(product)


def test_a_worker_starts_without_what_calls_do_not_need(loads: Loads) -> None:
    assert loads.at_start == []


def test_the_first_page_brings_the_admin_with_it(loads: Loads) -> None:
    """Else the test above would pass for names that nothing ever loads."""
    assert loads.page_status == 200
    assert {"aiplatform.urls", "celery", "kombu", "rest_framework.views", "unfold.admin"} <= set(loads.with_a_page)


def test_django_finds_nothing_to_object_to() -> None:
    """`manage.py check` may look at the admin before the URLs have loaded it."""
    admin.autodiscover()
    assert checks.run_checks() == []


def _live(product: Product) -> Loads:
    done = subprocess.run(
        [sys.executable, "-c", _WORKER, *sorted(HEAVY)],
        env=product.env,
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Loads)
