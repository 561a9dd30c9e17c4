"""What is printed, whoever reads it: nobody, who hangs, or a disk that is full."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from aiplatform.printing import Printer
from tests import environment
from tests.servers import PATIENCE_S, free_port, wait_until

_PAGE = 4096


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        with suppress(OSError):
            os.close(end)


def _fill(writer: int) -> int:
    """Until it takes not one byte more. How many it took."""
    os.set_blocking(writer, False)
    taken = 0
    for size in (_PAGE, 1):
        with suppress(BlockingIOError):
            while True:
                taken += os.write(writer, b"." * size)
    os.set_blocking(writer, True)
    return taken


def _read_until(reader: int, end: bytes) -> bytes:
    read = b""
    while end not in read:
        more = os.read(reader, 65_536)
        assert more, f"it ended without {end!r}"
        read += more
    return read


def test_who_prints_waits_for_nobody_who_does_not_read(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    filling = _fill(writer)
    printer = Printer(writer)

    for number in range(1_200):
        printer.print(str(number))

    kept = "".join(f"{number}\n" for number in range(1_000)).encode() + b"(200 lines were dropped)\n"
    assert _read_until(reader, b"dropped)\n")[filling:] == kept
    printer.print("afterwards")
    assert _read_until(reader, b"afterwards\n") == b"afterwards\n"


def test_what_is_kept_when_the_process_is_about_to_end_is_out_for_who_comes_soon(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    _fill(writer)
    script = """
        from aiplatform import printing
        printing._LAST_PATIENCE_S = 60
        printing.to(2).print("last words")
        print("printed", flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, cwd=environment.ROOT, stdout=subprocess.PIPE, stderr=writer) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"printed\n"
        assert _read_until(reader, b"last words\n")
    assert process.returncode == 0


def test_room_that_others_may_be_about_to_take_is_left_to_the_thread(pipe: tuple[int, int]) -> None:
    """Where two see the same last bytes free, the one who comes late would sleep."""
    reader, writer = pipe
    printer = Printer(writer)
    os.write(writer, b"." * 40_000)

    printer.print("a line")

    assert printer._writer is not None
    assert _read_until(reader, b"a line\n")


def test_a_pipe_that_another_program_wants_to_be_told_when_it_is_full_gets_all(pipe: tuple[int, int]) -> None:
    """As Node.js does with those that it gives to its children."""
    reader, writer = pipe
    _fill(writer)
    os.set_blocking(writer, False)
    printer = Printer(writer)

    printer.print("." * 3 * _PAGE + "end")

    assert _read_until(reader, b".end\n")


def test_what_was_printed_is_out_when_the_process_ends(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    script = "import os; from aiplatform.printing import to; to(2).print('last words'); os._exit(0)"

    subprocess.run([sys.executable, "-c", script], cwd=environment.ROOT, stderr=writer, timeout=PATIENCE_S, check=True)

    assert os.read(reader, 100) == b"last words\n"


def test_a_process_whose_reader_hangs_ends_all_the_same(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    _fill(writer)
    script = "from aiplatform.printing import to; to(2).print('last words')"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=environment.ROOT, stderr=writer, timeout=PATIENCE_S, check=False
    )

    assert done.returncode == 0


def test_a_process_that_was_forked_off_prints_too(pipe: tuple[int, int]) -> None:
    """Also in a moment in which another thread prints."""
    reader, writer = pipe
    script = """
        import os, threading
        from aiplatform.printing import to
        to(2).print("parent")
        other = threading.Thread(target=to(2)._changed.acquire)
        other.start()
        other.join()
        os.fork() or to(2).print("child")
        os._exit(0)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]

    subprocess.run(command, cwd=environment.ROOT, stderr=writer, timeout=PATIENCE_S, check=True)

    assert _read_until(reader, b"child\n") == b"parent\nchild\n"


class _Serving:
    """`manage.py serve`, whatever becomes of what it prints."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.env = {**environment.bare(), "STATE_DIR": str(folder / "state"), "PORT": str(self.port)}

    @contextmanager
    def run(self, redirected: str = "", *, output: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
        command = f"exec {sys.executable} manage.py serve {redirected}"
        process = subprocess.Popen(
            ["sh", "-c", command], env=self.env, cwd=environment.ROOT, stdout=output, stderr=output
        )
        try:
            wait_until(lambda: process.poll() is not None or self._is_alive(), what="it to serve")
            assert process.poll() is None
            yield process
        finally:
            process.terminate()
            process.wait(40)

    def new_key(self) -> str:
        return environment.manage("mintkey", "--client", "reader", "--quiet", **self.env).strip()

    def answers(self, key: str) -> bool:
        status, _ = self._asked("POST", "/v1/chat/completions", key=key)
        return status == 200

    def _is_alive(self) -> bool:
        try:
            return self._asked("GET", "/livez")[0] == 200
        except OSError:
            return False

    def _asked(self, method: str, path: str, *, key: str = "") -> tuple[int, bytes]:
        body = {"model": "default", "messages": [{"role": "user", "content": "Hello"}]}
        headers: Mapping[str, str] = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S / 3)
        try:
            connection.request(method, path, json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def test_calls_are_answered_while_nobody_reads_the_log(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """A terminal that was halted, a collector of logs that hangs: each process says when a new key is in force."""
    reader, writer = pipe
    serving = _Serving(tmp_path)
    with serving.run(output=writer):
        _read_until(reader, b"}'\n")  # the end of the banner's curl line
        _fill(writer)

        key = serving.new_key()

        wait_until(lambda: serving.answers(key), what="the key to be in force")
        os.close(reader)  # Celery's own last words wait for it


@pytest.mark.parametrize("redirected", [">/dev/full 2>&1", "<&- >&- 2>&-"])
def test_it_serves_wherever_its_output_goes(tmp_path: Path, redirected: str) -> None:
    serving = _Serving(tmp_path)
    with serving.run(redirected) as process:
        where = {_standard_streams(child) for child in _family(process.pid)}

    leads_to = "/dev/full" if "full" in redirected else "/dev/null"
    assert where == {("/dev/null", leads_to, leads_to)}


def _standard_streams(pid: int) -> tuple[str, ...]:
    return tuple(str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3))


def _family(pid: int) -> list[int]:
    """The web server and the worker."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
