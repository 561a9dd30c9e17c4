"""What `make` does on a bare machine before it can do anything else."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests import environment
from tests.servers import wait_until

_INSTALL = environment.ROOT / "deploy" / "install.sh"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a requirements file, and no environment yet."""
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    (tmp_path / "requirements-dev.txt").write_text("# nothing more\n")
    return tmp_path


def _python(folder: Path, *, script: str) -> str:
    """A stand-in for Python; `$2` is the code that it is asked to run."""
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def _install(checkout: Path, python: str, requirements: str = "requirements.txt") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(_INSTALL), ".venv", python, requirements],
        cwd=checkout,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


def test_a_python_that_is_too_old_is_one_clear_line(checkout: Path) -> None:
    done = _install(checkout, _python(checkout, script="exit 1"))

    assert done.returncode == 1
    assert done.stdout + done.stderr == (
        "AI Platform needs Python 3.11 or later: install it, or name it with PYTHON=/path/to/python3.\n"
    )


def test_a_python_without_its_venv_module_is_one_clear_line(checkout: Path) -> None:
    done = _install(checkout, _python(checkout, script='case "$2" in *venv*) exit 1;; esac'))

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "python3-venv" in done.stderr


def test_it_installs_once_and_again_when_the_requirements_change(checkout: Path) -> None:
    """The stand-in makes an environment whose Python is itself, and notes what it was asked."""
    script = 'echo "$*" >>"$0.calls"; case "$1$2" in -mvenv) mkdir -p .venv/bin; ln -sf "$0" .venv/bin/python;; esac'
    python = _python(checkout, script=script)

    def installs() -> int:
        calls = "".join(file.read_text() for file in checkout.rglob("*.calls"))
        return len(re.findall(r"pip install", calls))

    for _ in range(2):
        assert _install(checkout, python).returncode == 0
    assert installs() == 1

    (checkout / "requirements.txt").write_text("# something\n")
    assert _install(checkout, python).returncode == 0
    assert installs() == 2


def test_who_comes_while_the_environment_is_being_made_waits_for_it(checkout: Path) -> None:
    """`make run` and `make test` at once, on a bare machine."""
    command = ["sh", str(_INSTALL), ".venv", sys.executable, "requirements.txt"]
    started = [subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, text=True)]
    wait_until((checkout / ".venv" / "pyvenv.cfg").exists, timeout_s=60, what="an environment that is begun")
    started.append(subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, text=True))

    said = [each.communicate(timeout=120)[0] for each in started]

    assert [each.returncode for each in started] == [0, 0]
    assert ["Setting up" in each for each in said] == [True, False]


def test_who_has_the_tests_requirements_has_the_products_too(checkout: Path) -> None:
    script = 'echo "$*" >>"$0.calls"; case "$1$2" in -mvenv) mkdir -p .venv/bin; ln -sf "$0" .venv/bin/python;; esac'
    python = _python(checkout, script=script)

    _install(checkout, python, "requirements-dev.txt")
    before = (checkout / "python.calls").read_text()
    done = _install(checkout, python, "requirements.txt")

    assert done.stdout == ""
    assert "pip install" not in (checkout / "python.calls").read_text().removeprefix(before)


@pytest.mark.parametrize(
    "name",
    [
        *("requirements.txt", "requirements-dev.txt"),
        *(f"tests/clients/foreign/{library}.txt" for library in ("langchain", "litellm", "llm", "pydantic_ai")),
        "benchmarks/peers/litellm.txt",
    ],
)
def test_every_requirement_is_pinned_with_its_hashes_and_names_no_host(name: str) -> None:
    text = (environment.ROOT / name).read_text()
    pins = re.findall(r"^([\w.\[\]-]+)==\S+.*\\\n +--hash=sha256:", text, re.MULTILINE)

    assert len(pins) == len(re.findall(r"^\w", text, re.MULTILINE)) > 20
    assert "://" not in text
    assert "--index" not in text


def test_every_package_in_node_is_pinned_with_its_hash_and_names_no_host() -> None:
    lock = json.loads((environment.ROOT / "tests" / "clients" / "node" / "package-lock.json").read_text())
    packages = [package for path, package in lock["packages"].items() if path]

    assert len(packages) > 20
    assert all(package["integrity"].startswith("sha512-") for package in packages)
    assert not any("resolved" in package for package in packages)


def test_the_set_up_names_no_registry_and_no_path_of_one_machine() -> None:
    scripts = [f"deploy/{name}.sh" for name in ("install", "chromium", "test-parts", "test-clients")]
    files = ["Makefile", "Dockerfile", ".ci/run", *scripts]
    text = "\n".join((environment.ROOT / name).read_text() for name in files)

    assert not re.search(r"--(extra-)?index-url|pypi\.org|pythonhosted", text)
    assert not re.search(r"(?<![\w.])/(root|work|home)/", text)


def test_another_browser_may_be_named_for_the_tests(tmp_path: Path) -> None:
    mine = tmp_path / "my browser"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    asked = ["/bin/sh", str(environment.ROOT / "deploy" / "chromium.sh")]
    of_mine = subprocess.run(asked, env={"CHROMIUM": str(mine)}, capture_output=True, check=True, text=True)
    without = subprocess.run(asked, env={"PATH": str(tmp_path)}, capture_output=True, check=False, text=True)

    assert of_mine.stdout.strip() == str(mine)
    assert (without.returncode, without.stdout) == (1, "")
