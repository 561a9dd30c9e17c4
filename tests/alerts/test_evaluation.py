"""Rules against real books: what opens, what is told, and that no number of workers or errors makes more of it."""

from __future__ import annotations

import threading
from datetime import time, timedelta
from decimal import Decimal

import msgspec
import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from alerts import messages, operations
from alerts.models import Channel, Delivery, Incident, Rule
from providers.models import Deployment, Price, Provider
from tests.alerts.conftest import NOON, Calls, NewRule, only_incident
from tests.usage.rows import hold
from usage import spending
from usage.models import Budget, Hold

MINUTE = timedelta(minutes=1)


def evaluate(minutes: float) -> None:
    operations.evaluate(now=NOON + minutes * MINUTE)


def told() -> list[str]:
    return list(Delivery.objects.order_by("id").values_list("kind", flat=True))


def test_a_burst_of_errors_makes_one_incident_and_its_end_another_message(
    new_rule: NewRule, calls: Calls, email_channel: Channel
) -> None:
    new_rule(for_minutes=2)
    for minute in range(10):
        calls(NOON + minute * MINUTE, error=8, ok=2)
    for minute in range(1, 40):
        calls(NOON + minute * MINUTE, ok=1)
        evaluate(minute)

    incident = only_incident()
    assert incident.state == "resolved"
    assert incident.subject == "openai"
    assert incident.worst == 80
    assert told() == ["opened", "resolved"]


def test_ten_thousand_errors_a_minute_make_one_incident_for_each_rule_and_subject(
    new_rule: NewRule, calls: Calls, email_channel: Channel
) -> None:
    """Row 33 of FAULTS.md."""
    new_rule(renotify_minutes=30)
    new_rule(name="Of each client", scope="client")
    for minute in range(2):
        calls(NOON + minute * MINUTE, error=10_000)
    for minute in range(1, 4):
        evaluate(minute)

    opened = Incident.objects.values_list("title", "subject").order_by("title")
    assert list(opened) == [("Failing", "openai"), ("Of each client", "alice")]
    assert told() == ["opened", "opened"]


def test_a_severe_incident_speaks_for_the_milder_one(new_rule: NewRule, calls: Calls, email_channel: Channel) -> None:
    """A burst fades through the milder rule's range as its window slides: one message, and one at its end."""
    new_rule(name="Most fail", limit=Decimal(50))
    new_rule(name="Many fail", limit=Decimal(20), severity="warning")
    calls(NOON, error=10)
    for minute in range(1, 40):
        calls(NOON + minute * MINUTE, ok=1)
        evaluate(minute + 0.5)

    assert list(Delivery.objects.order_by("id").values_list("kind", "incident__title")) == [
        ("opened", "Most fail"),
        ("resolved", "Most fail"),
    ]
    assert set(Incident.objects.values_list("state", flat=True)) == {"resolved"}


def test_a_milder_state_that_lasts_is_told_in_the_end(new_rule: NewRule, calls: Calls, email_channel: Channel) -> None:
    new_rule(name="Most fail", limit=Decimal(50))
    new_rule(name="Many fail", limit=Decimal(20), severity="warning")
    calls(NOON, error=20)
    for minute in range(1, 60):
        calls(NOON + minute * MINUTE, ok=7, error=3)
        evaluate(minute + 0.5)

    kinds = list(Delivery.objects.order_by("id").values_list("kind", "incident__title"))
    assert kinds == [("opened", "Most fail"), ("resolved", "Most fail"), ("opened", "Many fail")]


def test_too_few_calls_prove_nothing(new_rule: NewRule, calls: Calls) -> None:
    new_rule(minimum_calls=5)
    calls(NOON, error=4)
    evaluate(1)

    assert not Incident.objects.exists()


def test_a_rule_may_name_its_subject(new_rule: NewRule, calls: Calls) -> None:
    Provider.objects.create(name="Anthropic", slug="anthropic", kind="anthropic")
    new_rule(subject="anthropic")
    calls(NOON, error=9)
    calls(NOON, error=9, provider="anthropic")
    evaluate(1)

    assert only_incident().subject == "anthropic"


@pytest.mark.parametrize(
    ("scope", "subject"),
    [("all", ""), ("provider", "openai"), ("client", "alice"), ("route", "default"), ("key", "aip_12345678")],
)
def test_every_scope_finds_its_subject(new_rule: NewRule, calls: Calls, scope: str, subject: str) -> None:
    new_rule(scope=scope)
    calls(NOON, error=9, ok=1)
    evaluate(1)

    incident = only_incident()
    assert incident.subject == subject
    assert incident.value == 90


