"""`manage.py servegrpc`, as production runs it: a process of its own beside the web workers."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import pytest

from aiplatform.stopping import GRACE_S
from aiplatform.supervisor import Child
from gateway.generated import ai_proxy_pb2 as pb
from tests import environment
from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.grpc_client import Client
from tests.journeys.scraping import scrape
from tests.product import Product
from tests.servers import free_port, wait_until
from tests.upstream import Fault, Upstream

COMMAND = [sys.executable, str(environment.ROOT / "manage.py"), "servegrpc"]
END_S = 30


@pytest.fixture(scope="module")
def installation(request: pytest.FixtureRequest, new_production: NewProduct) -> Iterator[Product]:
    """Two web workers, unless a test asks for another number; their metrics are at a port of theirs."""
    with new_production(workers=getattr(request, "param", 2), env={"METRICS_PORT": str(free_port())}) as running:
        yield running


class Served:
    """A process that serves gRPC for an installation."""

    def __init__(self, installation: Product, log: Path, *, metrics_port: int) -> None:
        self.port = free_port()
        self.metrics_port = metrics_port
        self._key = installation.key
        self._log = log
        self._env = installation.env | {"GRPC_PORT": str(self.port), "METRICS_PORT": str(metrics_port)}
        self._child = Child("gRPC", COMMAND)

    @contextmanager
    def running(self) -> Iterator[None]:
        with self._log.open("ab") as log:
            self._child.output = log
            self._child.start(self._env)
            try:
                wait_until(self._listens, timeout_s=60, what="gRPC")
                yield
                self.terminate()
                assert self.exit_code() == 0, self.log()
            finally:
                self._child.signal(signal.SIGKILL)
                self.exit_code()

    def complete(self) -> pb.CompleteResponse:
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            return Client(channel, self._key).complete(model_id="up-chat", prompt="Hello")

    def hear(self) -> grpc.StatusCode:
        """How a stream ends that is heard for as long as it lasts."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            answer = Client(channel, self._key).stream(model_id="up-chat", prompt="Hello")
            with suppress(grpc.RpcError):
                for _ in answer:
                    pass
            code: grpc.StatusCode = answer.code()
            return code

    def terminate(self) -> None:
        self._child.signal(signal.SIGTERM)

    def exit_code(self) -> int:
        assert self._child.process is not None
        return self._child.process.wait(END_S)

    def log(self) -> str:
        return self._log.read_text()

    def _listens(self) -> bool:
        assert self._child.is_running, self.log()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _counted(installation: Product, *, grpc: bool) -> Counter[tuple[str, ...]]:
    """The rows of calls over gRPC, or of all others, as the metrics count them: by model, provider and status."""
    rows = installation.sql("SELECT * FROM usage_usagerecord WHERE kind = 'call'")
    return Counter(
        (row["deployment"], row["provider"], row["status"]) for row in rows if (row["surface"] == "spec_c.grpc") == grpc
    )


# A web process that is the only one has the same parent here as what serves gRPC.
@pytest.mark.parametrize("installation", [1, 2], indirect=True, ids=["one-worker", "two-workers"])
def test_a_call_is_answered_booked_and_counted_apart_from_the_webs(
    installation: Product, upstream: Upstream, tmp_path: Path
) -> None:
    served = Served(installation, tmp_path / "log", metrics_port=free_port())
    with served.running():
        answer = served.complete()
        installation.chat(model="up-chat")

        first, second = upstream.bill
        row = operating.row(installation, answer.id)
        assert answer.content.startswith("word0 word1")
        assert (row["surface"], row["status"], row["evidence"]) == ("spec_c.grpc", "ok", "reported")
        assert row["cost_pico"] == operating.cost_pico(first.input_tokens, first.output_tokens)
        wait_until(lambda: second.finished, what="the provider to have said all")
        assert scrape(served.metrics_port)["ai_proxy_requests_total"] == _counted(installation, grpc=True)
        webs = int(installation.env["METRICS_PORT"])
        others = _counted(installation, grpc=False)
        wait_until(lambda: scrape(webs)["ai_proxy_requests_total"] == others, what="the tallies of both web workers")


