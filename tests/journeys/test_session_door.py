"""The completion action in a browser's session: whose it is, what is refused, and what waiting costs."""

from __future__ import annotations

import http.client
import itertools
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.journeys import operating
from tests.journeys.admin_session import AdminSession
from tests.journeys.dialects import SPEC_D
from tests.product import Answer, Product
from tests.servers import PATIENCE_S, wait_until
from tests.upstream import Fault, Upstream

PASSWORD = "a long word for bella"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def bella(house: Product) -> Iterator[AdminSession]:
    """An administrator whom the tests may change."""
    house.manage(
        "shell",
        "-c",
        f"from django.contrib.auth.models import User; User.objects.create_superuser('bella', password={PASSWORD!r})",
    )
    yield AdminSession(house, name="bella", password=PASSWORD)
    house.sql("UPDATE auth_user SET is_active = false WHERE username = 'bella'")


@pytest.fixture
def as_she_is(house: Product) -> Iterator[None]:
    yield
    house.sql("UPDATE auth_user SET is_active = true, is_staff = true WHERE username = 'bella'")


def sent(session: AdminSession, **more: str) -> dict[str, str]:
    """The headers of a call in that session; `more` with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {
        "Content-Type": "application/json",
        "X-Request-ID": f"door-{next(_numbers)}",
        "X-CSRFToken": session.csrf_token,
        **session.cookie,
        **named,
    }


def ask(house: Product, headers: dict[str, str], *, model: str = "up-chat", timeout_s: float = PATIENCE_S) -> Answer:
    return house.request("POST", SPEC_D.path, body=SPEC_D.body(model, "Hello"), headers=headers, timeout_s=timeout_s)


def refused(answer: Answer) -> tuple[int, str]:
    body = answer.json()
    assert body["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["x-frame-options"] == "DENY"
    return answer.status, body["error_code"]


UNAUTHENTICATED, FORBIDDEN = (401, "UNAUTHENTICATED"), (403, "FORBIDDEN")


@pytest.mark.usefixtures("as_she_is")
class TestWhose:
    """Each has called before, so that the platform knows the session."""

    def test_nobodys(self, house: Product, upstream: Upstream) -> None:
        answer = ask(house, {"Content-Type": "application/json"})

        assert refused(answer) == UNAUTHENTICATED
        assert answer.headers["www-authenticate"] == "Bearer"
        assert upstream.bill == []

    def test_one_that_is_unknown(self, house: Product, bella: AdminSession) -> None:
        headers = sent(bella) | {"Cookie": f"sessionid={'z' * 32}; csrftoken={bella.csrf_token}"}

        answer = ask(house, headers)

        assert refused(answer) == UNAUTHENTICATED
        assert 'sessionid=""' in answer.headers["set-cookie"]

    def test_one_that_has_signed_out(self, house: Product, upstream: Upstream, bella: AdminSession) -> None:
        other = AdminSession(house, name="bella", password=PASSWORD)
        headers = sent(other)
        assert [ask(house, headers).status for _ in range(3)] == [200] * 3
        before = len(upstream.bill)

        with other.opened("POST", "/admin/logout/", headers={"X-CSRFToken": other.csrf_token}) as page:
            assert page.status in (200, 302)

        assert refused(ask(house, headers)) == UNAUTHENTICATED
        assert len(upstream.bill) == before
        assert ask(house, sent(bella)).status == 200

    def test_a_deactivated_administrators(self, house: Product, bella: AdminSession) -> None:
        assert [ask(house, sent(bella)).status for _ in range(3)] == [200] * 3

        house.sql("UPDATE auth_user SET is_active = false WHERE username = 'bella'")

        assert refused(ask(house, sent(bella))) == UNAUTHENTICATED

    def test_one_of_who_is_no_administrator(self, house: Product, bella: AdminSession) -> None:
        assert [ask(house, sent(bella)).status for _ in range(3)] == [200] * 3

        house.sql("UPDATE auth_user SET is_staff = false WHERE username = 'bella'")

        assert refused(ask(house, sent(bella))) == FORBIDDEN

    def test_its_calls_are_its_users(self, house: Product, bella: AdminSession) -> None:
        headers = sent(bella)
        for _ in range(3):
            ask(house, headers | {"X-Request-ID": (name := f"{headers['X-Request-ID']}-{next(_numbers)}")})

        assert operating.row(house, name)["end_user"] == "bella"

    def test_a_name_that_is_longer_than_its_column_is_cut_off(self, house: Product) -> None:
        """As at every other door: PostgreSQL takes no longer one, and budgets are of what is left."""
        name = "b" * 150
        house.manage(
            "shell",
            "-c",
            "from django.contrib.auth.models import User; "
            f"User.objects.create_superuser({name!r}, password={PASSWORD!r})",
        )

        answer = ask(house, sent(AdminSession(house, name=name, password=PASSWORD)))

        assert operating.row_of(house, answer)["end_user"] == "b" * 128


def test_many_at_once_are_each_their_own(house: Product, upstream: Upstream) -> None:
    """One thread finds out whose session it is, for all of them together; one of them is nobody's."""
    names = [f"one-of-many-{number}" for number in range(8)]
    house.manage(
        "shell",
        "-c",
        "from django.contrib.auth.models import User\n"
        f"for name in {names}: User.objects.create_superuser(name, password={PASSWORD!r})",
    )
    sessions = [AdminSession(house, name=name, password=PASSWORD) for name in names]
    stranger = {"Cookie": f"sessionid={'z' * 32}; csrftoken={sessions[0].csrf_token}"}
    asked = [(name, sent(session)) for _ in range(25) for name, session in zip(names, sessions, strict=True)]
    asked += [("", sent(sessions[0]) | stranger) for _ in range(25)]
    random.Random(7).shuffle(asked)

    with ThreadPoolExecutor(50) as crowd:
        answers = list(crowd.map(lambda each: ask(house, each[1]), asked))

    assert [answer.status for answer in answers] == [200 if name else 401 for name, _ in asked]
    assert [answer.headers["x-request-id"] for answer in answers] == [headers["X-Request-ID"] for _, headers in asked]
    operating.settled(house)
    whose = {
        row["request_id"]: row["end_user"] for row in house.sql("SELECT request_id, end_user FROM usage_usagerecord")
    }
    assert {each: whose.get(each) for each in (headers["X-Request-ID"] for _, headers in asked)} == {
        headers["X-Request-ID"]: name or None for name, headers in asked
    }
    assert len(upstream.bill) == 200


