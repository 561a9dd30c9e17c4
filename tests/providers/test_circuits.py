"""What a process without Redis leaves for others to read of its circuits."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from core.ids import uuid7
from providers import circuits
from providers.resilience.reports import REPORT_LASTS_S, Report, Seen


def test_what_dead_processes_have_left_goes_with_the_next_report(settings: Any, tmp_path: Path) -> None:
    settings.STATE_DIR, settings.REDIS_URL = tmp_path, ""
    model, now = uuid7(), time.time()
    for name, age_s in (("circuits-1.json", REPORT_LASTS_S + 1), ("circuits-2.new", 3600), ("circuits-3.json", 1)):
        (tmp_path / name).write_bytes(b'{"told_at":0,"seen":{}}')
        os.utime(tmp_path / name, (now - age_s, now - age_s))

    circuits.keep(Report(now, {model: Seen(failures=2)}))

    assert {path.name for path in tmp_path.iterdir()} == {"circuits-3.json", f"circuits-{os.getpid()}.json"}
    assert circuits.standing([model])[model].failures == 2
