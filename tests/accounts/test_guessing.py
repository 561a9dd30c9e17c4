"""Who guesses passwords is refused for a while; nobody else is."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from accounts import guessing
from accounts import sign_in as sign_in_form
from accounts.guessing import MOST_WRONG, MOST_WRONG_FROM_ONE_ADDRESS, REFUSED_FOR, Guesses, TooManyGuessesError
from accounts.models import AuditEntry

pytestmark = pytest.mark.django_db
RIGHT, WRONG = "a-long-password", "not-that-one"
HERE = "203.0.113.9"
REFUSED = "Too many wrong passwords"


@pytest.fixture(autouse=True)
def anna() -> User:
    return User.objects.create_superuser("anna", password=RIGHT)


def sign_in(password: str, *, name: str = "anna", address: str = HERE) -> Any:
    return Browser(REMOTE_ADDR=address).post("/admin/login/", {"username": name, "password": password})


def guess(times: int = MOST_WRONG, **more: str) -> None:
    for _ in range(times):
        assert REFUSED not in sign_in(WRONG, **more).content.decode()


def test_after_five_wrong_passwords_even_the_right_one_is_refused_and_the_page_says_until_when() -> None:
    guess()

    answer = sign_in(RIGHT)

    assert answer.status_code == 200
    assert REFUSED in answer.content.decode()
    assert "try again in 15 minutes" in answer.content.decode()


def test_the_right_password_begins_anew() -> None:
    for _ in range(3):
        guess(MOST_WRONG - 1)
        assert sign_in(RIGHT).status_code == 302
    assert Guesses.objects.get().number == 3 * (MOST_WRONG - 1)  # of the address


def test_another_name_and_another_address_are_not_refused() -> None:
    User.objects.create_superuser("berta", password=RIGHT)
    guess()

    assert sign_in(RIGHT, name="berta").status_code == 302
    assert sign_in(RIGHT, address="203.0.113.10").status_code == 302
    assert REFUSED in sign_in(RIGHT).content.decode()


def test_one_password_for_many_names_from_one_address_has_a_bound_too() -> None:
    for number in range(MOST_WRONG_FROM_ONE_ADDRESS):
        guess(1, name=f"name-{number}")

    page = sign_in(RIGHT).content.decode()

    assert "Too many wrong passwords were given. Nobody can sign in from here for a while" in page
    assert sign_in(RIGHT, address="203.0.113.10").status_code == 302


def test_right_passwords_are_no_guesses_however_many_sign_in_from_one_address() -> None:
    began = timezone.now()
    who = {"name": "anna", "address": HERE}
    for number in range(2 * MOST_WRONG_FROM_ONE_ADDRESS):
        assert guessing.begin(**who, now=began + timedelta(seconds=number)) == 1
        guessing.was_right(**who)


def test_an_address_is_refused_for_a_quarter_of_an_hour_from_its_first_wrong_password() -> None:
    began = timezone.now()
    for number in range(MOST_WRONG_FROM_ONE_ADDRESS):
        guessing.begin(name=f"name-{number}", address=HERE, now=began + timedelta(seconds=10 * number))
    with pytest.raises(TooManyGuessesError) as refused:
        guessing.begin(name="anna", address=HERE, now=began + timedelta(minutes=10))

    assert (refused.value.of_all_names, refused.value.left) == (True, timedelta(minutes=5))
    assert guessing.begin(name="anna", address=HERE, now=began + REFUSED_FOR) == 1


def test_whoever_owns_an_ipv6_network_has_one_address() -> None:
    for last in range(MOST_WRONG):
        guess(1, address=f"2001:db8:1:2::{last}")

    assert REFUSED in sign_in(RIGHT, address="2001:db8:1:2:ffff::1").content.decode()
    assert sign_in(RIGHT, address="2001:db8:1:3::1").status_code == 302


def test_an_ipv4_address_is_the_same_on_a_socket_of_ipv6_and_no_other_is_refused_with_it() -> None:
    guess(address=f"::ffff:{HERE}")

    assert REFUSED in sign_in(RIGHT, address=HERE).content.decode()
    assert sign_in(RIGHT, address="::ffff:203.0.113.10").status_code == 302


def test_who_finds_a_browser_signed_in_does_not_guess_its_password_either(anna: User) -> None:
    found = Browser(REMOTE_ADDR=HERE)
    found.force_login(anna)
    chosen = {"new_password1": "another-long-word-9", "new_password2": "another-long-word-9"}

    def change(old: str) -> Any:
        return found.post("/admin/password_change/", {"old_password": old} | chosen)

    for _ in range(MOST_WRONG):
        assert "entered incorrectly" in change(WRONG).content.decode()

    assert f"{REFUSED} were given for this name" in change(RIGHT).content.decode()
    assert REFUSED in sign_in(RIGHT).content.decode()
    Guesses.objects.all().delete()
    assert change(RIGHT).status_code == 302
    assert found.get("/admin/").status_code == 200
    assert not Guesses.objects.filter(number__gt=0, who=guessing._who("anna", HERE)).exists()
    refused, changed = AuditEntry.objects.order_by("id")
    assert (refused.action, changed.action) == ("refused", "changed")
    assert (changed.actor, changed.object_name) == ("anna", "anna")
    assert changed.changes == [{"field": "password", "before": None, "after": None}]


@pytest.mark.django_db(transaction=True)
def test_one_password_at_a_time_is_looked_at(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes 100 MB: strangers could fill a process with that. Who had no turn has not guessed."""
    settings.PASSWORD_HASHERS = [f"{__name__}.Slow", *settings.PASSWORD_HASHERS]
    monkeypatch.setattr(sign_in_form, "PATIENCE_S", 0.05)

    with ThreadPoolExecutor(1) as elsewhere:
        slow = elsewhere.submit(guess_of_nobody)
        assert Slow.is_looking.wait(10)
        page = sign_in(RIGHT).content.decode()
        Slow.may_end.set()
        slow.result()

    assert "Many are signing in just now. Try again in a moment." in page
    assert sign_in(RIGHT).status_code == 302
    assert Guesses.objects.count() == 2  # of that name, and of that address


