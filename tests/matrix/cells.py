"""A cell of the table: one feature, at one door, of one kind of provider."""

from __future__ import annotations

import itertools
import re

from providers.adapters import ADAPTERS
from tests.matrix import arrived
from tests.matrix.doors import Door
from tests.matrix.embedding_doors import DIMENSIONS, DOORS
from tests.matrix.wishes import PARAMETERS, PICTURE, PICTURE_URL, RESULT, SCHEMA, STOP, TOOL, TOWN, Feature, Heard, Wish
from tests.product import Product
from tests.upstream import Dispatch, Fault, Upstream

OK = "ok"
DEMO = "demo"
_NAMED = re.compile(r"'([^']+)' ")
_VECTOR = [0.1, 0.2, 0.3]
_numbers = itertools.count(1)


class Matrix:
    """The doors' questions, put to providers of all kinds at a running product."""

    def __init__(self, product: Product, upstream: Upstream) -> None:
        self._product = product
        self._upstream = upstream

    def cell(self, door: Door, kind: str, feature: Feature) -> str:
        """`ok`, `n/a: why`, `refused: field`, or how it failed."""
        if feature in door.lacks:
            return f"n/a: {door.lacks[feature]}"
        try:
            return self._judged(door, kind, feature)
        except Exception as error:  # noqa: BLE001  # whatever it is, the table says it in its cell
            return f"FAILED: {type(error).__name__}: {error}"[:400]

    def _judged(self, door: Door, kind: str, feature: Feature) -> str:
        """Calls of tools are asked for whole and as a stream."""
        if feature is Feature.ERROR:
            return self._errors(door, kind)
        is_both = feature in (Feature.TOOL_CALL, Feature.FORCED_TOOL)
        for streams in [False, True] if is_both else [feature is Feature.STREAM]:
            wish = Wish(model=_model(door, kind), feature=feature, text=_question(feature), streams=streams)
            if refused := self._asked(door, kind, wish):
                return f"refused: {refused}"
        return OK

    def _asked(self, door: Door, kind: str, wish: Wish) -> str:
        """The field that was refused; "" where all was as it should be."""
        before = len(self._upstream.bill)
        if wish.feature in (Feature.TOOL_CALL, Feature.FORCED_TOOL):
            self._upstream.on(wish.model, Fault(words=0))
        heard = door.ask(self._product, wish)
        sent = self._upstream.bill[before:]
        if heard.code and _is(door, heard, "UNSUPPORTED_FIELD", 400):
            self._upstream.reset()
            assert not sent, "something was sent before it was refused"
            named = _NAMED.match(heard.message)
            assert named, heard.message
            return named[1]
        assert not heard.code, f"{heard.status} {heard.code}: {heard.message}"
        assert heard.is_complete, "the stream did not come to its end"
        if kind == DEMO:
            _check_demo(wish, heard)
        else:
            (line,) = sent
            _check_sent(wish, line)
            _check_heard(wish, heard)
        return ""

    def _errors(self, door: Door, kind: str) -> str:
        """The demo does no wrong, so it is asked for a model that it has not."""
        model, embeds = _model(door, kind), door in DOORS
        if embeds and ADAPTERS[kind].embeddings is None:
            return self._judged(door, kind, Feature.ONE)
        if kind == DEMO:
            wish = Wish(model="demo/nobody-knows-it", feature=Feature.PLAIN, text="Hello")
            _check_error(door, door.ask(self._product, wish), "MODEL_NOT_FOUND", 404, "nobody-knows-it")
            return OK
        for fault, code, status in (
            (Fault(status=422, message="Not like this."), "PROVIDER_REJECTED", 422),
            (Fault(status=500, message="Not now."), "PROVIDER_ERROR", 502),
        ):
            self._upstream.on(model, fault)
            wish = Wish(model=model, feature=Feature.ONE if embeds else Feature.PLAIN, text=_question(Feature.PLAIN))
            _check_error(door, door.ask(self._product, wish), code, status, fault.message)
        if not embeds and Feature.STREAM not in door.lacks:
            self._check_broken_stream(door, model)
        return OK

    def _check_broken_stream(self, door: Door, model: str) -> None:
        """An error event of the dialect; a status where the failure was seen before the first word had gone out."""
        self._upstream.on(model, Fault(error_after=3, chunk_s=0.01, message="No more."))
        wish = Wish(model=model, feature=Feature.STREAM, text=_question(Feature.STREAM), streams=True)
        heard = door.ask(self._product, wish)
        assert heard.code == door.told("PROVIDER_ERROR", 502)[1], heard
        assert "No more." in heard.message
        assert not heard.is_complete, "a stream that broke came to its dialect's end"