def test_quiet_hours_wait_and_then_tell(new_rule: NewRule, calls: Calls, email_channel: Channel) -> None:
    new_rule(quiet_from=time(11), quiet_until=time(12, 5))
    calls(NOON, error=9)
    for minute in range(1, 8):
        evaluate(minute)

    assert only_incident().told_at == NOON + 5 * MINUTE
    assert told() == ["opened"]


def test_an_all_clear_of_the_quiet_hours_waits_for_their_end(
    new_rule: NewRule, calls: Calls, email_channel: Channel
) -> None:
    new_rule(quiet_from=time(12, 5), quiet_until=time(13))
    calls(NOON, error=9)
    calls(NOON + 10 * MINUTE, ok=9)
    for minute in range(1, 20):
        evaluate(minute)

    last = Delivery.objects.get(kind="resolved")
    assert last.due_at == NOON + 60 * MINUTE
    assert only_incident().state == "resolved"


def test_an_hour_without_the_beat_makes_no_storm(new_rule: NewRule, calls: Calls, email_channel: Channel) -> None:
    new_rule(renotify_minutes=5)
    calls(NOON, error=9)
    evaluate(1)
    calls(NOON + 60 * MINUTE, error=9)
    evaluate(61)
    evaluate(62)
    assert told() == ["opened"]  # a reminder of what has not arrived yet would only be noise

    Delivery.objects.update(state="delivered")
    evaluate(67)
    evaluate(68)
    assert told() == ["opened", "reminder"]


@pytest.mark.parametrize("state", ["waiting", "sending"])
def test_a_reminder_goes_to_whom_the_alert_has_reached(
    new_rule: NewRule, calls: Calls, email_channel: Channel, state: str
) -> None:
    Channel.objects.create(name="Slow", kind="email", address="slow@example.com")
    new_rule(renotify_minutes=5)
    calls(NOON, error=9)
    calls(NOON, error=9, provider="rare")
    evaluate(1)
    Delivery.objects.update(state=state)
    Delivery.objects.filter(channel=email_channel, incident__subject="openai").update(state="delivered")
    evaluate(7)

    reminders = Delivery.objects.filter(kind="reminder")
    assert list(reminders.values_list("channel_name", "incident__subject")) == [("On-call", "openai")]


def test_the_channels_of_a_rule_get_its_alerts_alone(new_rule: NewRule, calls: Calls, email_channel: Channel) -> None:
    own = Channel.objects.create(name="Own", kind="email", address="own@example.com", gets_alerts=False)
    Channel.objects.create(name="Reports", kind="email", address="cfo@example.com", gets_alerts=False)
    new_rule().channels.add(own)
    new_rule(name="To everybody", scope="client")
    calls(NOON, error=9)
    evaluate(1)

    sent = Delivery.objects.order_by("channel_name").values_list("incident__title", "channel_name")
    assert list(sent) == [("To everybody", "On-call"), ("Failing", "Own")]


def test_a_rule_switched_off_ends_its_incidents_without_a_word(
    new_rule: NewRule, calls: Calls, email_channel: Channel
) -> None:
    rule = new_rule()
    calls(NOON, error=9)
    evaluate(1)
    Rule.objects.filter(pk=rule.pk).update(is_active=False)
    evaluate(2)

    assert only_incident().state == "resolved"
    assert told() == ["opened"]

    rule.delete()
    assert only_incident().title == "Failing"


def test_people_acknowledge_and_silence(new_rule: NewRule, calls: Calls, email_channel: Channel) -> None:
    new_rule(renotify_minutes=1)
    calls(NOON, error=9)
    evaluate(1)
    assert operations.acknowledge(only_incident(), by="ada")
    Delivery.objects.update(state="delivered")
    evaluate(3)
    assert only_incident().state == "acknowledged"
    assert operations.silence(only_incident(), until=NOON + 60 * MINUTE, by="ada")
    calls(NOON + 10 * MINUTE, ok=9)
    for minute in range(4, 30):
        evaluate(minute)

    assert told() == ["opened"]
    incident = only_incident()
    assert (incident.state, incident.handled_by) == ("resolved", "ada")
    assert not operations.acknowledge(incident, by="bob")


