"""What operators read is what there is: settings in `.env.example`, commands in `docs/operations.md`."""

from __future__ import annotations

import argparse
import re

import pytest
from django.core.management import load_command_class

from tests.environment import ROOT

_READ = re.compile(r'(?:\b(?:text|integer|path|choice|_secret)\(|environ(?:\.get\(|\[))\s*"([A-Z][A-Z_0-9]+)"')
_EXAMPLE = (ROOT / ".env.example").read_text()
_OF_PROVIDERS = {
    f"{prefix}_{name}"
    for prefix in ("OPENAI", "ANTHROPIC", "GOOGLE_AI", "DEEPSEEK")
    for name in ("API_KEY", "MAX_TOKENS", "COST_PER_TOKEN")
}
# Django's own, and what reads the environment for one purpose that no operator has.
_NOT_SETTINGS = {"DJANGO_SETTINGS_MODULE"}
_OURS = {path.stem: path.relative_to(ROOT).parts[0] for path in ROOT.glob("*/management/commands/[a-z]*.py")}


def _read_by_code() -> set[str]:
    files = [path for path in ROOT.glob("*/**/*.py") if path.relative_to(ROOT).parts[0] in _PACKAGES]
    return {name for path in files for name in _READ.findall(path.read_text())} - _NOT_SETTINGS


_PACKAGES = {"aiplatform", "alerts", "vectors", "gateway", "providers", "usage", "accounts", "wire", "core"}


def test_every_setting_that_the_code_reads_is_explained() -> None:
    named = set(re.findall(r"[A-Z][A-Z_0-9]+", _EXAMPLE))

    assert _read_by_code() | _OF_PROVIDERS <= named


def test_every_setting_that_is_explained_is_read() -> None:
    explained = set(re.findall(r"^#([A-Z][A-Z_0-9]+)=", _EXAMPLE, re.MULTILINE))
    compose = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))

    assert explained <= _read_by_code() | _OF_PROVIDERS | compose


@pytest.mark.parametrize("name", sorted(_OURS))
def test_every_command_is_documented_and_explains_itself(name: str) -> None:
    command = load_command_class(_OURS[name], name)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)  # type: ignore[arg-type]  # Django's own parser only adds to it

    assert f"`{name}" in (ROOT / "docs/operations.md").read_text()
    assert command.help
    assert [action.dest for action in parser._actions if not action.help] == []
