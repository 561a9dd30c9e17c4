"""The newest result of `make bench`, for the documentation: a chart, and the table (`make bench-page`).

    .venv/bin/python -m benchmarks.chart

The chart shows how much of each target is used up: bars that stay left of the line meet theirs. It goes to
docs/images/performance.svg, the table between the marks in docs/performance.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html import escape

from benchmarks import results, table
from benchmarks.figures import Row
from benchmarks.measure import ROOT
from benchmarks.rows import PRODUCTS

_IMAGE = ROOT / "docs" / "images" / "performance.svg"
_PAGE = ROOT / "docs" / "performance.md"
_MARKED = re.compile(r"(<!-- results: .*? -->\n).*?(<!-- end of results -->)", re.DOTALL)
_WIDTH, _TEXT, _BARS, _HEAD, _ROW, _BAR = 960, 470, 400, 84, 40, 13
_MOST = 2.0  # of a target: longer bars end here, with an arrow
_STYLE = """
.page { fill: #ffffff }
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 11px; fill: #59636e }
.title { font-size: 16px; font-weight: 600 }
.line { stroke: #59636e; stroke-width: 1.5; stroke-dasharray: 4 3 }
.bar0 { fill: #2f6fdb } .bar1 { fill: #c27c0e }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 } text { fill: #e6edf3 } .small { fill: #9198a1 } .line { stroke: #9198a1 }
  .bar0 { fill: #6ea8fe } .bar1 { fill: #e3b341 }
}
"""


def main() -> int:
    result = results.newest()
    if result is None:
        print("There are no results yet: `make bench` makes them.", file=sys.stderr)
        return 1
    _IMAGE.write_text(svg(result))
    told = f"{result.at[:10]}, commit `{result.commit[:8]}`, {result.machine}.\n\n"
    page = table.markdown(result.rows, result.subjects)
    _PAGE.write_text(_MARKED.sub(lambda mark: f"{mark[1]}{told}{page}\n{mark[2]}", _PAGE.read_text()))
    print(f"Drawn from {result.at}: {_IMAGE.relative_to(ROOT)}, {_PAGE.relative_to(ROOT)}")
    return 0


def svg(result: results.Result) -> str:
    """A picture for light and dark pages."""
    shown = [row for row in result.rows if row.target and row.target.unit != "threads" and _used(row, PRODUCTS[0])]
    height = _HEAD + _ROW * len(shown) + 20
    line = _TEXT + _BARS / _MOST
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">',
        f"<style>{_STYLE}</style>",
        '<rect class="page" width="100%" height="100%" rx="8"/>',
        '<text class="title" x="12" y="26">How much of each target is used up</text>',
        f'<text class="small" x="12" y="46">{escape(f"{result.at[:10]}, {result.machine}")}</text>',
        *_legend(),
        f'<text class="small" x="{line}" y="{_HEAD - 12}" text-anchor="middle">target</text>',
        f'<line class="line" x1="{line}" y1="{_HEAD - 6}" x2="{line}" y2="{height - 12}"/>',
        *(part for number, row in enumerate(shown) for part in _bars(row, _HEAD + number * _ROW)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend() -> Iterator[str]:
    for number, name in enumerate(PRODUCTS):
        x = 12 + number * 90
        yield f'<rect class="bar{number}" x="{x}" y="58" width="12" height="12" rx="2"/>'
        yield f'<text class="small" x="{x + 18}" y="68">{escape(name)}</text>'


def _bars(row: Row, top: int) -> Iterator[str]:
    assert row.target is not None
    yield f'<text x="12" y="{top + 14}">{escape(row.title.strip())}</text>'
    yield f'<text class="small" x="12" y="{top + 28}">{escape(table.told(row.target))}</text>'
    for number, subject in enumerate(PRODUCTS):
        used = _used(row, subject)
        if not used:
            continue
        y, length = top + number * (_BAR + 2), min(used, _MOST) / _MOST * _BARS
        figure = row.ratio(subject) if row.target.of_ratio else row.values[subject]
        said = f"{table.number(figure or 0)}{' →' if used > _MOST else ''}"
        yield f'<rect class="bar{number}" x="{_TEXT}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="2"/>'
        yield f'<text class="small" x="{_TEXT + _BARS + 10}" y="{y + 11}">{said}</text>'


def _used(row: Row, subject: str) -> float:
    """The share of its target; 0 where there is none."""
    if row.target is None or not row.target.limits.get(subject):
        return 0.0
    figure = row.ratio(subject) if row.target.of_ratio else row.values.get(subject)
    if not figure:
        return 0.0
    limit = row.target.limits[subject]
    return limit / figure if row.target.at_least else figure / limit


if __name__ == "__main__":
    sys.exit(main())
