"""What is sent: heads, bodies, and what is never sent."""

from __future__ import annotations

import asyncio

import pytest

from core.http1 import InvalidHeaderError, InvalidUrlError
from core.http1.target import target_of
from tests.core.hosts import CONNECT_S, HELLO, open_local, raw_host, saying


def first_line(url: str) -> str:
    return target_of(url).opening.split(b"\r\n")[0].decode()


def named(url: str) -> str:
    return target_of(url).opening.split(b"\r\n")[1].decode()


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("http://h", "POST / HTTP/1.1"),
        ("http://h/v1/chat?alt=sse", "POST /v1/chat?alt=sse HTTP/1.1"),
        ("http://h/models/a b:é", "POST /models/a%20b:%C3%A9 HTTP/1.1"),
        ("http://h/a%20b%2Fc?d=%26", "POST /a%20b%2Fc?d=%26 HTTP/1.1"),
        ("http://h/a#fragment", "POST /a HTTP/1.1"),
        ("http://h/v1 HTTP/1.1 X: y", "POST /v1%20HTTP/1.1%20X:%20y HTTP/1.1"),
    ],
)
def test_paths_are_percent_encoded_once(url: str, line: str) -> None:
    assert first_line(url) == line


@pytest.mark.parametrize(
    ("url", "line", "origin"),
    [
        ("http://h.example/", "Host: h.example", ("http", "h.example", 80)),
        ("http://h.example:80/", "Host: h.example", ("http", "h.example", 80)),
        ("http://h.example:443/", "Host: h.example:443", ("http", "h.example", 443)),
        ("https://h.example:443/", "Host: h.example", ("https", "h.example", 443)),
        ("https://H.Example:8443/", "Host: h.example:8443", ("https", "h.example", 8443)),
        ("http://[::1]:8000/", "Host: [::1]:8000", ("http", "::1", 8000)),
        ("https://bücher.example/", "Host: xn--bcher-kva.example", ("https", "xn--bcher-kva.example", 443)),
        ("https://h.example./", "Host: h.example", ("https", "h.example.", 443)),
    ],
)
def test_hosts(url: str, line: str, origin: tuple[str, str, int]) -> None:
    assert named(url) == line
    assert target_of(url).origin == origin


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "h/x",
            "ftp://h/",
            "http:///x",
            "http://h:0/",
            "http://h:99999/",
            "http://u:p@h/",
            "http://u@h/",
            "http://:p@h/",
            "http://[::1/",
        ),
        *("http://h/\r\nX: y", "http://h/\nx", "http://h/\0", "http://h\r\n/", "http://a b/", "http://h\x7f/"),
    ],
)
def test_what_is_no_url_is_not_called(url: str) -> None:
    with pytest.raises(InvalidUrlError):
        target_of(url)


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nX: y", "a\rX", "a\0", "\r\n", "a\r\n", "\n"])
def test_no_header_begins_another_line(value: str) -> None:
    for headers in ({"X": value}, {"Fine": "yes", "X": value}, {value: "x"}):
        with pytest.raises(InvalidHeaderError) as caught:
            target_of("http://h/").head(headers, 0)
        assert "X" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 2, 64 * 1024, 64 * 1024 + 1, 5_000_000])
def test_a_request_arrives_as_it_was_given(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    async def story() -> None:
        async with raw_host(saying(HELLO)) as host, open_local() as session:
            headers = {"Content-Type": "application/json", "X-Words": "größer"}
            answer = await session.post(
                f"http://127.0.0.1:{host.port}/v1?a=b", headers, body, connect_timeout_s=CONNECT_S
            )
            assert await answer.read(100) == b"hello"
            [(head, sent)] = host.requests
            assert sent == body
            assert head.decode().split("\r\n") == [
                "POST /v1?a=b HTTP/1.1",
                f"Host: 127.0.0.1:{host.port}",
                "Accept: */*",
                "Accept-Encoding: identity",
                "User-Agent: ai-platform",
                "Content-Type: application/json",
                "X-Words: größer",
                f"Content-Length: {size}",
                "",
                "",
            ]

    asyncio.run(story())
