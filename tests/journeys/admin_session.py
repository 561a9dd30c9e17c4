"""An administrator's browser, as far as HTTP goes: signs in, keeps cookies, fills in the forms that the pages hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlencode

from tests.product import Product

_FORM = "application/x-www-form-urlencoded"


class AdminSession:
    """`admin`'s, unless another is named."""

    def __init__(self, product: Product, *, name: str = "admin", password: str = "") -> None:
        self._product = product
        self._cookies: dict[str, str] = {}
        form = self.form("/admin/login/")
        self.submit("/admin/login/", form | {"username": name, "password": password or product.admin_password})
        assert "sessionid" in self._cookies, "the administrator could not sign in"

    @property
    def csrf_token(self) -> str:
        return self._cookies["csrftoken"]

    @property
    def cookie(self) -> dict[str, str]:
        """The header of that name."""
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}

    def form(self, path: str) -> dict[str, str]:
        """The fields of a page's form with what they hold."""
        with self.opened("GET", path) as answer:
            page = answer.read().decode()
            assert answer.status == 200, page[:500]
        fields = _Fields()
        fields.feed(page)
        return fields.values

    def submit(self, path: str, form: Mapping[str, str]) -> None:
        """Raises `AssertionError` with the page's complaints where the form was not taken."""
        headers = {"Content-Type": _FORM, "Referer": self._product.url(path)}
        with self.opened("POST", path, body=urlencode(form).encode(), headers=headers) as answer:
            page = answer.read().decode()
            assert answer.status == 302, _complaints(page)

    @contextmanager
    def opened(
        self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[HTTPResponse]:
        """Any call in this session; add `X-CSRFToken` where the call changes something and is no form."""
        with self._product.opened(method, path, body=body, headers={**(headers or {}), **self.cookie}) as answer:
            for cookie in answer.headers.get_all("Set-Cookie") or []:
                name, _, value = cookie.partition(";")[0].partition("=")
                self._cookies[name] = value
            yield answer


class _Fields(HTMLParser):
    """What a browser would send of the page's inputs, selections and text areas."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._select = ""
        self._textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "input" and name and _is_sent(given):
            self.values[name] = given.get("value") or ("on" if given.get("type") == "checkbox" else "")
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in self.values):
            self.values[self._select] = given.get("value") or ""
        elif tag == "textarea":
            self._textarea = name
            self.values[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.values[self._textarea] += data


def _is_sent(given: Mapping[str, str | None]) -> bool:
    kind = given.get("type") or "text"
    return kind not in ("submit", "button", "file", "image") and (kind != "checkbox" or "checked" in given)


def _complaints(page: str) -> str:
    """The page without its tags."""
    lines = [" ".join(text.split()) for text in re.sub(r"<[^>]*>", "\n", page).splitlines()]
    return "\n".join(line for line in lines if line and len(line) < 200)
