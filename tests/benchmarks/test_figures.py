"""What the benchmark says of its figures: ratios, targets, and the pictures made of them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from benchmarks import chart, table
from benchmarks.answers import COMPLETION_TOKENS, LARGE_PROMPT_TOKENS, PROMPT_TOKENS
from benchmarks.books import expected
from benchmarks.figures import Row, Target
from benchmarks.results import Machine, Result
from benchmarks.scenarios import EVERY

LIMITS = {"SQLite": 2.0, "PostgreSQL": 2.2}
COSTS = Row(
    key="plain",
    title="plain calls: CPU, ms a call",
    values={"floor": 0.1, "SQLite": 0.19, "PostgreSQL": 0.23},
    against=dict.fromkeys(("floor", "SQLite", "PostgreSQL"), 0.1),
    target=Target(limits=LIMITS, of_ratio=True),
)
SPEEDS = Row(
    key="speed",
    title="calls a second",
    values={"SQLite": 5_000.0},
    against={"SQLite": 90.0},
    target=Target(limits={"SQLite": 50.0}, of_ratio=True, at_least=True),
)


def test_a_target_is_met_or_missed_by_each_installation() -> None:
    assert COSTS.verdicts() == {"SQLite": True, "PostgreSQL": False}
    assert table.verdict(COSTS) == "SQLite met, PostgreSQL MISSED"
    assert table.verdict(SPEEDS) == "met"
    assert table.told(SPEEDS.target or Target(limits={})) == ">= 50 x"


def test_the_table_shows_figure_ratio_target_and_verdict() -> None:
    line = table.table([COSTS], ["floor", "SQLite", "PostgreSQL"]).splitlines()[-1]

    assert line.split() == [
        *("plain", "calls:", "CPU,", "ms", "a", "call", "0.100", "0.190", "1.90", "x", "0.230", "2.30", "x"),
        *("<=", "2", "x,", "2.2", "x", "SQLite", "met,", "PostgreSQL", "MISSED"),
    ]


def test_the_chart_is_a_picture() -> None:
    machine = Machine(2, "a <small> one", "3.11")
    result = Result(at="2026-01-01T00:00:00", commit="", machine=machine, options={}, subjects=[], rows=[COSTS, SPEEDS])

    picture = ET.fromstring(chart.svg(result))

    texts = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"plain calls: CPU, ms a call", "1.900", "2.300", "calls a second", "55.6"} <= set(texts)


def test_the_books_that_a_benchmark_must_leave() -> None:
    answered = {"plain-16": 10, "large": 2, "cache": 5, "failover-500": 3, "embeddings": 4}

    books = expected(answered, EVERY, cached=4)

    assert (books.records, books.failed, books.cached) == (27, 3, 4)
    assert books.input_tokens == (10 + 1 + 3 + 4) * PROMPT_TOKENS + 2 * LARGE_PROMPT_TOKENS
    assert books.output_tokens == (10 + 2 + 1 + 3) * COMPLETION_TOKENS
    assert books.cost_pico == (books.input_tokens * 3 + books.output_tokens * 15) * 1_000_000
