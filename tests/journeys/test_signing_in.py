"""An administrator signs in, and somebody behind the same proxy guesses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from tests.journeys.admin_session import AdminSession
from tests.product import Product

_FORM = "application/x-www-form-urlencoded"


def _guess(product: Product, browser: AdminSession, password: str, *, address: str) -> tuple[int, str]:
    """As a proxy on this machine passes it on, from `address`."""
    given = {"username": "admin", "password": password, "csrfmiddlewaretoken": browser.csrf_token}
    headers = {"Content-Type": _FORM, "Referer": product.url("/admin/login/"), "X-Forwarded-For": address}
    with browser.opened("POST", "/admin/login/", body=urlencode(given).encode(), headers=headers) as answer:
        return answer.status, answer.read().decode()


def test_behind_a_proxy_the_guesser_alone_is_refused(topology: Product) -> None:
    browser = AdminSession(topology)
    for _ in range(5):
        assert _guess(topology, browser, "wrong", address="203.0.113.9")[0] == 200

    status, page = _guess(topology, browser, topology.admin_password, address="203.0.113.9")

    assert (status, "Too many wrong passwords" in page) == (200, True)
    assert _guess(topology, browser, topology.admin_password, address="203.0.113.10")[0] == 302


def test_many_guesses_at_once_are_as_many(topology: Product) -> None:
    browser = AdminSession(topology)

    def guess(number: int) -> str:
        while True:
            page = _guess(topology, browser, f"wrong-{number}", address="203.0.113.11")[1]
            if "Many are signing in" not in page:  # it says: again in a moment
                return page

    with ThreadPoolExecutor(20) as crowd:
        pages = list(crowd.map(guess, range(20)))

    assert sum("Too many wrong passwords" in page for page in pages) == 15
    assert sum("correct username and password" in page for page in pages) == 5