def guess_of_nobody() -> None:
    guess(1, name="nobody", address="203.0.113.10")
    connection.close()


class Slow(MD5PasswordHasher):
    """For whoever is unknown, of whom Django pretends to look."""

    algorithm = "slow"
    is_looking, may_end = threading.Event(), threading.Event()

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        self.is_looking.set()
        self.may_end.wait(10)
        return f"slow${salt}$none"


def test_the_audit_trail_says_it_once_and_of_names_that_there_are(anna: User) -> None:
    guess()
    guess(name="nobody")
    sign_in(WRONG)
    sign_in(RIGHT)

    (entry,) = AuditEntry.objects.all()
    assert (entry.actor_kind, entry.actor) == ("stranger", f"somebody at {HERE}")
    assert (str(entry), entry.object_id) == ("Refused sign-in anna", str(anna.pk))
    assert entry.changes == [{"field": "wrong passwords", "before": None, "after": MOST_WRONG}]
    page = Browser()
    page.force_login(anna)
    assert "wrong passwords: 5" in page.get("/admin/accounts/auditentry/").content.decode()


def test_it_is_over_after_a_quarter_of_an_hour_whatever_was_tried_meanwhile() -> None:
    began = timezone.now()  # with the last one
    who = {"name": "anna", "address": HERE}
    earlier = [began - timedelta(minutes=minutes) for minutes in (40, 30, 20, 10, 0)]
    assert [guessing.begin(**who, now=now) for now in earlier] == [1, 2, 3, 4, 5]
    for minutes in (0, 7, 14.9):
        with pytest.raises(TooManyGuessesError) as refused:
            guessing.begin(**who, now=began + timedelta(minutes=minutes))
        assert refused.value.left == REFUSED_FOR - timedelta(minutes=minutes)

    assert guessing.begin(**who, now=began + REFUSED_FOR) == 1


def test_what_counts_no_more_is_forgotten_and_no_name_is_kept() -> None:
    began = timezone.now()
    for number in range(10):
        guessing.begin(name=f"name-{number}", address=HERE, now=began)
    assert "name-" not in str(list(Guesses.objects.values()))

    guessing.begin(name="late", address=HERE, now=began + REFUSED_FOR)

    assert [row.number for row in Guesses.objects.all()] == [1, 1]  # of that name, and of the address


def test_it_is_over_in_time_also_where_there_is_more_to_forget_than_is_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guessing, "_FORGOTTEN_AT_ONCE", 0)
    began = timezone.now()
    who = {"name": "anna", "address": HERE}
    for _ in range(MOST_WRONG):
        guessing.begin(**who, now=began)

    assert [guessing.begin(**who, now=began + REFUSED_FOR) for _ in range(MOST_WRONG)] == [1, 2, 3, 4, 5]
    with pytest.raises(TooManyGuessesError):
        guessing.begin(**who, now=began + REFUSED_FOR)


def test_nothing_is_counted_where_nothing_was_given() -> None:
    for _ in range(MOST_WRONG + 1):
        assert REFUSED not in sign_in("").content.decode()
    assert not Guesses.objects.exists()