def _model(door: Door, kind: str) -> str:
    return f"{'embed' if door in DOORS else 'chat'}-{kind}"


def _question(feature: Feature) -> str:
    """The demo calls the tool whose name it reads; a stop text stands in what it repeats."""
    number = next(_numbers)
    if feature in (Feature.TOOL_CALL, Feature.TOOL_RESULT):
        return f"Question {number} {TOOL}"
    return f"Question {number} {STOP} please" if feature is Feature.STOP else f"Question {number}"


def _is(door: Door, heard: Heard, code: str, status: int) -> bool:
    return (heard.status, heard.code) == door.told(code, status)


def _check_error(door: Door, heard: Heard, code: str, status: int, message: str) -> None:
    assert _is(door, heard, code, status), f"{heard} is not {door.told(code, status)}"
    assert message in heard.message


def _check_sent(wish: Wish, line: Dispatch) -> None:
    there = arrived.read(line)
    if wish.model.startswith("embed-"):
        assert list(there.texts) == wish.texts
        assert there.dimensions == (DIMENSIONS if wish.feature is Feature.DIMENSIONS else None)
        return
    assert wish.text in there.text
    assert there.tools == ({TOOL: PARAMETERS} if wish.has_tool else {})
    assert there.is_forced is (wish.feature is Feature.FORCED_TOOL)
    is_answered = wish.feature is Feature.TOOL_RESULT
    assert list(there.calls) == ([(TOOL, TOWN)] if is_answered else [])
    assert list(there.results) == ([RESULT] if is_answered else [])
    pictures = {Feature.IMAGE: [PICTURE], Feature.IMAGE_URL: [PICTURE_URL]}
    assert list(there.pictures) == pictures.get(wish.feature, [])
    assert there.schema == (SCHEMA if wish.feature is Feature.JSON_SCHEMA else None)
    assert list(there.stops) == ([STOP] if wish.feature is Feature.STOP else [])


def _check_heard(wish: Wish, heard: Heard) -> None:
    if wish.model.startswith("embed-"):
        assert list(heard.vectors) == [_VECTOR] * len(wish.texts)
    elif wish.feature in (Feature.TOOL_CALL, Feature.FORCED_TOOL):
        assert list(heard.calls) == [(TOOL, TOWN)]
    else:
        assert heard.text.split() == [f"word{number}" for number in range(8)]


def _check_demo(wish: Wish, heard: Heard) -> None:
    """It says itself what came to it."""
    match wish.feature:
        case Feature.ONE | Feature.MANY | Feature.DIMENSIONS:
            expected = DIMENSIONS if wish.feature is Feature.DIMENSIONS else 256
            assert [len(vector) for vector in heard.vectors] == [expected] * len(wish.texts)
        case Feature.TOOL_CALL | Feature.FORCED_TOOL:
            assert list(heard.calls) == [(TOOL, TOWN)]
        case Feature.JSON_SCHEMA:
            assert heard.text == '{"harvest":"plums"}'
        case Feature.TOOL_RESULT:
            assert RESULT in heard.text
        case Feature.STOP:
            assert heard.text == f"You asked: “{wish.text.partition(STOP)[0]}".rstrip()
        case _:
            assert f"You asked: “{wish.text}”." in heard.text
            is_seen = "came along" in heard.text
            assert is_seen is (wish.feature in (Feature.IMAGE, Feature.IMAGE_URL))
