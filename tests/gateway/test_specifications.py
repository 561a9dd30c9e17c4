"""What the bodies of doors that no provider speaks ask for: every field of theirs goes on, at each of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.doors.grpc_dialect import GRPC, body_of
from gateway.doors.spec_a import Body as BodyA
from gateway.doors.spec_a import SpecA
from gateway.doors.spec_b import Body as BodyB
from gateway.doors.spec_b import SpecB
from gateway.doors.spec_c import Body as BodyC
from gateway.doors.spec_c import SpecC
from gateway.doors.spec_d import SPEC_D
from gateway.doors.spec_e import Body as BodyE
from gateway.doors.spec_e import SpecE
from gateway.doors.specification import Specification
from gateway.doors.websocket_dialect import SocketDialect
from gateway.generated import ai_proxy_pb2 as pb
from wire.neutral import ChatRequest, Message, Text

SAID = (Message("system", (Text("Be brief."),)), Message("user", (Text("Hi"),)))
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
PROMPT: dict[str, Any] = {"prompt": "Hi", "system": "Be brief."}
SHORT = {"model": "gpt", "temperature": 0.5, "max_tokens": 9}
LONG: dict[str, Any] = {"temperature": 0.5, "max_tokens": 9, "top_p": 0.25, "stop": ["END", "STOP"]}


OVER_GRPC = pb.CompleteRequest(model_id="gpt", user_id="ann", **PROMPT, **LONG).SerializeToString()


@pytest.mark.parametrize(
    ("door", "body", "is_long", "expected"),
    [
        (SpecA(BodyA), SHORT | {"prompt": "Hi"}, False, {"messages": SAID[1:]}),
        (SpecB(BodyB), SHORT | {"messages": MESSAGES, "stream": True}, False, {"stream": True}),
        (SpecC(BodyC), LONG | PROMPT | {"model_id": "gpt", "user_id": "ann", "stream": True}, True, {}),
        (GRPC, msgspec.Raw(body_of(OVER_GRPC, stream=True)), True, {}),
        (
            SPEC_D,
            {"model": "gpt", "temperature": 0.5, "maxTokens": 9, "prompt": "Hi", "systemPrompt": "Be brief."},
            False,
            {},
        ),
        (SpecE(BodyE), SHORT | {"messages": MESSAGES, "user_id": "ann"}, False, {"end_user": "ann"}),
        (
            SocketDialect("1", dict),
            LONG | PROMPT | {"id": "1", "type": "complete", "model": "gpt", "user": "ann"},
            True,
            {},
        ),
    ],
    ids=["A", "B", "C", "C over gRPC", "D", "E", "WebSocket"],
)
def test_every_field_goes_on(door: Specification[Any], body: Any, expected: dict[str, Any], *, is_long: bool) -> None:
    more: dict[str, Any] = (
        {"top_p": 0.25, "stop": ("END", "STOP"), "stream": True, "end_user": "ann"} if is_long else {}
    )
    wanted: dict[str, Any] = (
        {"model": "gpt", "messages": SAID, "max_output_tokens": 9, "temperature": 0.5} | more | expected
    )

    envelope = door.open_chat(msgspec.json.encode(body))

    assert door.decode_chat(envelope) == ChatRequest(**wanted)
    assert (envelope.model, envelope.max_output_tokens, envelope.temperature) == ("gpt", 9, 0.5)
    assert (envelope.stream, envelope.end_user) == (wanted.get("stream", False), wanted.get("end_user"))
