"""What may be called: every form of every address that is not public, the settings that open them, and both clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohappyeyeballs import AddrInfoType
from django.core.exceptions import ValidationError

from core import blocking_http, egress
from core.blocking_http import GuardedNetwork
from core.egress import EgressRefusedError, Policy, is_allowed, literal
from core.http import UnacceptableAnswerError, open_client, open_session, validate_address
from core.http1 import ConnectError
from core.http1.names import Lookup, system_lookup
from tests.admin.modelhost import ModelHost
from tests.core.hosts import CONNECT_S, certificate

CLOSED = Policy.parse(networks="none", ports=egress.USUAL_PORTS)
_PATIENCE_S = 20.0
LOCAL = Policy.parse(networks=egress.LOOPBACK, ports=egress.USUAL_PORTS)


def policy(networks: str) -> Policy:
    return Policy.parse(networks=networks, ports=egress.USUAL_PORTS)


@pytest.fixture
def host() -> Iterator[ModelHost]:
    with ModelHost() as running:
        yield running


# --- the decision -------------------------------------------------------------------------------------------------

NOT_PUBLIC = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1"),
    *("169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.168.1.1", "198.18.0.1"),
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
    *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16", "100.100.100.200"),
    *(
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "100::1",
        "3fff::1",
    ),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a00:1::1"),
]


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_what_is_not_public_is_refused(text: str) -> None:
    assert not is_allowed(ip_address(text), CLOSED)


@pytest.mark.parametrize(
    "text",
    ["8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_what_is_public_is_allowed(text: str) -> None:
    assert is_allowed(ip_address(text), CLOSED)


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"])
def test_a_network_that_is_allowed_is_so_in_every_form(text: str) -> None:
    assert is_allowed(ip_address(text), LOCAL)
    assert not is_allowed(ip_address("0.0.0.0"), LOCAL)  # which connects to this machine, too
    assert not is_allowed(ip_address("10.0.0.1"), LOCAL)


def test_a_metadata_service_is_allowed_by_its_very_address_alone() -> None:
    metadata = ip_address("169.254.169.254")
    for wide in ("0.0.0.0/0", "169.254.0.0/16", "169.254.169.254/31"):
        assert not is_allowed(metadata, policy(wide))
    assert is_allowed(metadata, policy("169.254.169.254"))
    assert not is_allowed(ip_address("fd00:ec2::254"), policy("fd00::/8"))
    assert not is_allowed(ip_address("fd00:ec2::254%1"), policy("fd00::/8"))  # a zone means nothing there
    assert is_allowed(ip_address("fd00:ec2::254%1"), policy("fd00:ec2::254"))
    for form in ("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"):
        assert not is_allowed(ip_address(form), policy("169.254.0.0/16,::/0"))
        assert is_allowed(ip_address(form), policy("169.254.169.254"))


@pytest.mark.parametrize(
    "text",
    [
        *("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
        *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
    ],
)
def test_no_network_however_wide_lets_anybody_at_a_metadata_service(text: str) -> None:
    assert not is_allowed(ip_address(text), policy("0.0.0.0/0, ::/0"))
    assert is_allowed(ip_address(text), policy(text))


def test_a_network_may_be_listed_in_the_form_in_which_it_is_called() -> None:
    assert is_allowed(ip_address("64:ff9b::7f00:1"), policy("64:ff9b::/96"))
    assert not is_allowed(ip_address("127.0.0.1"), policy("64:ff9b::/96"))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("2130706433", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0X7F.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("１２７.０.０.１", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("2852039166", "169.254.169.254"),
        ("10.256", "10.0.1.0"),
        ("::1", "::1"),
    ],
)
def test_numbers_that_are_addresses(text: str, address: str) -> None:
    assert literal(text) == ip_address(address)


@pytest.mark.parametrize(
    "text",
    [
        *("example.com", "127.0.0.1.nip.io", "1.2.3.4.5", "1.2.3.4.0", "1.2.3.4.5.6", "256.1.1.1", "4294967296"),
        *("08.1", ""),
    ],
)
def test_names_are_not_numbers(text: str) -> None:
    assert literal(text) is None


@pytest.mark.parametrize("text", ["0x7f.1", "2130706433", "0177.0.0.1", "127.1", "10.256", "0"])
def test_numbers_are_read_as_the_system_reads_them(text: str) -> None:
    assert literal(text) == ip_address(socket.inet_ntoa(socket.inet_aton(text)))


@pytest.mark.parametrize("port", [22, 25, 53, 445])
def test_ports_that_no_model_server_has_are_refused(port: int) -> None:
    with pytest.raises(EgressRefusedError, match="EGRESS_ALLOWED_PORTS"):
        egress.check(ip_address("8.8.8.8"), port, CLOSED)


@pytest.mark.parametrize(
    ("networks", "ports"),
    [
        *(("10.0.0.0/33", "443"), ("localhost", "443")),
        *(("", ports) for ports in ("https", "0", "0-9", "9-5", "443-65536")),
    ],
)
def test_a_setting_that_is_none_says_which_and_how(networks: str, ports: str) -> None:
    with pytest.raises(ValueError, match=r"EGRESS_ALLOWED_(NETWORKS|PORTS) lists .* for example"):
        Policy.parse(networks=networks, ports=ports)


def test_a_setting_may_be_empty_and_need_not_be_exact() -> None:
    assert policy(" ") == policy("none") == CLOSED
    assert str(CLOSED) == "none"
    assert str(Policy.parse(networks="10.1.2.3/8, ::1,", ports="443,")) == "10.0.0.0/8, ::1/128"


# --- where an address is typed ------------------------------------------------------------------------------------

REFUSED_ADDRESSES = [
    "http://169.254.169.254/latest",
    "http://0.0.0.0:8000/v1",
    "http://[::ffff:127.0.0.1]:8000/v1",
    "http://2130706433:8000",
    "http://0x7f.1",
    "http://localhost:11434",
    "http://api.localhost./v1",
    "http://LocalHost/v1",
    "https://10.1.2.3/v1",
]


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_an_address_is_refused_where_it_is_typed(settings: Any, address: str) -> None:
    settings.EGRESS = CLOSED
    with pytest.raises(ValidationError, match=r"EGRESS_ALLOWED_NETWORKS|Write that address as"):
        validate_address(address)


def test_names_are_accepted_where_they_are_typed(settings: Any) -> None:
    settings.EGRESS = CLOSED
    for address in ("https://llm.example.com/v1", "http://ollama:11434", "http://notlocalhost"):
        validate_address(address)
    for networks in (egress.LOOPBACK, "127.0.0.0/8", "::1"):
        settings.EGRESS = policy(networks)
        validate_address("http://localhost:11434")


def test_a_disguised_address_is_refused_where_its_plain_form_is_allowed(settings: Any) -> None:
    """No client calls it."""
    settings.EGRESS = LOCAL
    with pytest.raises(ValidationError, match=r"Write that address as 127\.0\.0\.1: "):
        validate_address("http://2130706433:8000")


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        *[(host, True) for host in ("localhost", "LOCALHOST", "Box.LocalHost", "127.0.0.1", "10.1.2.3")],
        *[(host, False) for host in ("8.8.8.8", "llm.example.com")],
    ],
)
def test_what_is_plainly_not_public(host: str, *, is_ours: bool) -> None:
    assert egress.is_own_network(host) is is_ours


@pytest.mark.parametrize("secret", ["key@", ":key@", "user:key@"])
def test_an_address_holds_no_key_which_pages_and_logs_would_show(settings: Any, secret: str) -> None:
    settings.EGRESS = CLOSED
    for address in (f"https://{secret}llm.example.com/v1", "https://llm.example.com/v1#key"):
        with pytest.raises(ValidationError, match="no user name, password or fragment"):
            validate_address(address)
    with pytest.raises(ValidationError, match="holds no query"):
        validate_address("https://llm.example.com/v1?key=key")
    validate_address("https://hooks.example.com/?token=key", may_have_query=True)


def test_the_usual_port_of_its_scheme_is_an_addresss(settings: Any) -> None:
    settings.EGRESS = Policy.parse(networks="none", ports="443")
    validate_address("https://llm.example.com/v1")
    with pytest.raises(ValidationError, match="Port 80 may not be called"):
        validate_address("http://llm.example.com/v1")


def test_a_port_is_refused_where_it_is_typed(settings: Any) -> None:
    settings.EGRESS = LOCAL
    with pytest.raises(ValidationError, match="EGRESS_ALLOWED_PORTS"):
        validate_address("http://llm.example.com:25/v1")


# --- the client of the request path -------------------------------------------------------------------------------


class Names:
    """Says that every name is at these addresses, and counts how often it was asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[AddrInfoType]:
        self.asked += 1
        return [(_family(each), socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (each, port)) for each in self.addresses]


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


