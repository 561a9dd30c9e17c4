"""Whose session it is: found by Django, then by one look at the rows, until anything in them changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware, get_user
from django.contrib.auth.models import User
from django.contrib.sessions.middleware import SessionMiddleware
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts import sessions
from accounts.sessions import Sessions

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture
def alice() -> User:
    return User.objects.create_superuser("alice", password=PASSWORD)


@pytest.fixture
def browser(alice: User) -> Client:
    browser = Client()
    browser.force_login(alice)
    return browser


def ask(found: Sessions, browser: Client, *, alone: bool = True) -> HttpRequest:
    """A request as it is when the view gets it; one that came with the last unless it is `alone`."""
    if alone:
        found.look_anew()
    request = RequestFactory().get("/")
    request.COOKIES[settings.SESSION_COOKIE_NAME] = browser.cookies[settings.SESSION_COOKIE_NAME].value
    for middleware in (SessionMiddleware(_never), AuthenticationMiddleware(_never)):
        middleware.process_request(request)
    found.identify(request)
    return request


def _never(request: HttpRequest) -> HttpResponse:
    raise AssertionError(request)


@pytest.fixture
def known(browser: Client) -> Sessions:
    """It has found the browser's often enough."""
    found = Sessions()
    for _ in range(2):
        ask(found, browser)
    return found


def test_after_the_second_time_one_look_is_enough(
    known: Sessions, browser: Client, alice: User, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        request = ask(known, browser)

    assert request.user == alice
    assert request.user.is_staff
    assert request.session["_auth_user_id"] == str(alice.pk)
    assert (request.session.accessed, request.session.modified) == (True, False)


def test_those_who_come_together_share_a_look(
    known: Sessions, browser: Client, alice: User, django_assert_num_queries: Any
) -> None:
    his = Client()
    his.force_login(User.objects.create_user("bob", password=PASSWORD))
    for _ in range(2):
        ask(known, his)
    with django_assert_num_queries(2):
        users = [ask(known, each, alone=number == 0).user for number, each in enumerate([browser, his] * 3)]

    assert [user.get_username() for user in users] == ["alice", "bob"] * 3


@pytest.mark.parametrize(
    "change",
    [
        lambda user, _: User.objects.filter(pk=user.pk).update(is_active=False),
        lambda user, _: user.delete(),
        lambda user, _: (user.set_password("another one, and long"), user.save()),
        lambda _, browser: browser.logout(),
        lambda *_: Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1)),
        lambda *_: Session.objects.update(session_data="forged"),
    ],
    ids=["deactivated", "deleted", "new password", "signed out", "expired", "forged"],
)
@pytest.mark.parametrize("times", [1, 2])  # before the second one its rows are not kept
def test_what_ends_a_session_is_seen_at_once(
    browser: Client, alice: User, change: Callable[[User, Client], Any], times: int
) -> None:
    known = Sessions()
    for _ in range(times):
        ask(known, browser)
    cookie = browser.cookies[settings.SESSION_COOKIE_NAME].value

    change(alice, browser)
    browser.cookies[settings.SESSION_COOKIE_NAME] = cookie

    for _ in range(3):
        assert not ask(known, browser).user.is_authenticated


def test_a_session_runs_out_by_itself(known: Sessions, browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    after_it = timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE + 60)
    monkeypatch.setattr(timezone, "now", lambda: after_it)

    assert not ask(known, browser).user.is_authenticated


def test_what_one_request_makes_of_its_session_and_user_is_not_the_nexts(browser: Client) -> None:
    found = Sessions()
    for _ in range(4):
        request = ask(found, browser)
        assert (request.session.modified, request.user.is_superuser) == (False, True)
        request.session.modified, request.user.is_superuser = True, False


def test_what_changes_a_user_is_seen_at_once(known: Sessions, browser: Client, alice: User) -> None:
    for is_staff in (False, True, False):
        User.objects.filter(pk=alice.pk).update(is_staff=is_staff)
        for _ in range(3):
            assert ask(known, browser).user.is_staff == is_staff


def test_what_changed_while_django_looked_and_was_taken_back_is_over(
    browser: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Sessions()
    ask(known, browser)  # from now on its rows are read, before Django looks and after
    User.objects.update(is_superuser=False)

    def meanwhile(request: HttpRequest) -> Any:
        User.objects.update(is_superuser=True)
        return get_user(request)

    monkeypatch.setattr(sessions, "get_user", meanwhile)
    assert ask(known, browser).user.is_superuser
    monkeypatch.undo()
    User.objects.update(is_superuser=False)

    assert not ask(known, browser).user.is_superuser


def test_nobody_is_taken_for_another(known: Sessions, browser: Client, alice: User) -> None:
    bob = User.objects.create_user("bob", password=PASSWORD)
    his = Client()
    his.force_login(bob)

    assert [ask(known, each).user for each in (his, browser, his, browser, his)] == [bob, alice, bob, alice, bob]


def test_so_many_are_kept_and_no_more(
    monkeypatch: pytest.MonkeyPatch, known: Sessions, browser: Client, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(sessions, "_MOST", 2)
    for number in range(2):
        other = Client()
        other.force_login(User.objects.create_user(f"user-{number}"))
        ask(known, other)

    with django_assert_num_queries(2):
        ask(known, browser)
