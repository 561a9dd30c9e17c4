"""Where the links of messages lead."""

from __future__ import annotations

import pytest

from aiplatform import public_url


@pytest.mark.parametrize(
    ("said", "origins", "host", "expected"),
    [
        ("https://ai.example.com/", ["https://other.example.com"], "0.0.0.0", ("https://ai.example.com", False)),
        ("https://example.com/ai", [], "0.0.0.0", ("https://example.com/ai", False)),
        ("", ["https://*.example.com", "https://a.example.com"], "0.0.0.0", ("https://a.example.com", False)),
        ("", ["http://0.0.0.0:8000", "http://[::]:8000"], "0.0.0.0", ("http://localhost:8000", True)),
        ("", ["https://*.example.com"], "0.0.0.0", ("http://localhost:8000", True)),
        ("", [], "0.0.0.0", ("http://localhost:8000", True)),
        ("", [], "::", ("http://localhost:8000", True)),
        ("", [], "::1", ("http://[::1]:8000", True)),
        ("", [], "ai.internal", ("http://ai.internal:8000", True)),
        ("", [], "127.0.0.1", ("http://127.0.0.1:8000", True)),
    ],
)
def test_links_lead_where_a_browser_can_go(
    monkeypatch: pytest.MonkeyPatch, said: str, origins: list[str], host: str, expected: tuple[str, bool]
) -> None:
    monkeypatch.setenv("PUBLIC_URL", said)

    assert public_url.find(origins, host=host, port=8000) == expected


@pytest.mark.parametrize(
    "said",
    [
        *("ai.example.com", "https://", "https://*.example.com", "http://0.0.0.0:8000", "http://[::]:8000"),
        *("https://ai.example.com?x=1", "https://ada:secret@ai.example.com", "ftp://ai.example.com"),
    ],
)
def test_an_address_that_leads_nowhere_ends_the_start(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("PUBLIC_URL", said)

    with pytest.raises(SystemExit, match=r"^PUBLIC_URL must be the one address") as end:
        public_url.find([], host="127.0.0.1", port=8000)
    assert "secret" not in str(end.value)
