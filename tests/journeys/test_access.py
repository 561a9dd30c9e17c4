"""Deny by default: every HTTP path refuses who brings no key, unless it is declared open here."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize

from tests.journeys import operating
from tests.product import Product

OPEN = {
    "/": "leads to the admin pages",
    "/admin/login/": "is where one logs in",
    "/admin/logout/": "ends a session",
    "/ping": "says that the process turns",
    "/livez": "says that the process turns",
    "/readyz": "says that the database answers",
    "/health": "says that the database answers",
    "/v1/health": "says that the database answers",
}
_SAMPLES = {"pk": str(UUID(int=1)), "object_id": str(UUID(int=1)), "id": str(UUID(int=1)), "app_label": "usage"}


def _data_plane() -> Iterator[tuple[str, str]]:
    from aiplatform.doors import PREFIXES, ROUTES

    yield from ROUTES
    for (method, prefix), _ in PREFIXES:
        yield method or "POST", f"{prefix}anything"


def _django() -> Iterator[tuple[str, str]]:
    """Each URL pattern, with a sample for each of its parameters."""
    for path in sorted(set(_paths(get_resolver(), ""))):
        yield "GET", path
        yield "POST", path


def _paths(resolver: URLResolver, start: str) -> Iterator[str]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from _paths(entry, start + _text(entry))
        elif isinstance(entry, URLPattern):
            yield "/" + start + _text(entry)


def _text(entry: URLPattern | URLResolver) -> str:
    text, names = normalize(entry.pattern.regex.pattern)[0]
    return str(text) % {name: _SAMPLES.get(name, "sample") for name in names}


def _cases() -> list[tuple[str, str]]:
    return sorted({*_data_plane(), *_django()})


def test_every_path_refuses_who_brings_no_key(house: Product) -> None:
    answers = {
        (method, path): house.request(method, path, body={} if method == "POST" else None).status
        for method, path in _cases()
        if path not in OPEN
    }

    let_in = {case: status for case, status in answers.items() if status not in (301, 302, 401, 403, 404, 405)}
    assert len(answers) > 200
    assert let_in == {}
    assert [case for case, status in answers.items() if status in (404, 405) and case[1].startswith("/v1")] == []


@pytest.mark.parametrize("path", ["/admin/usage/usagerecord/", "/admin/providers/provider/add/", "/admin/"])
def test_the_admin_pages_lead_to_the_login(house: Product, path: str) -> None:
    answer = house.request("GET", path)

    assert answer.status == 302
    assert answer.headers["location"].startswith("/admin/login/")


@pytest.mark.parametrize("path", [path for path in OPEN if path not in ("/", "/admin/logout/")])
def test_what_is_open_answers(house: Product, path: str) -> None:
    operating.until_ready(house)
    assert house.request("GET", path).status == 200


def test_a_wrong_key_opens_nothing(house: Product) -> None:
    wrong = {
        (method, path): house.request(method, path, body={} if method == "POST" else None, key="aip_wrong").status
        for method, path in _data_plane()
    }

    assert set(wrong.values()) == {401}