async def _post(url: str, policy: Policy, lookup: Lookup = system_lookup, times: int = 1) -> int:
    async with open_session(policy=policy, lookup=lookup) as session:
        for _ in range(times):
            answer = await session.post(url, {}, b"", connect_timeout_s=CONNECT_S)
            await answer.read(1_000_000)
    return answer.status


@pytest.mark.parametrize(
    "place", ["127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1", "localhost", "[::1]"]
)
def test_no_form_of_this_machines_address_is_called(host: ModelHost, place: str) -> None:
    url = host.url.replace("127.0.0.1", place)
    with pytest.raises(ConnectError) as caught:
        asyncio.run(_post(f"{url}/models", CLOSED))
    assert isinstance(caught.value.cause, EgressRefusedError)
    assert host.seen == []


def test_a_name_is_looked_up_once_and_called_by_the_address_that_was_checked(host: ModelHost) -> None:
    names = Names("127.0.0.1")
    url = host.url.replace("127.0.0.1", "models.example") + "/models"
    with pytest.raises(ConnectError):
        asyncio.run(_post(url, CLOSED, names))
    names.asked = 0
    assert asyncio.run(_post(url, LOCAL, names, times=5)) == 200
    assert names.asked == 1
    assert host.seen[0][1]["host"].startswith("models.example:")


