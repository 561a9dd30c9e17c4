"""What `/metrics` has room for, and that its figures stay true within it."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import metrics
from gateway.metrics import OTHER, Tallies, Tally, exposition
from tests.usage.rows import hold, record
from usage.rows import RecordRow

MODELS = 50


def a_row(number: int, status: str = "ok") -> RecordRow:
    return record(
        hold(provider=f"provider-{number % 2}", deployment=f"model-{number}"),
        status=status,
        input_tokens=3,
        cost_pico=10**12,
        latency_ms=20.0,
        overhead_ms=1.0,
    )


def told(tally: Tally) -> dict[str, dict[str, Counter[str]]]:
    """Sums by the name of the sample, by label, by the label's value."""
    found: dict[str, dict[str, Counter[str]]] = {}
    for family in text_string_to_metric_families(exposition(tally, []).decode()):
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault(sample.name, {}).setdefault(label, Counter())[value] += round(sample.value)
    return found


def lines(tally: Tally) -> int:
    return exposition(tally, []).count(b"\n")


def test_a_further_model_has_a_line_for_each_status_and_one_for_its_cost() -> None:
    tally = Tally()
    for number in range(MODELS):
        tally.add(a_row(number))
    before = lines(tally)

    tally.add(a_row(MODELS))

    assert lines(tally) == before + 2


def test_times_are_told_by_provider() -> None:
    tally = Tally()
    for number in range(MODELS):
        tally.add(a_row(number))

    counts = told(tally)["ai_proxy_request_duration_seconds_count"]

    assert counts == {"provider": {"provider-0": MODELS // 2, "provider-1": MODELS // 2}}


def test_models_beyond_the_bound_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_LINES", 4)
    tally = Tally()
    for status in ("ok", "error"):
        for number in range(MODELS):
            tally.add(a_row(number, status))

    requests = told(tally)["ai_proxy_requests_total"]

    own = {f"model-{number}": 2 for number in range(4)}
    assert requests["model"] == {**own, OTHER: 2 * (MODELS - 4)}
    assert requests["provider"] == {"provider-0": MODELS, "provider-1": MODELS}
    assert requests["status"] == {"ok": MODELS, "error": MODELS}


def test_several_processes_together_keep_every_count_and_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """In whichever order they are read: a model that was OTHER now and a line of its own then would count backwards."""
    monkeypatch.setattr(metrics, "MOST_LINES", 4)
    written = []
    for process in range(3):
        tally = Tally()
        for number in range(process * 3, MODELS):
            tally.add(a_row(number))
        written.append(tally.encode())

    tellings = []
    for order in itertools.permutations(written):
        together = Tally()
        for each in order:
            together.merge(each)
        tellings.append(told(together))

    rows = 3 * MODELS - 3 - 6
    found = tellings[0]
    assert all(each == found for each in tellings)
    assert set(found["ai_proxy_requests_total"]["model"]) == {OTHER, *(f"model-{number}" for number in range(10))}
    assert sum(found["ai_proxy_requests_total"]["status"].values()) == rows
    assert sum(found["ai_proxy_cost_total"]["provider"].values()) == rows
    assert sum(found["ai_proxy_request_duration_seconds_count"]["provider"].values()) == rows
    assert found["ai_proxy_tokens_used_total"]["type"]["prompt"] == 3 * rows


def test_what_an_older_version_has_left_is_not_told(tmp_path: Path) -> None:
    """Its processes may have had the numbers of ours."""
    own = Tally()
    own.add(a_row(1))
    tallies = Tallies(tmp_path, own, misses=lambda: 0)
    tallies.write()
    (written,) = tmp_path.iterdir()
    written.with_stem(f"{written.stem}0").write_bytes(msgspec.msgpack.encode([7, [["p", "m", [{"ok": 1}]]], []]))
    tallies.open()

    assert told(tallies.all())["ai_proxy_requests_total"]["model"] == {"model-1": 1}


def test_what_a_server_of_the_same_number_has_left_is_not_told(tmp_path: Path) -> None:
    """In a container the server is process 1 after each restart, and its disk may be kept."""
    own = Tally()
    own.add(a_row(1))
    for earlier in (f"{os.getppid()}-4000000.tally", f"{os.getppid()}-7-4000000.tally"):
        (tmp_path / earlier).write_bytes(own.encode())
    tallies = Tallies(tmp_path, own, misses=lambda: 0)

    tallies.open()
    tallies.write()

    assert told(tallies.all())["ai_proxy_requests_total"]["model"] == {"model-1": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_process_of_this_server_has_left_is_told(tmp_path: Path) -> None:
    own = Tally()
    own.add(a_row(1))
    tallies = Tallies(tmp_path, own, misses=lambda: 0)
    tallies.write()
    (written,) = tmp_path.iterdir()
    written.rename(written.with_stem(f"{written.stem}0"))

    tallies.open()
    tallies.write()

    assert told(tallies.all())["ai_proxy_requests_total"]["model"] == {"model-1": 2}