def test_what_is_over_its_limit_now_can_be_asked_at_once(new_rule: NewRule, calls: Calls) -> None:
    new_rule(name="Most fail", limit=Decimal(50))
    new_rule(name="Many fail", limit=Decimal(20), severity="warning")
    calls(NOON, error=9, ok=1)

    found = operations.current(now=NOON + MINUTE)

    assert [(each.rule.name, each.incident) for each in found] == [("Most fail", None)]
    assert found[0].message == "openai: 90% of 10 calls failed in the last 15 minutes. The limit is 50%."


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"measure": "luck"}, "measure"),
        ({"measure": "budget_used", "scope": "provider"}, "scope"),
        ({"scope": "all", "subject": "openai"}, "subject"),
        ({"quiet_from": time(22)}, "quiet_until"),
        ({"limit": Decimal(-1)}, "limit"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
    ],
)
def test_rules_that_make_no_sense_are_refused(new_rule: NewRule, facts: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        new_rule(**facts)

    assert field in refused.value.message_dict


@pytest.mark.django_db(transaction=True)
def test_two_evaluations_at_once_open_one_incident_and_tell_of_it_once(
    new_rule: NewRule, calls: Calls, email_channel: Channel
) -> None:
    """Row 6 of FAULTS.md: two beats."""
    new_rule()
    calls(NOON, error=9)
    calls(NOON + 39 * MINUTE, ok=9)
    for minute in (1, 2, 40):
        _side_by_side(4, minute)

    assert only_incident().state == "resolved"
    assert told() == ["opened", "resolved"]


def _side_by_side(number: int, minute: float) -> None:
    ready = threading.Barrier(number)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            ready.wait()
            evaluate(minute)
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_whoever_comes_later_is_told_of_what_is_still_open(new_rule: NewRule, calls: Calls) -> None:
    new_rule()
    calls(NOON, error=9)
    evaluate(1)
    assert only_incident().state == "open"
    Channel.objects.create(name="Late", kind="email", address="late@example.com")
    evaluate(2)
    evaluate(3)

    assert told() == ["opened"]


@pytest.mark.parametrize(("ok", "end"), [(9, "resolved"), (0, "lapsed")])
def test_whoever_was_not_told_of_it_is_not_told_of_its_end(
    new_rule: NewRule, calls: Calls, email_channel: Channel, ok: int, end: str
) -> None:
    new_rule()
    calls(NOON, error=9)
    evaluate(1)
    Channel.objects.create(name="Late", kind="email", address="late@example.com")
    calls(NOON + 10 * MINUTE, ok=ok)
    for minute in range(2, 90, 8):
        evaluate(minute)

    sent = Delivery.objects.order_by("id").values_list("kind", "channel_name")
    assert list(sent) == [("opened", "On-call"), (end, "On-call")]


def test_a_rule_that_cannot_be_read_does_not_blind_the_others(
    new_rule: NewRule, calls: Calls, email_channel: Channel
) -> None:
    new_rule()
    broken = new_rule(name="Broken")
    Rule.objects.filter(pk=broken.pk).update(time_zone="Nowhere/At-All")
    calls(NOON, error=9)
    evaluate(1)

    assert [row.title for row in Incident.objects.all()] == ["Failing"]
    assert told() == ["opened"]


@pytest.mark.parametrize("facts", [{"scope": "key"}, {"scope": "route"}, {"measure": "rate_limited", "scope": "all"}])
def test_what_is_counted_call_by_call_looks_back_an_hour_at_most(new_rule: NewRule, facts: dict[str, object]) -> None:
    new_rule(**facts, window_minutes=60).delete()
    with pytest.raises(ValidationError, match="At most 60"):
        new_rule(**facts, window_minutes=61)


def test_a_failing_provider_that_hardly_anybody_calls_any_more_is_not_called_well(
    new_rule: NewRule, calls: Calls, email_channel: Channel
) -> None:
    new_rule()
    calls(NOON, error=9)
    for minute in range(1, 120, 5):
        calls(NOON + minute * MINUTE, error=1)
        evaluate(minute + 0.5)

    incident = only_incident()
    assert (incident.state, incident.resolved_at) == ("resolved", NOON + 76.5 * MINUTE)  # too few since 12:16
    assert incident.unjudged == "There are no calls any more to judge by, or too few."
    assert list(Delivery.objects.order_by("id").values_list("kind", "subject")) == [
        ("opened", "Alert: Failing (openai)"),
        ("lapsed", "Closed: Failing (openai)"),
    ]
    closed = messages.write(Delivery.objects.get(kind="lapsed"))
    assert "to judge by, or too few. Whether this is over is not known" in closed.text
    assert closed.summary in closed.html
    for said in ("All clear", "This is over", "Nothing needs to be done"):
        assert said not in closed.text + closed.html + closed.summary


def test_that_nothing_is_spent_any_more_is_an_all_clear(
    new_rule: NewRule, calls: Calls, email_channel: Channel
) -> None:
    new_rule(measure="cost", limit=Decimal(1))
    calls(NOON, ok=1, cost_pico=2 * 10**12)
    evaluate(1)
    evaluate(20)

    assert told() == ["opened", "resolved"]
    assert only_incident().unjudged == ""


def test_a_model_without_a_price_is_told_of_once_until_it_has_one(
    new_rule: NewRule, calls: Calls, email_channel: Channel
) -> None:
    new_rule(measure="unpriced", scope="model", limit=Decimal(0), minimum_calls=0, window_minutes=60)
    provider = Provider.objects.create(name="OpenAI", slug="openai", kind="openai")
    model = Deployment.objects.create(provider=provider, name="gpt")
    for hour in (0, 6):
        calls(NOON + timedelta(hours=hour), ok=3, cost_pico=None)
    calls(NOON + timedelta(hours=3), ok=3)
    for minute in range(1, 10 * 60, 30):
        evaluate(minute)
    assert told() == ["opened"]
    assert only_incident().state == "open"

    Price.objects.create(deployment=model, valid_from=NOON, input_per_million=1, output_per_million=2)
    evaluate(600)
    assert told() == ["opened", "resolved"]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_model_that_is_gone_without_a_price_ends_its_incident_without_a_word(
    new_rule: NewRule, calls: Calls, email_channel: Channel, *, is_there: bool
) -> None:
    new_rule(measure="unpriced", scope="model", limit=Decimal(0), minimum_calls=0)
    if is_there:  # switched off
        provider = Provider.objects.create(name="OpenAI", slug="openai", kind="openai")
        Deployment.objects.create(provider=provider, name="of old", is_active=False)
    calls(NOON, ok=3, cost_pico=None, deployment="of old")
    evaluate(1)
    evaluate(60)

    assert told() == ["opened"]
    assert only_incident().state == "resolved"


@pytest.fixture
def spent(new_rule: NewRule, email_channel: Channel) -> Budget:
    """A hard budget for everything, by the day, that is watched for refusals."""
    new_rule(measure="budget_refused", scope="budget", limit=Decimal(0), minimum_calls=0)
    return Budget.objects.create(name="All", scope="all", cap_pico=1, period="day")


def count_in(budget: Budget) -> list[str]:
    return [str(spending.running_window(budget, NOON).pk)]


def refuse(calls: Calls, budget: Budget, minute: int) -> None:
    facts = {"error_code": "BUDGET_EXCEEDED", "provider": "", "deployment": "", "attempt": 0}
    calls(NOON + minute * MINUTE, refused=1, windows=count_in(budget), **facts)


def test_callers_who_have_given_up_make_no_budget_good(calls: Calls, spent: Budget) -> None:
    """A job comes once an hour: one message, not one an hour and an all-clear in between."""
    for minute in range(1, 6 * 60, 5):
        if minute % 60 == 1:
            refuse(calls, spent, minute - 1)
            calls(NOON + minute * MINUTE, ok=1)  # which does not count in it
        evaluate(minute)

    assert told() == ["opened"]
    assert only_incident().state == "open"


def test_fewer_refusals_make_no_budget_good(calls: Calls, spent: Budget) -> None:
    """One caller who has not given up, where six had to be refused for a message."""
    Rule.objects.update(limit=5)
    for _ in range(6):
        refuse(calls, spent, 0)
    evaluate(1)
    refuse(calls, spent, 21)
    evaluate(22)
    evaluate(30)

    assert told() == ["opened"]
    assert only_incident().state == "open"


def test_a_budget_that_takes_calls_again_is_good(calls: Calls, spent: Budget) -> None:
    refuse(calls, spent, 0)
    evaluate(1)
    calls(NOON + 10 * MINUTE, ok=1, windows=count_in(spent))
    evaluate(12)
    evaluate(20)

    assert told() == ["opened", "resolved"]


def test_a_call_that_it_has_taken_may_still_be_under_way(calls: Calls, spent: Budget) -> None:
    refuse(calls, spent, 0)
    evaluate(1)
    at = NOON + 20 * MINUTE
    Hold.objects.bulk_create([Hold(**msgspec.structs.asdict(hold(started_at=at)) | {"windows": count_in(spent)})])
    evaluate(21)

    assert told() == ["opened", "resolved"]


def test_a_call_of_before_the_refusals_makes_no_budget_good(calls: Calls, spent: Budget) -> None:
    at = NOON - MINUTE
    Hold.objects.bulk_create([Hold(**msgspec.structs.asdict(hold(started_at=at)) | {"windows": count_in(spent)})])
    refuse(calls, spent, 0)
    evaluate(1)
    evaluate(20)

    assert told() == ["opened"]


@pytest.mark.parametrize("change", [{"hard": False}, {"is_active": False}])
def test_a_budget_that_can_refuse_no_more_ends_its_incident(
    calls: Calls, spent: Budget, change: dict[str, bool]
) -> None:
    refuse(calls, spent, 0)
    evaluate(1)
    Budget.objects.update(**change)
    evaluate(20)

    assert only_incident().state == "resolved"


def test_a_new_period_of_a_budget_is_good(calls: Calls, spent: Budget) -> None:
    refuse(calls, spent, 0)
    evaluate(1)
    evaluate(12 * 60 - 1)
    assert told() == ["opened"]

    evaluate(12 * 60 + 1)
    assert told() == ["opened", "resolved"]


@pytest.mark.parametrize(
    "edit", [{"subject": "anthropic"}, {"scope": "client"}, {"measure": "latency"}, {"scope": "client", "subject": "a"}]
)
def test_a_rule_that_watches_something_else_ends_its_incidents_without_a_word(
    new_rule: NewRule, calls: Calls, email_channel: Channel, edit: dict[str, str]
) -> None:
    rule = new_rule(limit=Decimal(99))
    calls(NOON, error=9)
    evaluate(1)
    Rule.objects.filter(pk=rule.pk).update(**edit, minimum_calls=99)
    calls(NOON + 2 * MINUTE, ok=990)  # by which the old rule would be satisfied
    evaluate(2.5)
    evaluate(3)

    assert only_incident().state == "resolved"
    assert told() == ["opened"]


def test_a_budget_that_is_renamed_is_not_called_well(new_rule: NewRule, email_channel: Channel) -> None:
    new_rule(measure="budget_used", scope="budget", limit=Decimal(80))
    budget = Budget(name="Team", scope="client", subject="alice", cap_pico=0, period="month")
    spending.save(budget, count_so_far=False, now=NOON)
    evaluate(1)
    Budget.objects.update(name="Team A")
    evaluate(2)

    assert list(Delivery.objects.order_by("id").values_list("subject", flat=True)) == [
        "Alert: Failing (Team)",
        "Alert: Failing (Team A)",
    ]
    assert Incident.objects.get(subject="Team").state == "resolved"


def test_a_rule_of_another_version_leaves_its_incidents_alone(
    new_rule: NewRule, calls: Calls, email_channel: Channel
) -> None:
    rule = new_rule()
    calls(NOON, error=9)
    evaluate(1)
    Rule.objects.filter(pk=rule.pk).update(measure="of tomorrow")
    Incident.objects.update(measure="of tomorrow")
    evaluate(2)

    assert only_incident().state == "open"
    assert told() == ["opened"]


def test_an_hour_of_silence_is_over_after_an_hour(new_rule: NewRule, calls: Calls, email_channel: Channel) -> None:
    new_rule()
    for minute in range(0, 180, 5):
        calls(NOON + minute * MINUTE, error=9)
    evaluate(1)
    Delivery.objects.update(state="delivered")
    assert operations.silence(only_incident(), until=NOON + 62 * MINUTE, by="ada")
    for minute in (*range(2, 62, 6), *range(62, 180, 6)):
        evaluate(minute)

    last = Delivery.objects.latest("id")
    assert told() == ["opened", "reminder"]
    assert (last.subject, last.created_at) == ("Still open: Failing (openai)", NOON + 62 * MINUTE)


@pytest.mark.parametrize("why", ["its channel is off", "it has quiet hours", "it tells others", "it was given up"])
def test_a_severe_incident_that_nobody_was_told_of_does_not_speak_for_the_milder_one(
    new_rule: NewRule, calls: Calls, email_channel: Channel, why: str
) -> None:
    pager = Channel.objects.create(name="Pager", kind="email", address="pager@example.com", gets_alerts=False)
    quiet = {"quiet_from": time(11), "quiet_until": time(23)} if why == "it has quiet hours" else {}
    severe = new_rule(name="Most fail", limit=Decimal(50), **quiet)
    new_rule(name="Many fail", limit=Decimal(20), severity="warning", for_minutes=2)
    if why in ("its channel is off", "it tells others"):
        severe.channels.add(pager)
        Channel.objects.filter(pk=pager.pk).update(is_active=why == "it tells others")
    calls(NOON, error=10)
    evaluate(1)
    if why == "it was given up":
        Delivery.objects.update(state="failed")
    for minute in range(2, 8):
        evaluate(minute)

    told_of = Delivery.objects.filter(channel=email_channel, state="waiting")
    assert list(told_of.values_list("incident__title", flat=True)) == ["Many fail"]
