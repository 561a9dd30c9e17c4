"""docs/dialects.md says what the code does: what is read, left out, taken for nothing and refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import pytest

from gateway.doors import spec_a, spec_b, spec_c, spec_d, spec_e, websocket_dialect
from providers.adapters import ADAPTERS
from tests.matrix import page
from tests.matrix.expected import CHAT_DOORS, EMBEDDING_DOORS, REFUSED
from wire import (
    anthropic_messages,
    gemini,
    gemini_embeddings,
    ollama,
    ollama_embeddings,
    ollama_generate,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)
from wire.anthropic_messages import decoding as anthropic_decoding
from wire.anthropic_messages import opening as anthropic_opening
from wire.errors import ApiError, Code
from wire.gemini import decoding as gemini_decoding
from wire.gemini import opening as gemini_opening
from wire.naming import NAMES, callers_name
from wire.neutral import ChatRequest, EmbeddingRequest
from wire.ollama import decoding as ollama_decoding
from wire.ollama import options as ollama_options
from wire.openai_chat import decoding as openai_decoding
from wire.openai_chat import opening as openai_opening
from wire.openai_responses import decoding as responses_decoding
from wire.openai_responses import opening as responses_opening

TRANSLATED: dict[str, Collection[str]] = {
    "OpenAI chat": openai_decoding.TRANSLATED,
    "OpenAI Responses": responses_decoding.TRANSLATED,
    "Anthropic": anthropic_decoding.TRANSLATED,
    "Gemini": gemini_decoding.TRANSLATED,
    "Ollama": (ollama_decoding.TRANSLATED - {"options"}) | ollama_options.TRANSLATED,
}
DROPPED: dict[str, Collection[str]] = {
    "OpenAI chat": openai_decoding.DROPPED,
    "OpenAI Responses": responses_decoding.DROPPED,
    "Anthropic": anthropic_decoding.DROPPED,
    "Gemini": gemini_decoding.DROPPED,
    "Ollama": ollama_decoding.DROPPED | ollama_options.DROPPED,
}
HARMLESS: dict[str, Mapping[str, list[Any]]] = {
    "OpenAI chat": openai_decoding.HARMLESS_VALUES,
    "OpenAI Responses": responses_decoding.HARMLESS_VALUES,
    "Anthropic": anthropic_decoding.HARMLESS_VALUES,
    "Gemini": gemini_decoding.HARMLESS_VALUES,
    "Ollama": ollama_options.HARMLESS_VALUES,
}
EMBEDDING_FIELDS: dict[str, Collection[str]] = {
    "OpenAI": openai_embeddings._KNOWN,
    "Gemini": {each.encode_name for each in msgspec.structs.fields(gemini_embeddings._Request)},
    "Ollama": ollama_embeddings._KNOWN,
}
every_dialect = pytest.mark.parametrize("dialect", TRANSLATED)


def test_each_kind_is_asked_in_what_the_page_says() -> None:
    told = {page.name(row["Kind"]): (page.names(row["Chats"]), page.names(row["Embeddings"])) for row in _kinds()}
    assert told == {
        kind: (
            [chat.dialect.name for chat in adapter.chats],
            [adapter.embeddings.dialect.name] if adapter.embeddings else [],
        )
        for kind, adapter in ADAPTERS.items()
    }


def _kinds() -> list[page.Line]:
    return page.table("Which dialect a provider is asked in")


@every_dialect
def test_each_field_that_is_read_has_its_line(dialect: str) -> None:
    told = {name for row in page.table("Settings") for name in page.names(row[dialect])}
    assert told == set(TRANSLATED[dialect])


def test_each_neutral_setting_has_its_line() -> None:
    told = {name for row in page.table("Settings") for name in page.names(row["Neutral"])}
    assert told == set(ChatRequest.__struct_fields__) - {"show_usage"}  # which is `stream_options`


@every_dialect
def test_what_is_left_out_is_listed(dialect: str) -> None:
    rows = page.table("Left out in translation")
    assert {page.name(row["Field"]) for row in rows if row["Dialect"] == dialect} == set(DROPPED[dialect])
    assert all(row["Why"] for row in rows)


@every_dialect
def test_what_may_only_ask_for_nothing_is_listed(dialect: str) -> None:
    rows = [row for row in page.table("Taken as long as it asks for nothing") if row["Dialect"] == dialect]
    told = {page.name(row["Field"]): msgspec.json.decode(page.name(row["Values"])) for row in rows}
    assert told == HARMLESS[dialect]


def test_what_no_provider_gets_is_listed() -> None:
    rows = {row["Dialect"]: row for row in page.table("Refused at every provider")}
    own = {dialect: {name.rstrip("…") for name in page.names(row["The caller's own"])} for dialect, row in rows.items()}
    assert own == {
        "OpenAI chat": openai_opening.CALLER_TOOLS,
        "OpenAI Responses": responses_opening.CALLER_TOOLS,
        "Anthropic": set(anthropic_opening.CALLER_TOOLS),
        "Gemini": gemini_opening.CALLER_TOOLS,
    }
    assert set(openai_opening.UNBOUNDED) <= set(page.names(rows["OpenAI chat"]["Refused"]))
    assert set(anthropic_opening.UNBOUNDED) <= set(page.names(rows["Anthropic"]["Refused"]))
    assert set(responses_opening._UNBOUNDED) <= set(page.names(page.PAGE.read_text()))


def test_errors_are_told_as_the_page_says() -> None:
    told = {page.name(row["Code"]): [row["HTTP"], *map(page.name, list(row.values())[2:])] for row in _errors()}
    assert told == {code.name: _as_told(code) for code in Code}


def _errors() -> list[page.Line]:
    return page.table("Errors")


def _as_told(code: Code) -> list[str]:
    error = ApiError(code, "No.")
    shown = [
        msgspec.json.decode(dialect.encode_error(error, request_id="r"))["error"]
        for dialect in (openai_chat, anthropic_messages, gemini)
    ]
    assert shown[2]["status"] == code.grpc
    return [str(code.http), code.grpc, shown[0]["type"], shown[1]["type"]]


def test_doors_that_no_provider_speaks_take_the_fields_that_are_listed() -> None:
    rows = page.table("Doors that no provider speaks")
    bodies: dict[str, type[msgspec.Struct]] = {
        "spec A": spec_a.Body,
        "spec B": spec_b.Body,
        "spec C": spec_c.Body,
        "spec D": spec_d.Body,
        "spec E": spec_e.Body,
        "spec E embeddings": spec_e.EmbeddingBody,
        "WebSocket": websocket_dialect.Body,
    }
    fields: dict[str, set[str]] = {
        door: {each.encode_name for each in msgspec.structs.fields(body)} for door, body in bodies.items()
    }
    fields["OpenAI completions"] = set(openai_completions._TRANSLATED)
    fields["Ollama generate"] = set(ollama_generate.TRANSLATED)
    assert {row["Door"]: set(page.names(row["Fields"])) for row in rows} == fields


@pytest.mark.parametrize("dialect", EMBEDDING_FIELDS)
def test_each_field_for_embeddings_has_its_line(dialect: str) -> None:
    rows = page.table("Embeddings")
    assert {name for row in rows for name in page.names(row[dialect])} == set(EMBEDDING_FIELDS[dialect])
    assert {name for row in rows for name in page.names(row["Neutral"])} == set(EmbeddingRequest.__struct_fields__)


def test_what_the_matrix_finds_refused_or_missing_has_its_reason() -> None:
    rows = page.table("Refused on the way to a provider")
    told = {
        (row["To a provider of"].lower(), callers_name(page.name(row["Field"]), dialect))
        for row in rows
        for dialect in ("openai_chat", *NAMES)
        if row["Why"]
    }
    found = {(kind, cell.removeprefix("refused: ")) for (_, kind, _), cell in REFUSED.items()}
    assert {(kind, field) for kind, field in found if field != "model"} <= told
    assert any(field == "model" for _, field in told)
    reasons = {row["Reason"] for row in page.table("Doors that no provider speaks", nth=1)}
    assert reasons == {why for door in (*CHAT_DOORS, *EMBEDDING_DOORS) for why in door.lacks.values()}


def test_every_refusal_of_the_code_is_on_the_page() -> None:
    """Each name that an encoder refuses is a literal there."""
    told = {page.name(row["Field"]) for row in page.table("Refused on the way to a provider")}
    refusals = re.compile(r"""unsupported\(\s*f?"([^"]+)",""")
    for dialect in (openai_chat, openai_responses, anthropic_messages, gemini, ollama):
        folder = page.PAGE.parent.parent / "wire" / dialect.name
        for file in ("encoding.py", "messages_out.py"):
            for name in refusals.findall((folder / file).read_text()):
                assert name.replace("{path}", "messages[0]").replace("{index}", "0") in told, (dialect.name, name)
