"""What README and `docs/` name is there: pages, headings, files, make targets, settings; and all metrics are named."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gateway import metrics
from tests.environment import ROOT, bare
from wire.errors import Code

_PAGES = {path: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
_CODE_BLOCK = re.compile(r"^```\w*\n([\s\S]*?)^```$|((?:^    .+\n)+)", re.MULTILINE)
_SETTING = re.compile(r"^ *([A-Z][A-Z0-9_]+)=", re.MULTILINE)
_EXPLAINED = set(re.findall(r"[A-Z][A-Z0-9_]+", (ROOT / ".env.example").read_text()))
_CODE = ("accounts/**/*.py", "gateway/**/*.py", "providers/*.py")
_NOT_TOLD = {"x-accel-buffering", "x-gzip"}  # for proxies, and another name of an encoding
# A variable of make's, a name in a test, what providers' SDKs read.
_NOT_OURS = {"SOAK_MINUTES", "KINDS_WITH_LISTS", "OPENAI_CUSTOM_HEADERS", "OPENAI_ORG_ID"}


def _words(page: str) -> list[str]:
    """What stands between backticks, outside of blocks of code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))


def _anchors(page: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", _PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    links = [link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", _PAGES[path]) if "://" not in link]
    targets = [((path.parent / file).resolve() if file else path, anchor) for file, _, anchor in links]

    assert [file for file, _ in targets if not file.exists()] == []
    assert [anchor for file, anchor in targets if anchor and anchor not in _anchors(file.read_text())] == []


@pytest.mark.parametrize("path", _PAGES, ids=lambda path: path.name)
def test_every_file_and_make_target_that_is_named_is_there(path: Path) -> None:
    words = _words(_PAGES[path])
    files = {word for word in words if re.fullmatch(r"[\w./*-]+/[\w.*-]*\.(?:py|md|js|in|txt|proto|json|yml)", word)}
    made = {word.split()[1] for word in words if word.startswith("make ")}

    assert {name for name in files if not any(ROOT.glob(name))} == set()
    assert made <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", [path for path in _PAGES if path.name != "dialects.md"], ids=lambda path: path.name)
def test_every_setting_and_code_that_is_named_is_there(path: Path) -> None:
    """dialects.md, which has the words of all providers, has a test of its own."""
    said = re.findall(r"(?<![\w./:])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w(])", " ".join(_words(_PAGES[path])))
    named = {name.removesuffix("_FILE") for name in said}

    assert named <= _EXPLAINED | {code.name for code in Code} | _NOT_OURS


def test_settings_that_are_shown_can_be_pasted_as_they_are(tmp_path: Path) -> None:
    blocks = ["".join(found) for page in _PAGES.values() for found in _CODE_BLOCK.findall(page)]
    shown = [textwrap.dedent(block) for block in blocks if _SETTING.search(block)]
    (tmp_path / ".env").write_text("\n".join(shown))
    script = (
        "import pathlib, sys; from aiplatform import env; env.read_file(pathlib.Path(sys.argv[1])); "
        "from django.core.management import execute_from_command_line as run; run(['manage.py', 'check'])"
    )

    told = subprocess.run(
        [sys.executable, "-c", script, tmp_path / ".env"],
        env={**bare(), "STATE_DIR": str(tmp_path / "state"), "DJANGO_SETTINGS_MODULE": "aiplatform.settings"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert {"OTEL_EXPORTER_OTLP_ENDPOINT", "EGRESS_ALLOWED_NETWORKS"} <= set(_SETTING.findall("\n".join(shown)))
    assert (told.returncode, told.stderr) == (0, "")
    assert "no issues" in told.stdout


def test_every_metric_is_named() -> None:
    page = _PAGES[ROOT / "docs/observability.md"]
    told = set(re.findall(r"`(ai_proxy_\w+)`", page))

    families = re.findall(r"^# TYPE (\w+)", metrics.exposition(metrics.Tally(), []).decode(), re.MULTILINE)

    assert told == set(families)


def test_every_header_of_ours_is_named() -> None:
    code = "".join(file.read_text() for pattern in _CODE for file in ROOT.glob(pattern))
    headers = set(re.findall(r'"(x-[a-z-]+)"', code, re.IGNORECASE)) - _NOT_TOLD

    pages = "".join(_PAGES.values()).lower()

    assert {"x-cost-usd", "x-tags"} <= headers
    assert {name for name in headers if name.lower() not in pages} == set()


def test_every_attribute_of_spans_that_is_ours_is_named() -> None:
    page = _PAGES[ROOT / "docs/observability.md"]
    ours = re.findall(r'"aiplatform\.(\w+)"', (ROOT / "gateway/tracing/attributes.py").read_text())

    assert "cost_usd" in ours
    assert {name for name in ours if f"`{name}`" not in page} == set()