def test_who_finds_the_port_of_the_webs_metrics_taken_says_so_and_answers_calls(
    installation: Product, upstream: Upstream, tmp_path: Path
) -> None:
    webs = int(installation.env["METRICS_PORT"])
    served = Served(installation, tmp_path / "log", metrics_port=webs)

    with served.running():
        assert served.complete().content

        assert "metrics are not served: choose another METRICS_PORT" in served.log()
        # It shares the port with no web worker: whichever is asked, it tells of the web's calls alone.
        told = [scrape(webs)["ai_proxy_requests_total"] for _ in range(20)]
        assert all(each == _counted(installation, grpc=False) for each in told)
    assert len(upstream.bill) == 1


def test_told_to_stop_it_lets_a_call_end_and_settles_and_counts_it(
    installation: Product, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.on("up-chat", Fault(delay_s=2))
    served = Served(installation, tmp_path / "log", metrics_port=free_port())

    with served.running(), ThreadPoolExecutor(1) as callers:
        slow = callers.submit(served.complete)
        wait_until(lambda: upstream.bill, what="the call to be dispatched")
        served.terminate()
        answer = slow.result()
        assert served.exit_code() == 0

    [line] = upstream.bill
    [row] = operating.rows(installation, answer.id)
    assert answer.content.startswith("word0 word1")
    assert (row["status"], row["evidence"]) == ("ok", "reported")
    assert row["cost_pico"] == operating.cost_pico(line.input_tokens, line.output_tokens)
    assert operating.open_holds(installation) == 0
    with served.running():  # the next of the same parent goes on counting from there
        told = scrape(served.metrics_port)["ai_proxy_requests_total"]
    assert told == {("up-chat", "upstream", "ok"): 1}


@pytest.mark.faults  # as long as the grace is
def test_a_stream_that_outlasts_the_grace_is_settled_at_what_was_heard(
    installation: Product, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.on("up-chat", Fault(chunk_s=0.5, words=1_000))
    served = Served(installation, tmp_path / "log", metrics_port=free_port())

    with served.running(), ThreadPoolExecutor(1) as callers:
        heard = callers.submit(served.hear)
        wait_until(lambda: upstream.bill and upstream.bill[0].output_tokens > 1, what="the first words")
        with operating.within(GRACE_S + 3):
            served.terminate()
            assert served.exit_code() == 0
        assert heard.result() is grpc.StatusCode.UNAVAILABLE
        assert "Traceback" not in served.log()

    [row] = installation.sql("SELECT * FROM usage_usagerecord WHERE surface = 'spec_c.grpc' AND evidence = 'estimated'")
    assert (row["status"], 0 < row["output_tokens"] < 200) == ("cancelled", True)
    assert operating.open_holds(installation) == 0


def test_without_a_port_it_says_that_there_is_nothing_to_serve(installation: Product) -> None:
    assert _refused(installation, port=0) == "CommandError: GRPC_PORT is 0: there is nothing to serve."


def test_a_port_that_is_taken_is_one_line_and_no_traceback(installation: Product) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        said = _refused(installation, port=port)

    assert (
        said == f"CommandError: Port {port} is in use: choose another with GRPC_PORT, for example GRPC_PORT={port + 1}."
    )


def test_a_database_that_is_away_is_one_line_and_no_traceback(installation: Product) -> None:
    nowhere = f"postgres://nobody@127.0.0.1:{free_port()}/nothing"

    said = _refused(installation, port=free_port(), env={"DATABASE_URL": nowhere})

    assert said.startswith("CommandError: The database does not answer: ")
    assert len(said.splitlines()) == 1


def _refused(installation: Product, *, port: int, env: Mapping[str, str] | None = None) -> str:
    """All that it says where it does not start."""
    env = installation.env | {"GRPC_PORT": str(port)} | dict(env or {})
    done = subprocess.run(COMMAND, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    return (done.stdout + done.stderr).strip()
