"""`python -m tests.on_postgresql [pytest's words]`: the in-process tests on a PostgreSQL of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

from aiplatform.supervisor import dying_with
from tests import environment
from tests.servers import postgres

_STOP_TIMEOUT_S = 20
# Where no test uses the database in process (a test holds this); and what a browser shows is the same on both: the
# pages' own tests, in `tests/admin` and `tests/alerts`, ask both.
LEFT_OUT = ("benchmarks", "browser", "clients", "core", "deploy", "journeys", "matrix", "specs", "wire")


class SecondRun:
    """This module as a process that runs beside the first run's tests."""

    def __init__(self) -> None:
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by `stop`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.on_postgresql", "-q"],
            cwd=environment.ROOT,
            stdout=self._output,
            stderr=self._output,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=dying_with(os.getpid(), signal.SIGINT),  # noqa: PLW1509  # it calls the kernel alone
        )

    def result(self) -> tuple[int, str]:
        """Its exit code and all that it printed, once it has ended."""
        code = self._process.wait()
        self._output.seek(0)
        return code, self._output.read()

    def stop(self) -> None:
        """However far it is; its PostgreSQL ends with it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_STOP_TIMEOUT_S)
        self._output.close()


def main(words: list[str]) -> int:
    with postgres() as server:
        env = {**os.environ, "TEST_DATABASE_URL": server.url()}
        left_out = [f"--ignore=tests/{folder}" for folder in LEFT_OUT]
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *left_out, *words]
        return subprocess.run(command, env=env, cwd=environment.ROOT, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(signal.SIGINT)
