"""EMAIL_URL, as people write it."""

from __future__ import annotations

import pytest

from aiplatform import servers


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "password", "security"),
    [
        ("smtp://mail.example.com", "mail.example.com", 25, "", "", ""),
        ("smtp+tls://ada:p%40ss@mail.example.com", "mail.example.com", 587, "ada", "p@ss", "tls"),
        (
            "smtps://ada%40example.com:hush@mail.example.com:2465",
            "mail.example.com",
            2465,
            "ada@example.com",
            "hush",
            "ssl",
        ),
    ],
)
def test_the_forms_of_email_url(  # noqa: PLR0917 - the parts of one address
    monkeypatch: pytest.MonkeyPatch, url: str, host: str, port: int, user: str, password: str, security: str
) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    server = servers.mail_server()

    assert server is not None
    assert (server.host, server.port, server.user, server.security) == (host, port, user, security)
    assert server.password.reveal() == password
    assert password == "" or password not in repr(server)


@pytest.mark.parametrize("url", ["mail.example.com", "http://mail.example.com", "smtp://", "smtp://u:hush@h:port"])
def test_an_email_url_that_makes_no_sense_stops_the_start_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("EMAIL_URL", url)

    with pytest.raises(SystemExit) as stopped:
        servers.mail_server()

    assert "EMAIL_URL must be" in str(stopped.value)
    assert "hush" not in str(stopped.value)


def test_without_it_no_mail_goes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMAIL_URL", "")

    assert servers.mail_server() is None
