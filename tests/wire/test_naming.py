"""A refusal names the field as its caller does."""

from __future__ import annotations

import msgspec
import pytest

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
from wire.errors import unsupported
from wire.naming import NAMES, callers_name, in_callers_words

DIALECTS = (
    openai_chat,
    openai_completions,
    openai_responses,
    anthropic_messages,
    gemini,
    gemini_embeddings,
    ollama,
    ollama_embeddings,
    ollama_generate,
    openai_embeddings,
)


@pytest.mark.parametrize(
    ("field", "dialect", "name"),
    [
        ("stop", "openai_chat", "stop"),
        ("stop", "anthropic_messages", "stop_sequences"),
        ("stop", "gemini", "generationConfig.stopSequences"),
        ("stop", "spec_c", "stop"),
        ("messages[3]", "openai_chat", "messages[3]"),
        ("messages[3]", "ollama", "messages[3]"),
        ("messages[3].name", "gemini", "contents"),
        ("messages[3]", "openai_responses", "input"),
        ("task", "gemini_embeddings", "taskType"),
    ],
)
def test_a_field_is_named_as_the_caller_does(field: str, dialect: str, name: str) -> None:
    refused = in_callers_words(unsupported(field, "is 'stop' for no one."), dialect)
    assert (refused.param, refused.message) == (name, f"'{name}' is 'stop' for no one.")


def test_the_names_are_those_of_dialects() -> None:
    assert set(NAMES) <= {dialect.name for dialect in DIALECTS}


@pytest.mark.parametrize("dialect", ["gemini", "ollama"])
def test_a_dialect_reads_what_it_is_told_of(dialect: str) -> None:
    """Each name begins with that of a field which the dialect's own decoding knows."""
    from wire.gemini import decoding as geminis
    from wire.ollama import decoding as ollamas
    from wire.ollama import options

    known = geminis.TRANSLATED if dialect == "gemini" else ollamas.TRANSLATED | options.TRANSLATED
    assert all(name.startswith(tuple(known)) for name in NAMES[dialect].values())


def test_what_names_no_field_stays_as_it_is() -> None:
    error = unsupported("stop", "no")
    plain = msgspec.json.decode(openai_chat.encode_error(in_callers_words(error, "nobody's"), request_id="r"))
    assert plain["error"]["param"] == callers_name("stop", "nobody's") == "stop"
