"""Row 35: canary secrets go through every door and every trouble, and turn up nowhere: invariant I6.

The prompt, the caller's keys, the providers' keys and the collectors' keys are looked for in answers, log lines (at
DEBUG, with their tracebacks), metrics, Celery's messages (no worker takes them away), and traces.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from websockets.sync.client import connect

from aiplatform.documented import OPERATIONS
from aiplatform.documented.operation import Operation
from gateway.doors.grpc import SERVICE
from gateway.generated import ai_proxy_pb2 as pb
from tests.collector import TraceCollector
from tests.conftest import NewProduct
from tests.journeys import operating
from tests.product import Product
from tests.servers import PATIENCE_S, free_port, wait_until
from tests.upstream import Fault, Upstream

PROMPT = "canary-prompt-0815"
PROVIDER_KEYS = ("sk-canary-upstream-key", "sk-canary-anthropic-key", "sk-canary-dead")
COLLECTOR_KEYS = ("canary-collector-key", "sk-lf-canary-key")
_ECHO = "Incorrect API key provided: sk-canary-upstream-key"
TROUBLES = (
    Fault(status=400, message=_ECHO),
    Fault(status=401, message=_ECHO),
    Fault(status=429, retry_after="1"),
    Fault(status=500, message=_ECHO),
    Fault(bad_body=True),
    Fault(drop=True),
    Fault(no_usage=True),
)
STREAM_TROUBLES = (
    Fault(cut_after=3),
    Fault(error_after=3, chunk_s=0.01, message=_ECHO),
    Fault(bad_chunk_after=3, chunk_s=0.01),
)
CALLS = [each for each in OPERATIONS if each.example is not None and each.tag != "Vectors"]


class House:
    """A product that tells all that it has to tell, and what it was heard to say."""

    def __init__(
        self, product: Product, *, metrics_port: int, grpc_port: int, collectors: list[TraceCollector]
    ) -> None:
        self.product = product
        self.grpc_port = grpc_port
        self.collectors = collectors
        self._metrics_port = metrics_port
        self.said: list[str] = []

    def ask(self, method: str, path: str, **more: Any) -> None:
        answer = self.product.request(method, path, **more)
        self.said.append(answer.text + json.dumps(dict(answer.headers)))

    def places(self) -> dict[str, str]:
        """All that it has said, by where."""
        connection = http.client.HTTPConnection("127.0.0.1", self._metrics_port, timeout=PATIENCE_S)
        connection.request("GET", "/metrics")
        metrics = connection.getresponse().read().decode()
        connection.close()
        queue = self.product.state_dir / "celery"
        messages = [path.read_text(errors="replace") for path in queue.rglob("*") if path.is_file()]
        spans = [str(span) for collector in self.collectors for span in collector.spans]
        assert metrics
        assert any("providers" in message for message in messages)
        assert spans
        return {
            "answers": "".join(self.said),
            "log": self.product.log(),
            "metrics": metrics,
            "messages": "".join(messages),
            "traces": "".join(spans),
        }


@pytest.fixture(scope="module")
def house(new_product: NewProduct) -> Iterator[House]:
    metrics_port, grpc_port = free_port(), free_port()
    with ExitStack() as stack:
        collector, langfuse = (stack.enter_context(TraceCollector()) for _ in range(2))
        env = {
            "LOG_LEVEL": "DEBUG",
            "LOG_FORMAT": "json",
            "METRICS_PORT": str(metrics_port),
            "GRPC_PORT": str(grpc_port),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={COLLECTOR_KEYS[0]}",
            "LANGFUSE_HOST": langfuse.url,
            "LANGFUSE_PUBLIC_KEY": "pk-lf-1",
            "LANGFUSE_SECRET_KEY": COLLECTOR_KEYS[1],
        }
        product = stack.enter_context(new_product(env=env))
        nobody = f"http://127.0.0.1:{free_port()}/v1"
        operating.add_provider(product, name="dead", kind="custom", endpoint=nobody, model="all-dead")
        yield House(product, metrics_port=metrics_port, grpc_port=grpc_port, collectors=[collector, langfuse])


def _path(operation: Operation, model: str) -> str:
    return operation.path.replace("{model}", quote(model)).replace("{name}", "upstream")


def _body(operation: Operation, model: str) -> Any:
    """Its example about the canary, to `model`, wherever the dialect names that."""
    text = json.dumps(operation.example).replace("Hello", PROMPT).replace("demo-embedding", model)
    body = json.loads(text.replace('"demo"', json.dumps(model)))
    if "{model}" not in operation.path and "model_id" not in body:
        body["model"] = model
    return body


def _model(operation: Operation) -> str:
    return "up-embed" if "demo-embedding" in json.dumps(operation.example) + str(operation.parameters) else "up-chat"


def _look(house: House) -> None:
    product = house.product
    keys = (product.key, product.manage_key, product.keys["alice"], *PROVIDER_KEYS, *COLLECTOR_KEYS)
    found = [
        (where, secret, text[max(text.index(secret) - 300, 0) :][:600])
        for where, text in house.places().items()
        for secret in (PROMPT, *keys)
        if secret in text
    ]
    assert found == []


def test_no_trouble_at_any_door_brings_a_secret_to_light(house: House, upstream: Upstream) -> None:
    product = house.product
    for operation in CALLS:
        model = _model(operation)
        for trouble in TROUBLES:
            upstream.on(model, trouble)
            house.ask("POST", _path(operation, model), body=_body(operation, model), key=product.key)
        upstream.reset()
        for trouble in STREAM_TROUBLES if operation.streams else ():
            upstream.on(model, trouble)
            body = _body(operation, model) | ({} if ":stream" in operation.path else {"stream": True})
            house.ask("POST", _path(operation, model), body=body, key=product.key)
        upstream.reset()
        house.ask("POST", _path(operation, "all-dead"), body=_body(operation, "all-dead"), key=product.key)
        house.ask("POST", _path(operation, "no-such"), body=_body(operation, "no-such"), key=product.key)

    wait_until(lambda: operating.open_holds(product) == 0)
    _look(house)


def test_no_refusal_at_any_door_brings_a_secret_to_light(house: House) -> None:
    product = house.product
    alice = product.keys["alice"]
    for operation in CALLS:
        model = _model(operation)  # not the demo's, whose answers quote the question
        path, body = _path(operation, model), _body(operation, model)
        house.ask("POST", path, body=f'{{"prompt": "{PROMPT}'.encode(), key=alice)
        house.ask("POST", path, body={"messages": PROMPT, "prompt": [PROMPT], PROMPT: 1}, key=alice)
        house.ask("POST", path, body=body, key=alice, headers={"X-Timeout-Ms": "soon"})
        house.ask("POST", path, body=body, key=alice, headers={"X-Tags": f"={PROMPT}"})
        house.ask("POST", path, body=body | {"temperature": "hot"}, key=alice)
        house.ask("POST", path, body=body, key=f"{alice}x")
        house.ask("POST", f"{path}?key={alice}", body=body)
        house.ask("POST", f"{path}?key={alice}x", body=body)
        house.ask("POST", f"{path}/nowhere", body=body, key=alice)

    _look(house)


def test_no_refusal_of_the_management_brings_a_secret_to_light(house: House) -> None:
    key = house.product.manage_key
    body = {"name": "dead", "type": "CUSTOM", "endpoint": "http://127.0.0.1:1/v1", "apiKey": PROVIDER_KEYS[2]}
    house.ask("POST", "/api/ai-providers", body=body, key=key)  # a name that is taken
    house.ask("POST", "/api/ai-providers", body=body | {"endpoint": 7}, key=key)
    house.ask("POST", "/api/ai-providers", body=json.dumps(body).encode()[:-1], key=key)
    house.ask("POST", "/api/ai-providers", body=body, key=house.product.key)
    house.ask("GET", "/api/ai-providers/", key=f"{key}x")
    house.ask("GET", "/api/nowhere/", key=key)
    house.ask("POST", "/api/ai-providers/credentials", body={"provider": "none", "apiKey": PROVIDER_KEYS[2]}, key=key)

    _look(house)


def test_no_trouble_on_a_socket_brings_a_secret_to_light(house: House, upstream: Upstream) -> None:
    product = house.product
    with connect(f"ws://127.0.0.1:{product.port}/ws/complete") as socket:
        for number, trouble in enumerate((*TROUBLES, *STREAM_TROUBLES)):
            upstream.on("up-chat", trouble)
            call = {"id": str(number), "type": "complete", "model": "up-chat", "prompt": PROMPT, "key": product.key}
            socket.send(json.dumps(call))
            house.said.append("".join(_until_end(socket)))
            upstream.reset()
        socket.send(f'{{"id": "broken", "type": "complete", "prompt": ["{PROMPT}"], "key": "{product.key}"}}')
        house.said.append("".join(_until_end(socket)))

    _look(house)


def _until_end(socket: Any) -> Iterator[str]:
    while True:
        text: str = socket.recv(timeout=PATIENCE_S)
        yield text
        if json.loads(text)["type"] in {"done", "error"}:
            return


def test_no_trouble_over_grpc_brings_a_secret_to_light(house: House, upstream: Upstream) -> None:
    metadata = (("authorization", f"Bearer {house.product.key}"),)
    with grpc.insecure_channel(f"127.0.0.1:{house.grpc_port}") as channel:
        complete = channel.unary_unary(
            f"/{SERVICE}/Complete", pb.CompleteRequest.SerializeToString, pb.CompleteResponse.FromString
        )
        for trouble in TROUBLES:
            upstream.on("up-chat", trouble)
            try:
                ask = pb.CompleteRequest(model_id="up-chat", prompt=PROMPT)
                answer = complete(ask, metadata=metadata, timeout=PATIENCE_S)
                house.said.append(str(answer))
            except grpc.RpcError as error:
                house.said.append(str(error))
            upstream.reset()

    _look(house)
