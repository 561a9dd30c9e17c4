"""The pages on which a limit is set, watched and raised."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiKey, Client
from core.money import PICO_PER_USD
from tests.meanwhile import deleted_once_found
from tests.usage.rows import hold, record
from usage import ledger, spending
from usage.ledger import Note
from usage.models import Budget, BudgetWindow, Purge

pytestmark = pytest.mark.django_db
_FORM = {
    "name": "Search team",
    "scope": "client",
    "client": "alice",
    "cap_pico": "120.50",
    "period": "total",
    "time_zone": "Europe/Berlin",
    "hard": "on",
    "is_active": "on",
    "windows-TOTAL_FORMS": "0",
    "windows-INITIAL_FORMS": "0",
}


@pytest.fixture(autouse=True)
def alice(db: None) -> Client:
    return Client.objects.create(name="alice")


def _add(staff: Browser, **given: str) -> Budget:
    answer = staff.post(reverse("admin:usage_budget_add"), _FORM | given)
    assert answer.status_code == 302, answer.content.decode()
    return Budget.objects.get()


def test_a_limit_is_typed_in_dollars_and_counts_what_was_spent_already(staff: Browser) -> None:
    ledger.apply([Note(record(hold(), cost_pico=20 * PICO_PER_USD))])
    budget = _add(staff, count_so_far="on")
    assert budget.cap_pico == 1205 * PICO_PER_USD // 10
    page = staff.get(reverse("admin:usage_budget_changelist")).content.decode()
    assert "$120.50 in all" in page
    assert "$100.50" in page
    assert "Calls are refused" in page


def test_a_budget_for_ever_has_no_day_on_which_its_period_began(staff: Browser) -> None:
    budget = _add(staff, count_so_far="on")

    page = staff.get(reverse("admin:usage_budget_change", args=[budget.pk])).content.decode()

    assert "the beginning" in page
    assert "1970" not in page


def test_what_makes_no_sense_is_refused_at_its_field(staff: Browser) -> None:
    for given, said in (
        ({"scope": "tag", "subject": "search"}, "name=value"),
        ({"client": ""}, "Choose a client."),
        ({"client": "nobody"}, "Select a valid choice"),
        ({"scope": "end_user"}, "Say which"),
    ):
        answer = staff.post(reverse("admin:usage_budget_add"), _FORM | given)
        assert said in answer.content.decode()
        assert sum(map(len, answer.context["adminform"].errors.values())) == 1
    assert not Budget.objects.exists()


def test_who_may_only_look_does_not_raise_it(staff: Browser) -> None:
    budget = _add(staff)
    reader = User.objects.create_user("bea", password="a-long-password", is_staff=True)
    reader.user_permissions.set(Permission.objects.filter(codename="view_budget"))
    browser = Browser()
    browser.force_login(reader)

    raised = browser.post(reverse("admin:usage_budget_raise", args=[budget.pk]), {"amount_pico": "1000"})

    assert raised.status_code == 403
    assert (
        "Raise this period" not in browser.get(reverse("admin:usage_budget_change", args=[budget.pk])).content.decode()
    )


def test_what_administrators_spend_on_these_pages_may_have_a_budget(staff: Browser) -> None:
    ledger.apply([Note(record(hold(client="admin"), client="admin", cost_pico=20 * PICO_PER_USD))])
    _add(staff, client="admin", count_so_far="on")
    assert "$100.50" in staff.get(reverse("admin:usage_budget_changelist")).content.decode()


@pytest.mark.parametrize(
    ("typed", "dollars"), [("$5", 5), ("1,000", 1_000), ("$1,250,000", 1_250_000), ("9000000", 9_000_000)]
)
def test_a_limit_may_be_typed_as_people_write_money(staff: Browser, typed: str, dollars: int) -> None:
    assert _add(staff, cap_pico=typed).cap_pico == dollars * PICO_PER_USD


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("five", "Write digits, with a point where there are cents"),
        ("2,5", "Write digits, with a point where there are cents"),
        ("9000000.01", "At most $9,000,000: more than that cannot be counted."),
        ("123,456,789,000,000", "At most $9,000,000: more than that cannot be counted."),
        ("NaN", "Write digits, with a point where there are cents"),
        ("-1", "greater than or equal to 0"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_in_plain_words(staff: Browser, typed: str, said: str) -> None:
    answer = staff.post(reverse("admin:usage_budget_add"), _FORM | {"cap_pico": typed})

    (told,) = answer.context["adminform"].form.errors["cap_pico"]
    assert said in told


def test_a_period_that_has_cost_more_than_can_be_counted_cannot_be_counted_from_its_start(staff: Browser) -> None:
    for _ in range(2):
        ledger.apply([Note(record(hold(), cost_pico=4_550_000 * PICO_PER_USD))])

    answer = staff.post(reverse("admin:usage_budget_add"), _FORM | {"count_so_far": "on"})

    assert list(answer.context["adminform"].form.errors) == ["count_so_far"]
    assert _add(staff).cap_pico


def test_a_period_whose_calls_are_no_longer_kept_cannot_be_counted_from_its_start(staff: Browser) -> None:
    Purge.objects.create(before=timezone.now() - timedelta(days=1), purged_at=timezone.now())

    answer = staff.post(reverse("admin:usage_budget_add"), _FORM | {"period": "total", "count_so_far": "on"})

    ((told,),) = answer.context["adminform"].form.errors.values()
    assert "no longer kept" in told
    assert not Budget.objects.exists()


def test_a_limit_and_its_raise_are_no_more_together_than_can_be_counted(staff: Browser) -> None:
    """They would be more than the database adds up: no call that counts there could be made any more."""
    budget = _add(staff)
    spending.raise_window(budget, amount_pico=8_999_000 * PICO_PER_USD, now=timezone.now())
    url = reverse("admin:usage_budget_change", args=[budget.pk])
    running = {"windows-TOTAL_FORMS": "1", "windows-INITIAL_FORMS": "1", "windows-0-budget": str(budget.pk)}
    running["windows-0-id"] = str(BudgetWindow.objects.get().pk)

    answer = staff.post(url, _FORM | running | {"cap_pico": "500000"})

    (told,) = answer.context["adminform"].form.errors["cap_pico"]
    assert "Take some of the raise back" in told
    assert Budget.objects.get().cap_pico == budget.cap_pico


def test_a_period_that_is_nearly_full_says_how_far_it_counts(staff: Browser) -> None:
    budget = _add(staff, count_so_far="on")
    BudgetWindow.objects.update(settled_pico=8_500_000 * PICO_PER_USD)

    page = staff.get(reverse("admin:usage_budget_change", args=[budget.pk])).content.decode()

    assert "what goes beyond $9,000,000 is not counted" in page


def test_what_was_chosen_for_another_scope_counts_no_more(staff: Browser) -> None:
    assert _add(staff, scope="all", subject="left over").subject == ""


def test_a_key_is_chosen_by_its_name_and_shown_by_its_beginning(staff: Browser, alice: Client) -> None:
    key, _ = ApiKey.mint(client=alice, scope=ApiKey.Scope.CALL)
    assert f"{key.prefix}…" in staff.get(reverse("admin:usage_budget_add")).content.decode()
    assert _add(staff, scope="key", key=str(key.pk)).subject == str(key.pk)
    assert f"An API key: {key.prefix}…" in staff.get(reverse("admin:usage_budget_changelist")).content.decode()


def test_a_limit_is_changed_while_a_period_runs(staff: Browser) -> None:
    ledger.apply([Note(record(hold(), cost_pico=20 * PICO_PER_USD))])
    budget = _add(staff, count_so_far="on")
    url = reverse("admin:usage_budget_change", args=[budget.pk])
    running = {"windows-TOTAL_FORMS": "1", "windows-INITIAL_FORMS": "1", "windows-0-budget": str(budget.pk)}
    assert staff.post(url, _FORM | running | {"cap_pico": "200"}).status_code == 302
    assert Budget.objects.get().cap_pico == 200 * PICO_PER_USD
    assert BudgetWindow.objects.get().cap_pico == 200 * PICO_PER_USD


def test_a_budget_that_is_deleted_during_its_raise_is_not_found(staff: Browser) -> None:
    budget = _add(staff)
    with deleted_once_found(budget):
        answer = staff.post(reverse("admin:usage_budget_raise", args=[budget.pk]), {"amount_pico": "30"})

    assert answer.status_code == 404
    assert not BudgetWindow.objects.exists()


def test_the_running_period_is_raised_without_touching_the_limit(staff: Browser) -> None:
    budget = _add(staff)
    url = reverse("admin:usage_budget_raise", args=[budget.pk])
    assert "$120.50" in staff.get(url).content.decode()
    assert staff.post(url, {"amount_pico": "30"}).status_code == 302
    assert BudgetWindow.objects.get().raised_pico == 30 * PICO_PER_USD
    assert Budget.objects.get().cap_pico == budget.cap_pico
    assert "No more can be taken back" in staff.post(url, {"amount_pico": "-31"}).content.decode()
    assert "$30.00 raised" in staff.get(reverse("admin:usage_budget_change", args=[budget.pk])).content.decode()
