"""The broker of an installation without Redis, written and read at the same time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from django.conf import settings
from kombu import Connection

from core.jobs import app
from tests.servers import PATIENCE_S

JOBS = 4_000


@pytest.fixture
def broker(tmp_path: Path) -> Connection:
    folders = {name: str(tmp_path) for name in settings.CELERY_BROKER_TRANSPORT_OPTIONS if "folder" in name}
    return app.connection_for_write("files://localhost", transport_options=folders)


def test_who_looks_while_a_job_is_written_reads_the_whole_or_nothing(broker: Connection) -> None:
    read: list[int] = []

    def write() -> None:
        with broker.clone().SimpleQueue("jobs") as jobs:
            for number in range(JOBS):
                jobs.put({"number": number})

    writer = threading.Thread(target=write)
    until = time.monotonic() + PATIENCE_S
    with broker.SimpleQueue("jobs", no_ack=True) as jobs:  # before the first job: what no queue is bound to is lost
        writer.start()
        while len(read) < JOBS and time.monotonic() < until:
            try:
                read.append(jobs.get_nowait().payload["number"])
            except jobs.Empty:
                continue
    writer.join()

    assert sorted(read) == list(range(JOBS))
