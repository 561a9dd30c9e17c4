"""The body that a deployment gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import msgspec
import pytest

from providers import dispatch
from providers.adapters import ADAPTERS
from tests.providers.topologies import deployment
from wire import anthropic_messages, ollama, openai_chat, openai_embeddings
from wire.dialect import Envelope
from wire.errors import ApiError, Code

_BODY: dict[str, Any] = {"model": "gpt", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
_DEFAULTS = {"temperature": 0.2, "top_k": 4, "stop": ["END"]}


def _sent(kind: str, body: dict[str, Any], dialect: Any, *, imposed: int | None = None) -> dict[str, Any]:
    envelope = dialect.open_chat(json.dumps(body).encode())
    target = msgspec.structs.replace(deployment("p", "gpt", kind=kind), defaults=_DEFAULTS)
    sent: dict[str, Any] = json.loads(dispatch.encode(envelope, dialect, target, max_output_tokens=imposed).body())
    return sent


@pytest.mark.parametrize("dialect", [openai_chat, anthropic_messages])
def test_a_models_defaults_fill_what_the_call_leaves_open(dialect: Any) -> None:
    anthropic, custom = _sent("anthropic", _BODY, dialect), _sent("custom", _BODY, dialect)
    assert (anthropic["temperature"], anthropic["top_k"], anthropic["stop_sequences"]) == (0.2, 4, ["END"])
    assert (custom["temperature"], custom["stop"]) == (0.2, ["END"])
    assert "top_k" not in custom  # OpenAI's dialect has no such field


@pytest.mark.parametrize(
    ("kind", "model", "dialect", "said", "added"),
    [
        ("anthropic", "claude-opus-4-7", anthropic_messages, {}, set()),
        ("anthropic", "claude-opus-4-7", openai_chat, {}, set()),
        ("anthropic", "claude-sonnet-4-5", anthropic_messages, {"top_p": 0.2}, set()),
        ("anthropic", "claude-sonnet-4-5", openai_chat, {"top_p": 0.2}, set()),
        ("anthropic", "claude-sonnet-4-5", openai_chat, {}, {"temperature"}),
        ("anthropic", "claude-3-haiku", anthropic_messages, {"top_p": 0.2}, {"temperature"}),
        ("openai", "gpt-5", openai_chat, {}, set()),
        ("openai", "gpt-4.1", openai_chat, {}, {"temperature", "top_p"}),
    ],
)
def test_no_default_goes_where_the_model_would_refuse_it(
    kind: str, model: str, dialect: Any, said: dict[str, Any], added: set[str]
) -> None:
    """Nor in place of what the caller asks: it is ours, and callers would be blamed for it."""
    settings = {"temperature": 0.7, "top_p": 0.9}
    target = msgspec.structs.replace(deployment("p", model, kind=kind), defaults=settings)
    envelope = dialect.open_chat(json.dumps(_BODY | said).encode())
    body = json.loads(dispatch.encode(envelope, dialect, target, max_output_tokens=None).body())

    assert {name: body[name] for name in settings if name in body} == {name: settings[name] for name in added} | said


@pytest.mark.parametrize("kind", ["custom", "anthropic"])
def test_what_the_call_says_itself_stands(kind: str) -> None:
    assert _sent(kind, _BODY | {"temperature": 0.9}, openai_chat)["temperature"] == 0.9


@pytest.mark.parametrize("kind", ["custom", "anthropic"])
def test_a_bound_that_we_impose_is_the_one_that_counts(kind: str) -> None:
    assert _sent(kind, _BODY, openai_chat, imposed=7)["max_tokens"] == 7
    assert _sent(kind, _BODY, openai_chat)["max_tokens"] == 9


def test_a_models_own_bound_goes_where_nobody_says_another() -> None:
    unbounded = {name: value for name, value in _BODY.items() if name != "max_tokens"}
    target = msgspec.structs.replace(deployment("p", "gpt", kind="anthropic"), max_output_tokens=11)
    envelope = openai_chat.open_chat(json.dumps(unbounded).encode())
    call = dispatch.encode(envelope, openai_chat, target, max_output_tokens=None)
    assert json.loads(call.body())["max_tokens"] == 11


@pytest.mark.parametrize(
    ("fields", "name"), [({"top_k": 5}, "options.top_k"), ({"stop": list("abcde")}, "options.stop")]
)
def test_what_a_provider_cannot_be_told_is_refused_in_the_callers_words(fields: dict[str, Any], name: str) -> None:
    envelope = ollama.open_chat(json.dumps({"messages": _BODY["messages"], "options": fields}).encode())
    with pytest.raises(ApiError) as caught:
        dispatch.encode(envelope, ollama, deployment("p", "gpt", kind="custom"), max_output_tokens=None)
    assert (caught.value.param, caught.value.code) == (name, Code.UNSUPPORTED_FIELD)


def test_who_has_no_embeddings_is_asked_for_none() -> None:
    envelope = openai_embeddings.open_embeddings(b'{"model": "claude", "input": "a"}')
    with pytest.raises(ApiError, match="has no embeddings") as caught:
        dispatch.encode(envelope, openai_embeddings, deployment("p", kind="anthropic"), max_output_tokens=None)
    assert caught.value.status == 400


def test_openai_itself_is_given_the_bound_under_its_newer_name() -> None:
    unbounded = {name: value for name, value in _BODY.items() if name != "max_tokens"}
    assert _sent("openai", unbounded, openai_chat, imposed=7)["max_completion_tokens"] == 7
    assert _sent("custom", unbounded, openai_chat, imposed=7)["max_tokens"] == 7


@pytest.mark.parametrize("kind", ["deepseek", "mistral", "groq", "cerebras", "custom"])
def test_other_hosts_are_given_the_callers_bound_under_its_older_name(kind: str) -> None:
    """What a host passes over would bound the hold and nothing else."""
    sent = _sent(kind, _BODY | {"max_completion_tokens": 5, "max_tokens": 4000}, openai_chat)
    assert sent["max_tokens"] == 5
    assert "max_completion_tokens" not in sent


def _asked(kind: str, model: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    """What a caller of Anthropic's has sent there: its dialect, and its body."""
    envelope = anthropic_messages.open_chat(json.dumps(_BODY | {"max_tokens": 50, "tools": [_TOOL]} | fields).encode())
    call = dispatch.encode(envelope, anthropic_messages, deployment("p", model, kind=kind), max_output_tokens=None)
    return call.dialect.name, json.loads(call.body())


_TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}


@pytest.mark.parametrize("kind", ["openai", "azure"])
@pytest.mark.parametrize("model", ["gpt-5.4", "gpt-5.6-terra", "gpt-5.10-2027-01-01", "gpt-6", "team-gpt-5.6"])
def test_tools_of_newer_models_are_called_in_responses(kind: str, model: str) -> None:
    """In Chat Completions they answer 400."""
    dialect, body = _asked(kind, model, thinking={"type": "adaptive"}, output_config={"effort": "high"})
    assert (dialect, body["model"], body["reasoning"]) == ("openai_responses", model, {"effort": "high"})
    assert body["tools"] == [{"type": "function", "name": "f", "parameters": _TOOL["input_schema"], "strict": False}]


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-4o", "gpt-5", "gpt-5.2", "gpt-35-turbo", "o3", "house"])
def test_older_models_are_asked_in_chat_completions(model: str) -> None:
    assert _asked("openai", model)[0] == "openai_chat"


@pytest.mark.parametrize("fields", [{"tools": []}, {"stop_sequences": ["END"]}, {"max_tokens": 15}])
def test_without_tools_or_with_what_responses_cannot_say_newer_models_are_too(fields: dict[str, Any]) -> None:
    assert _asked("openai", "gpt-5.6", **fields)[0] == "openai_chat"


def test_other_hosts_of_the_dialect_speak_no_responses() -> None:
    assert _asked("custom", "gpt-5.6")[0] == "openai_chat"


_EVERY_DIALECTS: dict[str, Any] = {
    **_BODY,
    "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
    "input": "Hi",
    "requests": [{"content": {"parts": [{"text": "Hi"}]}}],
}
_NAMES = (*_EVERY_DIALECTS, "stream_options", "options", "generationConfig", "system", "tools", "thinking", "store")
_CALLED: tuple[Any, ...] = (
    [{"tool_calls": 5}],
    [{"role": 5, "tool_call_id": "a"}] * 2,
    [{"tool_call_id": 5}],
    ["tool_calls", 5],
)
_ODD: tuple[Any, ...] = (None, 5, 1.5, True, "", "x", [], {}, [1], ["x"], [[]], [{}], [None], [{}] * 101, {"a": 1})
_ODD += (*_CALLED, ["reasoning_content", 5])


def _opened(open_body: Callable[[bytes], Envelope]) -> Iterator[Envelope]:
    """Of bodies with something odd in them those that are not refused at once."""
    for name, value, stream in product(_NAMES, _ODD, (True, False)):
        try:
            yield open_body(json.dumps(_EVERY_DIALECTS | {"stream": stream, name: value}).encode())
        except ApiError:
            continue


@pytest.mark.parametrize("kind", ADAPTERS)
def test_what_has_been_opened_can_be_rewritten(kind: str) -> None:
    """That happens after the hold: what was raised then would be charged, of a call that was never sent."""
    for chat in ADAPTERS[kind].chats:
        envelopes = list(_opened(chat.dialect.open_chat))
        assert envelopes
        for envelope, bound in product(envelopes, (None, 7)):
            json.loads(chat.rewrite(envelope, model="theirs", max_output_tokens=bound))
    if embeddings := ADAPTERS[kind].embeddings:
        for envelope in _opened(embeddings.dialect.open_embeddings):
            json.loads(embeddings.rewrite(envelope, model="theirs"))