def test_of_a_names_addresses_those_that_are_refused_are_never_tried(host: ModelHost) -> None:
    url = host.url.replace("127.0.0.1", "rebinding.example") + "/models"
    for answers in (("127.0.0.1", "10.0.0.1"), ("10.0.0.1", "127.0.0.1"), ("169.254.169.254", "::1")):
        with pytest.raises(ConnectError) as caught:
            asyncio.run(_post(url, CLOSED, Names(*answers)))
        assert "setting" in str(caught.value.cause) or "metadata" in str(caught.value.cause)
    assert asyncio.run(_post(url, LOCAL, Names("10.0.0.1", "127.0.0.1"))) == 200


# --- the client that blocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1", "localhost"])
def test_the_blocking_client_calls_none_either(host: ModelHost, place: str) -> None:
    with open_client(policy=CLOSED) as http, pytest.raises(EgressRefusedError):
        http.get(f"{host.url.replace('127.0.0.1', place)}/models")
    assert host.seen == []
    with open_client(policy=LOCAL) as http:
        assert http.get(f"{host.url}/models").status_code == 200


def test_the_blocking_client_connects_to_what_it_checked(host: ModelHost, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["10.0.0.1", "127.0.0.1"], ["169.254.169.254"]])
    monkeypatch.setattr(GuardedNetwork, "look_up", lambda *_: next(answers))
    url = host.url.replace("127.0.0.1", "rebinding.example") + "/models"
    with open_client(policy=LOCAL) as http:
        assert http.get(url).status_code == 200
    with open_client(policy=LOCAL) as http, pytest.raises(EgressRefusedError):
        http.get(url)


def test_it_follows_no_redirect(host: ModelHost) -> None:
    host.status = 302
    with open_client(policy=LOCAL) as http:
        assert http.get(f"{host.url}/models").status_code == 302
    assert len(host.seen) == 1


def test_its_answers_are_bounded_and_plain(host: ModelHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking_http, "MAX_ANSWER_BYTES", 1000)
    host.body = "x" * 1001
    with open_client(policy=LOCAL) as http, pytest.raises(UnacceptableAnswerError, match="larger") as caught:
        http.get(f"{host.url}/models")
    assert caught.value.status == 200


def test_no_proxy_of_the_environment_is_used(host: ModelHost, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with open_client(policy=LOCAL) as http:
        assert http.get(f"{host.url}/models").status_code == 200
    assert asyncio.run(_post(f"{host.url}/models", LOCAL)) == 200


@pytest.mark.parametrize(
    ("name", "is_trusted", "status"),
    [("localhost", True, 200), ("localhost", False, None), ("models.example", True, None)],
    ids=["trusted", "signed by nobody known", "of another name"],
)
def test_over_tls_a_host_must_prove_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, status: int | None, *, is_trusted: bool
) -> None:
    """Providers are shown their keys by it, and receivers of webhooks what has happened."""
    file = certificate(tmp_path)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setattr(blocking_http, "_tls", blocking_http._tls.__wrapped__)  # which one process does but once
    monkeypatch.setattr(GuardedNetwork, "look_up", lambda *_: ["127.0.0.1"])
    with ModelHost(certificate=file) as host, open_client(policy=LOCAL) as http:
        url = host.url.replace("http://127.0.0.1", f"https://{name}") + "/models"
        if status is not None:
            assert http.get(url).status_code == status
            return
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            http.get(url)
        assert host.seen == []


def test_a_byte_at_a_time_keeps_nobody_waiting() -> None:
    """Each step is in time, and there is no end of them: the request's own time is."""
    server = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while True:
                connection.sendall(b"a")
                time.sleep(0.05)

    threading.Thread(target=drip, daemon=True).start()
    began = time.monotonic()
    with open_client(policy=LOCAL, timeout_s=0.3) as http, pytest.raises(httpx2.ReadTimeout):
        http.get(f"http://127.0.0.1:{server.getsockname()[1]}/")
    server.close()

    assert time.monotonic() - began < _PATIENCE_S
