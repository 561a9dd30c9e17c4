"""Results as JSON in `results/`, with what they were measured on: written by `make bench`, read by the chart."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.figures import Row

_FOLDER = Path(__file__).parent / "results"


class Machine(msgspec.Struct, frozen=True):
    cores: int
    model: str
    python: str

    def __str__(self) -> str:
        return f"{self.cores} cores, {self.model}, Python {self.python}"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """`at` is in ISO format; `commit` ends in + where files differed from it; `options` are those of the plan."""

    at: str
    commit: str
    machine: Machine
    options: Mapping[str, Any]
    subjects: Sequence[str]
    rows: Sequence[Row]


def save(rows: Sequence[Row], *, subjects: Sequence[str], options: Mapping[str, Any]) -> Path:
    now = datetime.now(UTC)
    commit = _commit()
    result = Result(
        at=now.isoformat(timespec="seconds"),
        commit=commit,
        machine=machine(),
        options=options,
        subjects=subjects,
        rows=rows,
    )
    path = _FOLDER / f"{now:%Y%m%dT%H%M%SZ}-{commit[:8] or 'uncommitted'}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(msgspec.to_builtins(result), indent=1) + "\n")
    return path


def newest() -> Result | None:
    """None where nothing has been saved."""
    paths = sorted(_FOLDER.glob("*.json"))
    return msgspec.json.decode(paths[-1].read_bytes(), type=Result) if paths else None


def machine() -> Machine:
    return Machine(os.cpu_count() or 1, _processor(), platform.python_version())


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    """The commit with `+` where files differ from it; "" where there is none yet."""
    asked = ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    done = subprocess.run(asked, cwd=_FOLDER.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip()
