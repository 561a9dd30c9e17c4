from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import anthropic_messages, body, openai_chat
from wire.errors import ApiError, Code


def nested(depth: int, *, text: str = "") -> bytes:
    inner = msgspec.json.encode(text)
    return b'{"messages":' + b'[{"a":' * (depth // 2) + inner + b"}]" * (depth // 2) + b"}"


def refusal(raw: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        body.open_body(raw)
    assert caught.value.code is Code.INVALID_REQUEST
    assert caught.value.status == 400
    return caught.value


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


json_values = st.recursive(
    st.none() | st.text('[]{}"\\é', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('"\\[}', max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(json_values, st.integers(1, 4))
def test_depth_is_told_exactly_whatever_the_strings_hold(value: object, depth: int) -> None:
    """Either way that it is told, for bodies with few brackets and for those with very many."""
    whole = {"a": value}

    assert body.has_level(whole, depth) == (depth_of(whole) > depth)
    assert body._outlasts(msgspec.json.encode(whole), depth) == (depth_of(whole) > depth)


def test_a_hundred_levels_are_allowed_and_more_are_not() -> None:
    assert depth_of(msgspec.json.decode(nested(98))) == 99
    body.open_body(nested(98, text='[{"' * 500))

    for depth in (100, 400, 10_000, 1_000_000):
        assert "100 levels" in refusal(nested(depth)).message


@pytest.mark.parametrize("number", ["1e400", "-1E+999", "1" * 5_000])
def test_a_number_that_python_cannot_hold_breaks_no_call(number: str) -> None:
    """Some write the infinite so. It passes through; a field that is such a number is refused where it is read."""
    body.open_body(nested(96).replace(b'""', f"[{number},{'[],' * 200}0]".encode()))

    assert "100 levels" in refusal(nested(102).replace(b'""', number.encode())).message
    with pytest.raises(ApiError, match=r"'foo': .* out of range") as refused:
        body.refuse_others({"foo": msgspec.Raw(number.encode())}, (), {})
    assert (refused.value.code, refused.value.param) == (Code.INVALID_REQUEST, "foo")


@pytest.mark.parametrize("nothing", [b"null", b"[]", b"{}", b'""'])
def test_a_field_that_is_new_to_us_may_ask_for_nothing(nothing: bytes) -> None:
    """SDKs send such for what their callers leave out."""
    body.refuse_others({"foo": msgspec.Raw(nothing)}, (), {})

    for something in (b"0", b"false", b"[0]", b'{"a":null}', b'" "'):
        with pytest.raises(ApiError, match="'foo'") as refused:
            body.refuse_others({"foo": msgspec.Raw(something)}, (), {"foo": [1]})
        assert refused.value.code is Code.UNSUPPORTED_FIELD


def test_brackets_in_long_texts_are_not_levels() -> None:
    body.open_body(nested(4, text='{"[\\' * 200_000))


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[1]", b'"x"', b"null", b'{"a":1}{', b"\xff", b'{"a":"\xff"}', b'{"a":tru}']
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    assert "JSON" in refusal(raw).message


@pytest.mark.parametrize(
    "raw", [rb'{"a":"\u0000"}', rb'{"a":"x\\\u0000"}', b'{"a":"\x00"}', b'{"a":1}\x00', rb'{"a":{"\u0000":1}}']
)
def test_nul_is_refused(raw: bytes) -> None:
    refusal(raw)


def test_a_text_about_nul_is_not_refused() -> None:
    raw = rb'{"a":"the escape \\u0000", "b":"\\\\u0000"}'

    assert set(body.open_body(raw)) == {"a", "b"}


def test_a_picture_counts_as_a_picture_and_not_as_its_bytes() -> None:
    picture = "A" * 1_000_000
    url = f"data:image/png;base64,{picture}"
    part = {"type": "image_url", "image_url": {"url": url}}
    text = {"type": "text", "text": "base64 " * 10_000}
    raw = msgspec.json.encode({"messages": [{"role": "user", "content": [part, text]}]})

    measured = openai_chat.open_chat(raw).input_bytes

    assert 70_000 + 10_000 < measured < 70_000 + 30_000

    part = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": picture}}
    claude = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [part, text]}]}
    assert 70_000 + 10_000 < anthropic_messages.open_chat(msgspec.json.encode(claude)).input_bytes < 70_000 + 30_000


@pytest.mark.parametrize("name", ["Model", "MODEL", "\\u004dodel", "max_to\u212aens"])
def test_names_that_a_host_might_take_for_one_are_refused(name: str) -> None:
    """Go reads a field whatever the case of its name: the model would be another than the one that was allowed."""
    raw = f'{{"model": "a", "max_tokens": 1, "{name}": 2}}'

    refused = refusal(raw.encode())

    assert "capitalised" in str(refused)
    assert refused.param == msgspec.json.decode(f'"{name}"')
