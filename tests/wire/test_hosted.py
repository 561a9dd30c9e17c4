"""Tools that run at the provider are refused when a body is opened, so that no provider of any dialect gets them."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from wire import anthropic_messages, gemini, openai_chat
from wire.dialect import Dialect
from wire.errors import ApiError, Code

OPENAI: Dialect = openai_chat
ANTHROPIC: Dialect = anthropic_messages
GEMINI: Dialect = gemini

HELLO: dict[str, dict[str, Any]] = {
    "openai_chat": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    "anthropic_messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    "gemini": {"contents": [{"parts": [{"text": "Hi"}]}]},
}


def _open(dialect: Dialect, fields: dict[str, Any]) -> None:
    dialect.open_chat(msgspec.json.encode(HELLO[dialect.name] | fields))


@pytest.mark.parametrize(
    ("dialect", "fields", "param"),
    [
        (OPENAI, {"web_search_options": {}}, "web_search_options"),
        (OPENAI, {"models": ["dearer/model"]}, "models"),
        (OPENAI, {"plugins": [{"id": "web"}]}, "plugins"),
        (OPENAI, {"tools": [{"type": "browser_search"}]}, "tools[0].type"),
        (ANTHROPIC, {"tools": [{"type": "web_search_20260318", "name": "web_search"}]}, "tools[0].type"),
        (ANTHROPIC, {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, "tools[0].type"),
        (
            ANTHROPIC,
            {"tools": [{"name": "mine", "input_schema": {}}, {"type": "code_execution_20250825", "name": "x"}]},
            "tools[1].type",
        ),
        (ANTHROPIC, {"mcp_servers": [{"type": "url", "url": "https://mcp.example", "name": "x"}]}, "mcp_servers"),
        (GEMINI, {"tools": [{"googleSearch": {}}]}, "tools[0].googleSearch"),
        (GEMINI, {"tools": {"google_search_retrieval": {}}}, "tools[0].googleSearchRetrieval"),
        (GEMINI, {"tools": [{"functionDeclarations": []}, {"googleMaps": {}}]}, "tools[1].googleMaps"),
        (GEMINI, {"tools": [{"enterprise_web_search": {}}]}, "tools[0].enterpriseWebSearch"),
        (GEMINI, {"tools": [{"codeExecution": {}}]}, "tools[0].codeExecution"),
        (GEMINI, {"tools": [{"urlContext": {}}]}, "tools[0].urlContext"),
    ],
)
def test_what_runs_at_the_provider_is_refused_by_name(dialect: Dialect, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        _open(dialect, fields)

    assert (refused.value.code, refused.value.param) == (Code.UNSUPPORTED_FIELD, param)
    assert re.search("cannot be bounded|not seen to", refused.value.message)


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        (OPENAI, {"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {}}]}),
        (OPENAI, {"tools": None, "web_search_options": None, "models": []}),
        (ANTHROPIC, {"tools": [{"name": "f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]}),
        (ANTHROPIC, {"tools": [{"type": "custom", "name": "f"}, {"type": "computer_20251124", "name": "computer"}]}),
        (ANTHROPIC, {"tools": [{"type": "tool_search_tool_bm25", "name": "find"}], "mcp_servers": []}),
        (GEMINI, {"tools": [{"function_declarations": [{"name": "f"}]}, {"googleSearch": None}]}),
        (GEMINI, {"tools": [{"computerUse": {"environment": "ENVIRONMENT_BROWSER"}}]}),
    ],
)
def test_what_the_caller_runs_itself_goes_on(dialect: Dialect, fields: dict[str, Any]) -> None:
    _open(dialect, fields)
