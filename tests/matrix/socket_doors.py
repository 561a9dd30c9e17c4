"""The doors that are not asked by an HTTP request a call: gRPC and the WebSocket."""

from __future__ import annotations

import itertools
import json
from typing import Any

import grpc
from websockets.sync.client import connect

from gateway.doors.grpc import SERVICE
from gateway.generated import ai_proxy_pb2 as pb
from tests.matrix.doors import TEXTS_ALONE
from tests.matrix.wishes import MAX_TOKENS, STOP, Feature, Heard, Json, Wish
from tests.product import Product

_TIMEOUT_S = 60
_numbers = itertools.count(1)


class Grpc:
    """Specification C over gRPC. An error is a status, with our code in the trailing metadata."""

    name = "spec C (gRPC)"
    lacks = TEXTS_ALONE

    def ask(self, product: Product, wish: Wish) -> Heard:
        request = pb.CompleteRequest(
            model_id=wish.model,
            prompt=wish.text,
            max_tokens=MAX_TOKENS,
            stop=[STOP] if wish.feature is Feature.STOP else [],
        )
        with grpc.insecure_channel(f"127.0.0.1:{product.env['GRPC_PORT']}") as channel:
            try:
                return (self._stream if wish.streams else self._whole)(channel, product, request)
            except grpc.RpcError as failed:
                error: Any = failed
                code = dict(error.trailing_metadata())["error-code"]
                return Heard(status=error.code().name, code=str(code), message=error.details(), is_complete=False)

    def told(self, code: str, status: int) -> tuple[str, str]:
        from wire.errors import Code

        return Code[code].grpc, code

    def _whole(self, channel: grpc.Channel, product: Product, request: pb.CompleteRequest) -> Heard:
        method = channel.unary_unary(
            f"/{SERVICE}/Complete", pb.CompleteRequest.SerializeToString, pb.CompleteResponse.FromString
        )
        return Heard(text=method(request, metadata=_key(product), timeout=_TIMEOUT_S).content)

    def _stream(self, channel: grpc.Channel, product: Product, request: pb.CompleteRequest) -> Heard:
        method = channel.unary_stream(
            f"/{SERVICE}/StreamComplete", pb.CompleteRequest.SerializeToString, pb.StreamCompleteResponse.FromString
        )
        *deltas, last = list(method(request, metadata=_key(product), timeout=_TIMEOUT_S))
        assert last.WhichOneof("event") == "final"
        return Heard(text="".join(each.delta for each in deltas))


class WebSocket:
    name = "WebSocket"
    lacks = TEXTS_ALONE | {Feature.PLAIN: "it always streams"}

    def ask(self, product: Product, wish: Wish) -> Heard:
        call_id = f"call-{next(_numbers)}"
        asked: Json = {"id": call_id, "type": "complete", "model": wish.model, "max_tokens": MAX_TOKENS}
        asked |= {"messages": [{"role": "user", "content": wish.text}]}
        asked |= {"stop": [STOP]} if wish.feature is Feature.STOP else {}
        headers = {"Authorization": f"Bearer {product.key}"}
        with connect(f"ws://127.0.0.1:{product.port}/ws/complete", additional_headers=headers) as socket:
            socket.send(json.dumps(asked))
            text = ""
            while True:
                event: Json = json.loads(socket.recv(timeout=_TIMEOUT_S))
                assert event["id"] == call_id
                if event["type"] == "error":
                    return Heard(status=None, code=event["error_code"], message=event["error"], is_complete=False)
                if event["type"] == "done":
                    return Heard(text=text)
                text += event["content"]

    def told(self, code: str, status: int) -> tuple[None, str]:
        return None, code


def _key(product: Product) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {product.key}"),)
