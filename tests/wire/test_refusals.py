"""Whatever is wrong with a body, its refusal names the field and says what is allowed there."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest

from wire.errors import Code
from wire.refusals import refusal


class Said(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["system", "user"]
    content: str


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    messages: Annotated[list[Said], msgspec.Meta(min_length=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    name: Annotated[str, msgspec.Meta(pattern="^[a-z]+$", description="small letters")] | None = None
    metadata: dict[str, str] = {}


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ('{"foo": 1}', "foo", "'foo' is not known here. There is: messages, maxTokens, name, metadata."),
        ('{"messages": []}', "messages", "'messages': expected `array` of length >= 1."),
        (
            '{"messages": [{"role": "bot", "content": ""}]}',
            "messages[0].role",
            "'messages[0].role' must be one of system, user.",
        ),
        ('{"messages": [{"role": "user"}]}', "messages[0].content", "'messages[0].content' is missing."),
        (
            '{"messages": [{"role": "user", "content": "", "z": 1}]}',
            "messages[0].z",
            "'messages[0].z' is not known here. There is: role, content.",
        ),
        ('{"maxTokens": 0}', "maxTokens", "'maxTokens': expected `int` >= 1."),
        ('{"name": "B"}', "name", "'name' must be small letters."),
        ('{"metadata": {"a": 5}}', "metadata[...]", "'metadata[...]': expected `str`, got `int`."),
        ("[]", None, "The body: expected `object`, got `array`."),
    ],
)
def test_it_names_the_field_and_says_what_is_allowed(body: str, field: str | None, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.json.decode(body, type=Body)

    error = refusal(refused.value, Body)

    assert (error.code, error.param, error.message) == (Code.INVALID_REQUEST, field, message)