class TestForged:
    """A page elsewhere has the browser send the session's cookie, and cannot read the token."""

    @pytest.mark.parametrize(
        "forged",
        [
            {"X-CSRFToken": "b" * 32},
            {"X-CSRFToken": ""},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
        ],
        ids=["another token", "no token", "another origin", "no origin at all"],
    )
    def test_is_refused(self, house: Product, upstream: Upstream, bella: AdminSession, forged: dict[str, str]) -> None:
        answer = ask(house, sent(bella) | forged)

        assert refused(answer) == FORBIDDEN
        assert "CSRF" in answer.json()["error"]
        assert upstream.bill == []

    def test_behind_tls_the_page_must_be_ours(self, house: Product, bella: AdminSession) -> None:
        """The proxy says that it was HTTPS; then a request without an origin needs a referer of ours."""
        headers = sent(bella, X_Forwarded_Proto="https")
        host = f"127.0.0.1:{house.port}"

        assert refused(ask(house, headers)) == FORBIDDEN
        assert refused(ask(house, headers | {"Referer": "https://evil.example/"})) == FORBIDDEN
        assert ask(house, headers | {"Referer": f"https://{host}/admin/"}).status == 200

    def test_our_own_page_is_not(self, house: Product, bella: AdminSession) -> None:
        assert ask(house, sent(bella, Origin=house.base_url)).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Content-Type": "text/plain"}, 415), ({"Host": "a b"}, 400)],
    ids=["no JSON", "no host"],
)
def test_what_rest_framework_and_django_refuse(
    house: Product, upstream: Upstream, bella: AdminSession, headers: dict[str, str], status: int
) -> None:
    assert ask(house, sent(bella) | headers).status == status
    assert upstream.bill == []


