"""Specification C over gRPC: whole and streaming, guarded, with deadlines, health and reflection."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway.doors.grpc import OPEN_METHODS, SERVICE
from gateway.doors.grpc_dialect import MOST_DETAILS_BYTES
from gateway.generated import ai_proxy_pb2 as pb
from tests.journeys import operating
from tests.journeys.grpc_client import Client, metadata_of
from tests.product import Product
from tests.servers import PATIENCE_S, free_port, wait_until
from tests.upstream import Fault, Upstream

WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"
NewProduct = Callable[..., AbstractContextManager[Product]]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def served(new_product: NewProduct, port: int) -> Iterator[Product]:
    with new_product(env={"GRPC_PORT": str(port)}) as running:
        yield running


@pytest.fixture
def channel(served: Product, port: int) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened


@pytest.fixture
def client(channel: grpc.Channel, served: Product) -> Client:
    return Client(channel, served.key)


def test_a_whole_answer(client: Client, served: Product, upstream: Upstream) -> None:
    answer = client.complete(
        model_id="up-chat", prompt="Hello", system="Be brief.", temperature=0.2, max_tokens=100, user_id="erin"
    )

    (line,) = upstream.bill
    assert (answer.content, answer.provider, answer.finish_reason, answer.cached) == (WORDS, "upstream", "stop", False)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (line.input_tokens, line.output_tokens)
    assert Decimal(answer.cost_usd) == operating.usd(operating.cost_pico(line.input_tokens, line.output_tokens))
    row = operating.row(served, answer.id)
    assert (row["surface"], row["end_user"]) == ("spec_c.grpc", "erin")


def test_a_stream_comes_in_pieces_and_ends_with_its_figures(client: Client, upstream: Upstream) -> None:
    *deltas, last = list(client.stream(model_id="up-chat", prompt="Hello"))

    (line,) = upstream.bill
    assert len(deltas) > 1
    assert "".join(each.delta for each in deltas).strip() == WORDS
    assert last.WhichOneof("event") == "final"
    assert last.final.usage.completion_tokens == line.output_tokens
    assert Decimal(last.final.cost_usd) == operating.usd(operating.cost_pico(line.input_tokens, line.output_tokens))


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model_id": "nobody-knows-it", "prompt": "Hi", "provider": "upstream"}, "NOT_FOUND", "MODEL_NOT_FOUND"),
        ({"model_id": "up-chat"}, "INVALID_ARGUMENT", "INVALID_REQUEST"),
        ({"model_id": "up-chat", "prompt": "Hi", "temperature": 9.0}, "INVALID_ARGUMENT", "INVALID_REQUEST"),
        ({"model_id": "up-chat", "prompt": "Hi", "temperature": math.nan}, "INVALID_ARGUMENT", "INVALID_REQUEST"),
        ({"model_id": "up-chat", "prompt": "Hi", "top_p": -math.inf}, "INVALID_ARGUMENT", "INVALID_REQUEST"),
    ],
)
def test_errors_are_statuses(client: Client, fields: dict[str, Any], status: str, code: str) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        client.complete(**fields)

    error: Any = failed.value
    assert error.code().name == status
    assert dict(error.trailing_metadata())["error-code"] == code


@pytest.mark.parametrize("letter", ["x", "ü", "字"])
def test_a_long_message_is_cut_and_its_status_arrives(client: Client, letter: str) -> None:
    """Clients refuse trailing metadata beyond some thousands of bytes, and the status with it."""
    with pytest.raises(grpc.RpcError) as failed:
        client.complete(model_id=letter * 20_000, prompt="Hi", provider="upstream")

    error: Any = failed.value
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert dict(error.trailing_metadata())["error-code"] == "MODEL_NOT_FOUND"
    assert error.details().endswith(f"{letter}…")
    assert MOST_DETAILS_BYTES - 4 < len(error.details().encode()) <= MOST_DETAILS_BYTES


def test_a_stream_that_breaks_ends_in_a_status(client: Client, upstream: Upstream) -> None:
    upstream.on("up-chat", Fault(cut_after=3))
    stream = client.stream(model_id="up-chat", prompt="Hello")

    with pytest.raises(grpc.RpcError) as failed:
        list(stream)
    assert failed.value.code().name == "UNAVAILABLE"


def test_an_answer_says_in_its_metadata_what_http_says_in_headers(
    channel: grpc.Channel, served: Product, upstream: Upstream
) -> None:
    client = Client(channel, operating.limited_key(served, requestsPerMinute=5))

    initial, _ = client.told(model_id="up-chat", prompt="Hello")
    stream = client.stream(model_id="up-chat", prompt="Hello")
    *_, last = list(stream)
    began, ended = metadata_of(stream.initial_metadata()), metadata_of(stream.trailing_metadata())

    line = upstream.bill[0]
    assert Decimal(initial["x-cost-usd"]) == operating.usd(operating.cost_pico(line.input_tokens, line.output_tokens))
    assert float(initial["x-overhead-ms"]) > 0
    for said in (initial, began):
        assert (said["x-provider"], said["x-attempts"], said["x-cache"]) == ("upstream", "1", "off")
        assert said["x-model"]
        assert said["x-request-id"]
    assert (ended["x-cost-usd"], float(ended["x-overhead-ms"]) > 0) == (last.final.cost_usd, True)
    assert [said["x-ratelimit-remaining"] for said in (initial, began)] == ["4", "3"]


def test_a_refusal_says_in_its_metadata_when_to_come_again(channel: grpc.Channel, served: Product) -> None:
    client = Client(channel, operating.limited_key(served, requestsPerMinute=1))
    client.complete(model_id="up-chat", prompt="Hello")

    _, told = client.told(model_id="up-chat", prompt="Hello")
    stream = client.stream(model_id="up-chat", prompt="Hello")
    with pytest.raises(grpc.RpcError):
        list(stream)

    for refused in (told, metadata_of(stream.trailing_metadata())):
        assert (refused["error-code"], refused["x-ratelimit-remaining"]) == ("RATE_LIMITED", "0")
        assert 50 <= int(refused["retry-after"]) <= 62
        assert operating.row(served, refused["x-request-id"])["status"] == "refused"


def test_a_provider_where_nobody_listens_may_be_asked_again(client: Client, served: Product) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    operating.add_provider(served, name="nobody", kind="custom", endpoint=nobody, model="nobody-there")

    _, told = client.told(model_id="nobody-there", prompt="Hello")
    stream = client.stream(model_id="nobody-there", prompt="Hello")
    with pytest.raises(grpc.RpcError):
        list(stream)

    for refused in (told, metadata_of(stream.trailing_metadata())):
        assert (refused["error-code"], refused["retry-after"]) == ("PROVIDER_UNAVAILABLE", "1")


def test_a_broken_stream_names_its_provider(client: Client, upstream: Upstream) -> None:
    upstream.on("up-chat", Fault(cut_after=3))
    stream = client.stream(model_id="up-chat", prompt="Hello")

    with pytest.raises(grpc.RpcError):
        list(stream)
    assert metadata_of(stream.trailing_metadata())["x-provider"] == "upstream"


def test_a_deadline_is_the_calls_own(client: Client, served: Product, upstream: Upstream) -> None:
    upstream.on("up-chat", Fault(delay_s=3))

    with pytest.raises(grpc.RpcError) as failed:
        list(client.stream(model_id="up-chat", prompt="Hello", timeout=1.5))

    assert failed.value.code().name == "DEADLINE_EXCEEDED"
    assert len(upstream.bill) == 1
    wait_until(lambda: operating.open_holds(served) == 0, what="the call to be settled")


def test_a_cancelled_stream_is_settled(client: Client, served: Product, upstream: Upstream) -> None:
    upstream.on("up-chat", Fault(chunk_s=0.2))
    stream = client.stream(model_id="up-chat", prompt="Hello")
    next(stream)

    stream.cancel()

    wait_until(lambda: operating.open_holds(served) == 0, what="the call to be settled")


def test_a_stream_that_is_cancelled_while_its_provider_is_silent(
    client: Client, served: Product, upstream: Upstream
) -> None:
    url = upstream.openai_url
    operating.add_provider(served, name="aborted", kind="custom", endpoint=url, model="aborted", wait=False)
    served.sql("UPDATE providers_provider SET on_disconnect = 'abort' WHERE slug = 'aborted'")
    operating.add_provider(served, name="later", kind="custom", endpoint=url, model="later")  # when it is, both are
    upstream.on("aborted", Fault(stall_after=3))
    stream = client.stream(model_id="aborted", prompt="Hello")
    next(stream)

    stream.cancel()

    wait_until(lambda: upstream.bill[0].cancelled, what="the provider to hear of it")
    wait_until(lambda: operating.open_holds(served) == 0, what="the call to be settled")


def test_every_method_needs_a_key_unless_it_is_declared_open(channel: grpc.Channel) -> None:
    """Asked of reflection, so that a method that is added is walked too."""
    served = sorted(f"/{SERVICE}/{method.name}" for method in pb.DESCRIPTOR.services_by_name["AIProxy"].methods)
    refused = set()
    for method in served:
        try:
            channel.unary_unary(method, bytes, bytes)(b"", timeout=PATIENCE_S)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                refused.add(method)
    assert refused == {method for method in served if method not in OPEN_METHODS}
    with pytest.raises(grpc.RpcError) as unknown:
        channel.unary_unary("/any.Service/Method", bytes, bytes)(b"", timeout=PATIENCE_S)
    assert unknown.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_no_request_is_refused_without_a_traceback(
    client: Client, channel: grpc.Channel, served: Product, *, stream: bool
) -> None:
    name, kind = ("StreamComplete", channel.unary_stream) if stream else ("Complete", channel.unary_unary)
    call = kind(f"/{SERVICE}/{name}", bytes, bytes)

    with pytest.raises(grpc.RpcError, match="not a CompleteRequest") as refused:
        list(call(b"\xff\xff\xff", metadata=client.metadata, timeout=PATIENCE_S))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Traceback" not in served.log()


def test_a_stranger_is_refused_before_a_request_has_come(channel: grpc.Channel) -> None:
    """Who could keep a call waiting without a key would keep callers out: so many there may be at once."""
    never = threading.Event()

    def nothing() -> Iterator[bytes]:
        never.wait(60)
        yield b""

    with pytest.raises(grpc.RpcError) as refused:
        channel.stream_unary(f"/{SERVICE}/Complete", bytes, bytes)(nothing(), timeout=PATIENCE_S)
    never.set()

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_health_is_open(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    asked = health_pb2.HealthCheckRequest(service=SERVICE)
    wait_until(lambda: stub.Check(asked).status == health_pb2.HealthCheckResponse.SERVING, what="the service")
    answer = Client(channel, "").call("HealthCheck", pb.HealthCheckRequest, pb.HealthCheckResponse)

    assert answer.status == "ok"


def test_reflection_names_the_service_to_who_has_a_key(channel: grpc.Channel, client: Client) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")

    with pytest.raises(grpc.RpcError) as refused:
        list(stub.ServerReflectionInfo(iter([asked])))
    (listed,) = stub.ServerReflectionInfo(iter([asked]), metadata=client.metadata)

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert SERVICE in {service.name for service in listed.list_services_response.service}


def test_the_circuits_of_all_providers_are_told(client: Client) -> None:
    answer = client.call("GetProviderStatus", pb.GetProviderStatusRequest, pb.GetProviderStatusResponse)

    upstream = next(each for each in answer.providers if each.name == "upstream")
    assert (upstream.kind, upstream.circuit_state) == ("custom", "closed")


def test_with_a_certificate_it_is_served_over_tls_alone(new_product: NewProduct, tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    port = free_port()
    env = {"GRPC_PORT": str(port), "GRPC_TLS_CERTIFICATE": str(certificate), "GRPC_TLS_KEY": str(key)}
    trusted = grpc.ssl_channel_credentials(certificate.read_bytes())

    with new_product(env=env) as product:
        with grpc.secure_channel(f"localhost:{port}", trusted) as channel:
            assert Client(channel, product.key).complete(model_id="up-chat", prompt="Hello").content == WORDS
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError):
            Client(channel, product.key).complete(model_id="up-chat", prompt="Hello")


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of localhost's own making, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"
