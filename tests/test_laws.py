"""Laws of the code that import-linter cannot say."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.environment import ROOT

_LEDGER_TABLES = {"Hold", "UsageRecord"}
_WRITES = {"create", "bulk_create", "update", "bulk_update", "delete", "get_or_create", "update_or_create", "save"}


def test_every_package_has_its_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    placed = {name.strip() for layer in layers for name in layer.split("|")}

    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}

    assert packages == placed


def test_deciding_code_asks_no_clock() -> None:
    asking = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in _sources(
            "wire/**/*.py",
            "usage/pricing.py",
            "usage/taxonomy.py",
            "usage/repricing.py",
            "providers/routing.py",
            "providers/resilience/*.py",
            "alerts/measures.py",
            "alerts/rules.py",
            "alerts/wording.py",
        )
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom) and "time" in _imported(node)
    ]

    assert asking == []


def test_only_the_ledger_writes_ledger_rows() -> None:
    writers = {
        str(path.relative_to(ROOT))
        for path in _sources("*/**/*.py")
        if path.relative_to(ROOT).parts[0] not in {"tests", "benchmarks", "var"}
        for name in _ledger_writes(path)
    }

    assert writers <= {"usage/ledger.py"}


def test_every_setting_is_explained() -> None:
    read = {
        name
        for path in _sources("*/**/*.py")
        for name in re.findall(r'(?:env\.(?:text|integer|choice)|_secret)\(\s*"([A-Z_]+)"', path.read_text())
    }
    explained = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))

    assert read >= {"PORT", "SECRET_KEY"}
    assert read <= explained


def _ledger_writes(path: Path) -> Iterator[str]:
    """Calls such as `UsageRecord.objects.filter(…).update(…)` and `Hold(…).save()`, by the table they write."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _WRITES:
            names = {each.id for each in ast.walk(node.func) if isinstance(each, ast.Name)}
            yield from names & _LEDGER_TABLES


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return {str(node.module)}
    return {alias.name for alias in node.names}


def _sources(*patterns: str) -> Iterator[Path]:
    for pattern in patterns:
        for path in ROOT.glob(pattern):
            if not path.relative_to(ROOT).parts[0].startswith("."):
                yield path
