"""A caller of specification C's gRPC service."""

from __future__ import annotations

from typing import Any

import grpc

from gateway.doors.grpc import SERVICE
from gateway.generated import ai_proxy_pb2 as pb
from tests.servers import PATIENCE_S


class Client:
    """The service's methods, as generated stubs would call them."""

    def __init__(self, channel: grpc.Channel, key: str) -> None:
        self._channel = channel
        self.metadata = (("authorization", f"Bearer {key}"),) if key else ()

    def complete(self, **fields: Any) -> pb.CompleteResponse:
        method = self._channel.unary_unary(
            f"/{SERVICE}/Complete", pb.CompleteRequest.SerializeToString, pb.CompleteResponse.FromString
        )
        answer: pb.CompleteResponse = method(pb.CompleteRequest(**fields), metadata=self.metadata, timeout=PATIENCE_S)
        return answer

    def stream(self, *, timeout: float = PATIENCE_S, **fields: Any) -> Any:
        method = self._channel.unary_stream(
            f"/{SERVICE}/StreamComplete", pb.CompleteRequest.SerializeToString, pb.StreamCompleteResponse.FromString
        )
        return method(pb.CompleteRequest(**fields), metadata=self.metadata, timeout=timeout)

    def told(self, **fields: Any) -> tuple[dict[str, str], dict[str, str]]:
        """The initial and the trailing metadata of a call that may be refused."""
        method = self._channel.unary_unary(
            f"/{SERVICE}/Complete", pb.CompleteRequest.SerializeToString, pb.CompleteResponse.FromString
        )
        call: Any
        try:
            _, call = method.with_call(pb.CompleteRequest(**fields), metadata=self.metadata, timeout=PATIENCE_S)
        except grpc.RpcError as error:
            call = error
        return metadata_of(call.initial_metadata()), metadata_of(call.trailing_metadata())

    def call(self, name: str, request: Any, answer: Any) -> Any:
        method = self._channel.unary_unary(f"/{SERVICE}/{name}", request.SerializeToString, answer.FromString)
        return method(request(), metadata=self.metadata, timeout=PATIENCE_S)


def metadata_of(pairs: Any) -> dict[str, str]:
    return {each.key: each.value for each in pairs or ()}