def test_a_browser_may_say_that_it_wants_events(house: Product, bella: AdminSession) -> None:
    body = SPEC_D.body("up-chat", "Hello") | {"stream": True}
    answer = house.request("POST", SPEC_D.path, body=body, headers=sent(bella, Accept="text/event-stream"))

    assert answer.status == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert '"finishReason":"stop"' in answer.text


def test_the_body_of_a_stranger_is_not_waited_for(house: Product) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=PATIENCE_S)
    connection.putrequest("POST", SPEC_D.path)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()  # and nothing of it is ever sent

    with connection.getresponse() as answer:
        assert answer.status == 401
    connection.close()


def test_a_body_without_a_length_is_bounded(house: Product, upstream: Upstream, bella: AdminSession) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=PATIENCE_S)
    piece = b"x" * 1024 * 1024

    headers = sent(bella, Transfer_Encoding="chunked")
    connection.request("POST", SPEC_D.path, itertools.repeat(piece, 11), headers, encode_chunked=True)

    with connection.getresponse() as answer:
        assert (answer.status, json.loads(answer.read())["error_code"]) == (413, "PAYLOAD_TOO_LARGE")
    connection.close()
    assert upstream.bill == []


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_before_the_first_word(
    house: Product, upstream: Upstream, bella: AdminSession, *, stream: bool
) -> None:
    """The call is stopped and settled as one with a key is (`leaving` aborts)."""
    upstream.always("leaving", Fault(delay_s=60))
    headers = sent(bella)
    body = SPEC_D.body("leaving", "Hello") | {"stream": stream}

    connection = asking(house, body, headers)
    wait_until(lambda: upstream.dispatches("leaving"), what="the provider to be asked")
    connection.close()

    row = operating.row(house, headers["X-Request-ID"])
    assert (row["status"], row["evidence"]) == ("cancelled", "upper_bound")
    wait_until(lambda: operating.open_holds(house) == 0, what="the hold to be settled")


def test_who_leaves_while_the_provider_is_silent(house: Product, upstream: Upstream, bella: AdminSession) -> None:
    upstream.on("leaving", Fault(stall_after=3))
    headers = sent(bella, Accept="text/event-stream")

    connection = asking(house, SPEC_D.body("leaving", "Hello") | {"stream": True}, headers)
    connection.getresponse().readline()
    connection.close()

    row = operating.row(house, headers["X-Request-ID"])
    assert (row["status"], row["evidence"]) == ("cancelled", "estimated")
    wait_until(lambda: upstream.bill[0].cancelled, what="the provider to hear of it")


def test_slow_calls_hold_no_threads(house: Product, upstream: Upstream, bella: AdminSession) -> None:
    upstream.always("leaving", Fault(delay_s=60))
    ask(house, sent(bella))
    before = threads(house)
    body = SPEC_D.body("leaving", "Hello")

    connections = [asking(house, body, sent(bella)) for _ in range(200)]
    try:
        wait_until(lambda: len(upstream.dispatches("leaving")) == 200, what="the provider to be asked 200 times")
        held = threads(house) - before
    finally:
        for connection in connections:
            connection.close()

    assert held < 10
    wait_until(lambda: operating.open_holds(house) == 0, what="the holds to be settled")
    assert ask(house, sent(bella)).status == 200


def asking(house: Product, body: Any, headers: dict[str, str]) -> http.client.HTTPConnection:
    """A call whose answer is not waited for."""
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=PATIENCE_S)
    connection.request("POST", SPEC_D.path, json.dumps(body).encode(), headers)
    return connection


def threads(house: Product) -> int:
    assert house.web.process is not None
    return len(list(Path(f"/proc/{house.web.process.pid}/task").iterdir()))
