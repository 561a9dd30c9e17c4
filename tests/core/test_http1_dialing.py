"""Where connections lead: names, addresses, TLS, and what may not be called, on both kinds of event loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiohappyeyeballs import AddrInfoType

from core.egress import EgressRefusedError, Policy
from core.http1 import ConnectError, NoSocketError, names
from core.http1.names import Names
from tests.core.hosts import (
    CONNECT_S,
    HELLO,
    LOCAL,
    Line,
    Run,
    certificate,
    counted,
    no_file_to_be_had,
    only_pool,
    open_local,
    raw_host,
    saying,
)


def test_a_connection_over_tls_is_trusted_as_the_system_trusts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    server.set_alpn_protocols(["h2", "http/1.1"])

    async def turn(line: Line) -> None:
        spoken.add(line.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await line.say(HELLO)

    async def story(place: str) -> None:
        async with raw_host(turn, tls=server) as host, open_local() as session:
            for _ in range(3):
                answer = await session.post(
                    f"https://{place}:{host.port}/", {}, bytes(200_000), connect_timeout_s=CONNECT_S
                )
                assert await answer.read(100) == b"hello"
            assert len(host.lines) == 1

    spoken: set[str] = set()
    with pytest.raises(ConnectError) as caught:
        run(story("localhost"))
    assert isinstance(caught.value.cause, ssl.SSLError)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    run(story("localhost"))
    run(story("127.0.0.1"))
    assert spoken == {"http/1.1"}


def test_a_trust_store_that_could_not_be_read_is_read_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    async def story() -> None:
        async with raw_host(saying(HELLO), tls=server) as host, open_local() as session:
            url = f"https://127.0.0.1:{host.port}/"
            no_threads = ThreadPoolExecutor(1)
            no_threads.shutdown()
            asyncio.get_running_loop().set_default_executor(no_threads)
            with pytest.raises(ConnectError):
                await session.post(url, {}, b"", connect_timeout_s=CONNECT_S)
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
            answer = await session.post(url, {}, b"", connect_timeout_s=CONNECT_S)
            assert await answer.read(100) == b"hello"

    run(story())


def test_a_certificate_of_another_name_is_not_trusted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    async def story() -> None:
        async with raw_host(saying(HELLO), tls=server) as host, open_local(lookup=at("127.0.0.1")) as session:
            await session.post(f"https://other.example:{host.port}/", {}, b"", connect_timeout_s=CONNECT_S)

    with pytest.raises(ConnectError) as caught:
        run(story())
    assert isinstance(caught.value.cause, ssl.SSLCertVerificationError)


@pytest.mark.parametrize("place", ["127.0.0.1", "known.example", "sought.example"])
def test_no_socket_to_be_had_is_no_fault_of_the_host(run: Run, place: str, caplog: pytest.LogCaptureFixture) -> None:
    async def look_up(name: str, port: int) -> Sequence[AddrInfoType]:
        if name == "sought.example" and not may_open:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return await names.system_lookup("127.0.0.1", port)

    may_open: list[bool] = []

    async def story() -> None:
        async with raw_host(saying(HELLO)) as host, open_local(lookup=look_up) as session:
            url = f"http://{place}:{host.port}/"
            with no_file_to_be_had():
                for _ in range(2):
                    with pytest.raises(NoSocketError):
                        await session.post(url, {}, b"", connect_timeout_s=CONNECT_S)
            may_open.append(True)
            answer = await session.post(url, {}, b"", connect_timeout_s=CONNECT_S)
            assert await answer.read(100) == b"hello"

    run(story())

    assert caplog.text.count("raise the limit of open files") == 1


def test_a_name_that_nobody_knows_is_no_lack_of_sockets(run: Run) -> None:
    async def nowhere(*_: object) -> Sequence[AddrInfoType]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def story() -> None:
        async with open_local(lookup=nowhere) as session:
            with pytest.raises(ConnectError) as caught:
                await session.post("http://nowhere.example/", {}, b"", connect_timeout_s=CONNECT_S)
            assert type(caught.value) is ConnectError

    run(story())


def test_an_address_of_ipv6(run: Run) -> None:
    async def story() -> None:
        async with raw_host(saying(HELLO), place="::1") as host, open_local() as session:
            answer = await session.post(f"http://[::1]:{host.port}/", {}, b"", connect_timeout_s=CONNECT_S)
            assert await answer.read(100) == b"hello"
            assert f"\r\nHost: [::1]:{host.port}\r\n".encode() in host.requests[0][0]

    run(story())


def test_a_socket_is_quick_and_says_that_it_lives(run: Run) -> None:
    async def story() -> None:
        async with raw_host(saying(HELLO)) as host, open_local() as session:
            answer = await session.post(f"http://127.0.0.1:{host.port}/", {}, b"", connect_timeout_s=CONNECT_S)
            await answer.read(100)
            [connection] = only_pool(session)._resting
            used = connection._transport.get_extra_info("socket")
            assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    run(story())


def at(
    *places: str, asked: list[str] | None = None
) -> Callable[[str, int], Coroutine[Any, Any, Sequence[AddrInfoType]]]:
    async def lookup(host: str, port: int) -> Sequence[AddrInfoType]:
        if asked is not None:
            asked.append(host)
        await asyncio.sleep(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (place, port)) for place in places]

    return lookup


def test_of_several_addresses_the_first_that_answers_is_used(run: Run) -> None:
    async def story() -> None:
        async with raw_host(saying(HELLO)) as host, open_local(lookup=at("127.0.0.9", "127.0.0.1")) as session:
            answer = await session.post(f"http://h.example:{host.port}/", {}, b"", connect_timeout_s=CONNECT_S)
            assert await answer.read(100) == b"hello"

    run(story())


def test_a_name_is_looked_up_once_for_all_who_call(run: Run) -> None:
    async def story() -> None:
        asked: list[str] = []
        async with raw_host(saying(HELLO)) as host, open_local(lookup=at("127.0.0.1", asked=asked)) as session:
            url = f"http://h.example:{host.port}/"
            await asyncio.gather(*(session.post(url, {}, b"", connect_timeout_s=CONNECT_S) for _ in range(5)))
            assert asked == ["h.example"]

    run(story())


def test_a_failed_look_up_is_not_remembered(run: Run) -> None:
    async def story() -> None:
        asked: list[str] = []

        async def lookup(host: str, port: int) -> Sequence[AddrInfoType]:
            asked.append(host)
            if len(asked) == 1:
                raise socket.gaierror("no such name")
            return await at("127.0.0.1")(host, port)

        async with raw_host(saying(HELLO)) as host, open_local(lookup=lookup) as session:
            url = f"http://h.example:{host.port}/"
            with pytest.raises(ConnectError):
                await session.post(url, {}, b"", connect_timeout_s=CONNECT_S)
            await session.post(url, {}, b"", connect_timeout_s=CONNECT_S)
            assert len(asked) == 2

    run(story())


def test_what_is_known_of_names_is_bounded_and_grows_old(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_MAX_KNOWN", 3)

    async def story() -> None:
        asked: list[str] = []
        known = Names(at("127.0.0.1", asked=asked))
        for name in ("a", "b", "c", "d", "d", "c", "a"):
            await known.addresses(name, 80)
        assert asked == ["a", "b", "c", "d", "a"]
        monkeypatch.setattr(names, "_KNOWN_FOR_S", -1.0)
        for _ in range(2):
            await known.addresses("e", 80)
        assert asked[-2:] == ["e", "e"]

    run(story())


def test_what_nobody_answers_at_is_no_connection(run: Run) -> None:
    async def story() -> None:
        async with open_local() as session:
            for url in ("http://127.0.0.1:9/", "http://no-such-name.invalid/", f"http://{'a' * 64}.example/"):
                with pytest.raises(ConnectError):
                    await session.post(url, {}, b"", connect_timeout_s=CONNECT_S)
            assert all(found.is_idle for found in session._pools.values())

    run(story())


def test_a_connection_is_refused_by_each_address_that_it_could_have(run: Run) -> None:
    closed = Policy(networks=(), ports=LOCAL.ports)

    async def story() -> None:
        async with raw_host(saying(HELLO)) as host:
            for places in (("127.0.0.1",), ("10.0.0.1", "127.0.0.1"), ("169.254.169.254", "127.0.0.1")):
                async with open_local(policy=closed, lookup=at(*places)) as session:
                    with pytest.raises(ConnectError) as caught:
                        await session.post(f"http://h.example:{host.port}/", {}, b"", connect_timeout_s=CONNECT_S)
                    assert isinstance(caught.value.cause, EgressRefusedError)
                    assert counted(session) == (0, 0, 0)
            assert host.lines == []

    run(story())
