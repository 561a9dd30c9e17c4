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
from gateway.status import ProviderStatus
from tests.usage.rows import hold, record
from usage.rows import RecordRow
from wire.errors import invalid

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


def test_each_figure_of_two_processes_is_told_by_its_own_name() -> None:
    tally = Tally()
    tally.misses = 4
    held = hold(provider="p", deployment="m")
    tokens = {"input_tokens": 3, "output_tokens": 5, "cached_input_tokens": 2, "reasoning_tokens": 1}
    tally.add(record(held, **tokens, cost_pico=25 * 10**11, latency_ms=250.0, overhead_ms=2.5))
    tally.add(record(held, **dict.fromkeys(tokens, 0), status="cached", cost_pico=None, latency_ms=251.0))
    tally.add(record(hold(provider="p", deployment="z"), **dict.fromkeys(tokens, 0), status="cached", cost_pico=0))
    tally.add_error("openai.chat", invalid("No."))
    together = Tally()
    for _ in range(2):
        together.merge(tally.encode())
    states = {"a": "closed", "b": "half_open", "c": "open"}
    statuses = [ProviderStatus(name, "demo", state, True, 1.0, 0.0) for name, state in states.items()]

    found: dict[tuple[str, ...], float] = {
        (sample.name.removeprefix("ai_proxy_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(exposition(together, statuses).decode())
        for sample in family.samples
    }

    expected: dict[tuple[str, ...], float] = {
        ("tokens_used_total", "prompt"): 6,
        ("tokens_used_total", "completion"): 10,
        ("tokens_used_total", "cached"): 4,
        ("tokens_used_total", "reasoning"): 2,
        ("circuit_breaker_state", "a"): 0,
        ("circuit_breaker_state", "b"): 1,
        ("circuit_breaker_state", "c"): 2,
        ("cost_total", "m", "p"): 5.0,
        ("requests_total", "m", "p", "ok"): 2,
        ("requests_total", "m", "p", "cached"): 2,
        ("cache_hits_total", "hit"): 4,
        ("cache_hits_total", "miss"): 8,
        ("errors_total", "INVALID_REQUEST", "openai.chat", "400"): 2,
        ("request_duration_seconds_bucket", "0.1", "p"): 0,
        ("request_duration_seconds_bucket", "0.25", "p"): 2,  # a bound belongs to what is below it
        ("request_duration_seconds_bucket", "0.5", "p"): 4,
        ("request_duration_seconds_bucket", "+Inf", "p"): 4,
        ("request_duration_seconds_sum", "p"): 1.002,
        ("overhead_seconds_count", "p"): 2,
        ("overhead_seconds_sum", "p"): 0.005,
    }
    assert {name: found.get(name) for name in expected} == expected


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
    for earlier in (f"{os.getppid()}", f"{os.getppid()}-7", f"{os.getppid()}-0", "4000000-0"):
        (tmp_path / f"{earlier}-4000000.tally").write_bytes(own.encode())
    tallies = Tallies(tmp_path, own, misses=lambda: 0)

    tallies.open()
    tallies.write()

    assert told(tallies.all())["ai_proxy_requests_total"]["model"] == {"model-1": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_process_of_this_server_has_left_is_told(tmp_path: Path) -> None:
    own = Tally()
    own.add(a_row(1))
    tallies = Tallies(tmp_path, own, misses=lambda: 3)
    tallies.write()
    (written,) = tmp_path.iterdir()
    written.rename(written.with_stem(f"{written.stem}0"))

    tallies.open()
    tallies.write()

    assert told(tallies.all())["ai_proxy_requests_total"]["model"] == {"model-1": 2}
    assert told(tallies.all())["ai_proxy_cache_hits_total"]["result"] == {"hit": 0, "miss": 6}


def test_what_another_running_server_counts_is_its_own_to_tell(tmp_path: Path) -> None:
    own = Tally()
    own.add(a_row(1))
    other = tmp_path / f"{metrics._server_of(os.getpid())}-4000000.tally"
    other.write_bytes(own.encode())
    tallies = Tallies(tmp_path, own, misses=lambda: 0)

    tallies.open()
    tallies.write()

    assert told(tallies.all())["ai_proxy_requests_total"]["model"] == {"model-1": 1}
    assert other.exists()


def test_who_reads_while_counts_are_written_reads_the_last_ones_whole(tmp_path: Path) -> None:
    """Half of them would be none, and counters go back."""
    own = Tally()
    tallies = Tallies(tmp_path, own, misses=lambda: 0)
    own.add(a_row(1))
    tallies.write()
    (written,) = tmp_path.iterdir()
    with written.open("rb") as reading:
        own.add(a_row(2))
        tallies.write()
        read = Tally()
        read.merge(reading.read())

    assert told(read)["ai_proxy_requests_total"]["model"] == {"model-1": 1}
