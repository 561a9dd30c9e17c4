"""The pages: what people press, and what they then read."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from accounts import acting
from accounts.models import AuditEntry
from alerts import defaults, operations, outbox
from alerts.models import Channel, Delivery, Incident, ReportSchedule, Rule
from tests.alerts.conftest import Calls, NewRule
from tests.alerts.receivers import MailReceiver, WebhookReceiver


@pytest.fixture
def staff(db: None) -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("ada", "ada@example.com", "a-long-password"))
    return browser


@pytest.fixture
def incident(new_rule: NewRule, calls: Calls, email_channel: Channel) -> Incident:
    new_rule(name="Most calls fail")
    calls(timezone.now(), error=9, ok=1)
    operations.evaluate(now=timezone.now())
    return Incident.objects.get()


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:alerts_{name}", args=args)


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    content: str = answer.content.decode()
    return content


def test_an_idle_installation_says_so_and_what_to_do(staff: Browser, no_rules: None) -> None:
    assert "Nothing is wrong" in text_of(staff.get(page("incident_changelist")))
    assert "Nobody is told anything yet" in text_of(staff.get(page("channel_changelist")))
    assert "EMAIL_URL" in text_of(staff.get(page("channel_changelist")))
    assert "No report is sent yet" in text_of(staff.get(page("reportschedule_changelist")))
    assert "No channel gets every alert yet" in text_of(staff.get(page("rule_changelist")))


@pytest.mark.parametrize(("production", "guessed", "shown"), [(True, True, 1), (True, False, 0), (False, True, 0)])
def test_links_that_lead_to_a_guess_are_told_of_in_production(
    staff: Browser, settings: Any, *, production: bool, guessed: bool, shown: int
) -> None:
    settings.PRODUCTION, settings.PUBLIC_URL_IS_GUESSED = production, guessed
    settings.PUBLIC_URL = "http://localhost:8000"

    listed = text_of(staff.get(page("channel_changelist")))
    assert listed.count("Links in messages lead to http://localhost:8000, which is a guess.") == shown


def test_rules_read_as_sentences(staff: Browser, incident: Incident) -> None:
    shown = text_of(staff.get(page("rule_changelist")))

    assert "When more than 20% of the calls fail within 15 minutes, for each provider" in shown
    assert "1 open incident" in shown


@pytest.mark.parametrize(
    ("action", "state"),
    [("acknowledge", "acknowledged"), ("silence_hour", "silenced"), ("silence_day", "silenced")],
)
def test_an_incident_is_taken_care_of(staff: Browser, incident: Incident, action: str, state: str) -> None:
    address = page(f"incident_{action}", incident.pk)
    assert staff.get(address).status_code == 405  # following a link changes nothing
    answer = staff.post(address, follow=True)

    incident.refresh_from_db()
    assert (incident.state, incident.handled_by) == (state, "ada")
    assert "Most calls fail" in text_of(answer)


def test_the_home_page_tells_of_open_incidents(staff: Browser, incident: Incident) -> None:
    assert "1 incident is open." in text_of(staff.get(reverse("admin:index")))
    operations.acknowledge(incident, by="ada")
    assert "incident is open" not in text_of(staff.get(reverse("admin:index")))


def test_whoever_may_only_look_cannot_acknowledge(incident: Incident, db: None) -> None:
    onlooker = User.objects.create_user("bob", is_staff=True)
    onlooker.user_permissions.add(Permission.objects.get(codename="view_incident"))
    browser = Browser()
    browser.force_login(onlooker)

    assert "Acknowledge" not in text_of(browser.get(page("incident_change", incident.pk)))
    assert browser.post(page("incident_acknowledge", incident.pk)).status_code == 403
    incident.refresh_from_db()
    assert incident.state == "open"


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("incident_acknowledge", 302),
        ("incident_silence_day", 302),
        ("delivery_again", 302),
        ("reportschedule_send", 302),
        ("reportschedule_preview", 404),
    ],
)
@pytest.mark.parametrize("key", ["mistyped", "00000000-0000-0000-0000-000000000000"])
def test_an_address_that_names_nothing_is_no_failure(staff: Browser, action: str, status: int, key: str) -> None:
    assert staff.post(page(action, key)).status_code == status


def test_an_incidents_page_tells_who_was_told(staff: Browser, incident: Incident, mail: MailReceiver) -> None:
    outbox.send_now(Delivery.objects.get(), now=timezone.now())

    shown = text_of(staff.get(page("incident_change", incident.pk)))

    assert "openai: 90% of 10 calls failed" in shown
    assert "On-call" in shown
    assert "Delivered" in shown


def test_a_webhook_gets_a_signing_secret_that_is_shown_once(staff: Browser, hook: WebhookReceiver) -> None:
    form = {"name": "Pager", "kind": "webhook", "address": hook.url, "new_secret": "", "is_active": "on"}
    shown = text_of(staff.post(page("channel_add"), form, follow=True))

    channel = Channel.objects.get()
    secret = channel.reveal().reveal()
    assert secret in shown
    assert secret not in text_of(staff.get(page("channel_change", channel.pk)))
    staff.post(page("channel_change", channel.pk), form | {"name": "Pagers"})
    channel.refresh_from_db()
    assert (channel.name, channel.reveal().reveal()) == ("Pagers", secret)


def test_a_channel_that_leads_nowhere_is_refused_beside_its_field(staff: Browser) -> None:
    slack = staff.post(page("channel_add"), {"name": "Chat", "kind": "slack", "address": "", "new_secret": ""})
    mails = staff.post(page("channel_add"), {"name": "Mail", "kind": "email", "address": "nobody", "new_secret": ""})

    assert "Paste the webhook" in text_of(slack)
    assert "nobody is not an e-mail address." in text_of(mails)
    assert not Channel.objects.exists()


@pytest.mark.parametrize("at_once", [False, True])
def test_a_rules_only_channels_are_not_deleted(
    staff: Browser, new_rule: NewRule, email_channel: Channel, *, at_once: bool
) -> None:
    """Two that go together may be all that a rule has."""
    other = Channel.objects.create(name="Team", kind="email", address="team@example.com")
    new_rule(name="Cost").channels.set([email_channel, other] if at_once else [email_channel])
    chosen = {"action": "delete_selected", "_selected_action": [str(email_channel.pk), str(other.pk)]}
    url, body = page("channel_delete", email_channel.pk), {}
    if at_once:
        url, body = page("channel_changelist"), chosen
    refused = text_of(staff.post(url, body | {"post": "yes"}))

    assert "the rule Cost, which would name no channel any more, and tell every one" in refused
    assert Channel.objects.count() == 2
    Rule.objects.all().delete()
    assert staff.post(url, body | {"post": "yes"}).status_code == 302
    assert Channel.objects.count() == (0 if at_once else 1)


def test_the_test_button(staff: Browser, email_channel: Channel, mail: MailReceiver) -> None:
    shown = text_of(staff.post(page("channel_send_test", email_channel.pk), follow=True))
    assert "On-call: Accepted for oncall@example.com." in shown
    assert mail.mails[0]["Subject"] == "Test: this channel works"

    mail.answer = "554 not here"
    shown = text_of(staff.post(page("channel_send_test", email_channel.pk), follow=True))
    assert "The mail server said 554 not here" in shown


def test_what_was_given_up_is_sent_again(staff: Browser, email_channel: Channel) -> None:
    delivery = outbox.queue_test(email_channel, by="ada", now=timezone.now())
    assert "Only messages that were given up" in text_of(staff.post(page("delivery_again", delivery.pk), follow=True))
    Delivery.objects.update(state="failed", last_error="554 not here")

    assert "554 not here" in text_of(staff.get(page("delivery_changelist")))
    assert "will be sent within a minute" in text_of(staff.post(page("delivery_again", delivery.pk), follow=True))
    delivery.refresh_from_db()
    assert delivery.state == "waiting"


@pytest.mark.parametrize("name", ["alerts_rule_add", "alerts_reportschedule_add", "usage_budget_add"])
def test_forms_begin_with_the_installations_time_zone(staff: Browser, settings: Any, name: str) -> None:
    settings.TIME_ZONE = "Asia/Kathmandu"

    assert 'value="Asia/Kathmandu"' in staff.get(reverse(f"admin:{name}")).content.decode()


def test_the_first_rules_are_quiet_by_the_installations_clock(db: None, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Kathmandu"
    Rule.objects.all().delete()

    defaults.make_rules()

    assert set(Rule.objects.values_list("time_zone", flat=True)) == {"Asia/Kathmandu"}


def test_an_incident_that_was_told_of_often_is_paged(staff: Browser, incident: Incident, mail: MailReceiver) -> None:
    channel = Channel.objects.create(name="Old", kind="email", address="old@example.com")
    for number in range(60):
        outbox.queue(
            channel, key=str(number), kind="reminder", subject="x", facts={}, incident=incident, now=timezone.now()
        )

    shown = staff.get(page("incident_change", incident.pk)).content.decode()
    assert shown.count("Reminder") == 20
    assert "deliveries-page=2" in shown


def test_a_query_in_an_address_is_not_on_the_list(staff: Browser) -> None:
    Channel.objects.create(name="Flow", kind="webhook", address="https://flow.example.com/run?sig=hush")
    shown = staff.get(page("channel_changelist")).content.decode()

    assert "https://flow.example.com/run?…" in shown
    assert "hush" not in shown


@pytest.mark.parametrize(("permission", "shown"), [("view_channel", False), ("change_channel", True)])
def test_a_query_in_an_address_is_for_those_who_may_change_it(db: None, permission: str, *, shown: bool) -> None:
    """Others don't find it either, who could guess it letter by letter."""
    channel = Channel.objects.create(
        name="Pager", kind="webhook", address="https://hooks.example.com/in?token=0123abcd"
    )
    reader = User.objects.create_user("bob", password="a-long-password", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename=permission))
    browser = Browser()
    browser.force_login(reader)

    of_channel = text_of(browser.get(page("channel_change", channel.pk)))
    found = text_of(browser.get(page("channel_changelist"), {"q": "token=0123"}))

    assert "hooks.example.com/in?" in of_channel
    assert ("0123abcd" in of_channel) == shown
    assert ("Pager" in found) == shown
    assert browser.get(page("channel_changelist"), {"address__contains": "token=0123"}).status_code == 400


def test_nor_is_it_in_the_audit_trail(staff: Browser) -> None:
    with acting.commanding("test"):
        row = Channel.objects.create(name="Flow", kind="webhook", address="https://flow.example.com/run?sig=hush")
        Channel.objects.filter(pk=row.pk).update(address="https://flow.example.com/run?sig=whisper")
    shown = staff.get("/admin/accounts/auditentry/").content.decode()

    assert "https://flow.example.com/run?…" in shown
    assert "hush" not in shown
    assert "whisper" not in shown
    assert [entry.action for entry in AuditEntry.objects.order_by("id")] == ["added", "changed"]


def test_a_report_is_previewed_and_sent(
    staff: Browser, email_channel: Channel, calls: Calls, mail: MailReceiver
) -> None:
    from datetime import timedelta

    calls(timezone.now() - timedelta(days=1), ok=7)
    form = {
        "name": "AI costs",
        "period": "day",
        "client": "",
        "time_zone": "UTC",
        "send_at": "07:00",
        "channels": [str(email_channel.pk)],
        "is_active": "on",
        "deliveries-TOTAL_FORMS": "0",
        "deliveries-INITIAL_FORMS": "0",
    }
    assert "was added successfully" in text_of(staff.post(page("reportschedule_add"), form, follow=True))
    report = ReportSchedule.objects.get()

    preview = text_of(staff.get(page("reportschedule_page", report.pk)))
    assert "data:image/png;base64," in preview
    assert "to On-call" in preview
    assert "cid:" not in preview
    file = staff.get(page("reportschedule_csv", report.pk))
    assert text_of(file).startswith("day,client,provider,model")
    assert "attachment" in file["Content-Disposition"]
    assert mail.mails == []

    assert "Sent to On-call." in text_of(staff.post(page("reportschedule_send", report.pk), follow=True))
    assert len(mail.mails) == 1


def test_a_report_of_no_calls_is_previewed_within_its_frame(staff: Browser, email_channel: Channel) -> None:
    schedule = ReportSchedule.objects.create(name="AI costs", period="day")
    schedule.channels.add(email_channel)
    answer = staff.get(page("reportschedule_page", schedule.pk)).content.decode()
    assert "&lt;html" in answer
    assert answer.count("<html") == 1


def test_a_rule_is_made_and_its_mistakes_are_told(staff: Browser, no_rules: None) -> None:
    form = {
        "name": "Dear",
        "measure": "cost",
        "limit": "25",
        "scope": "budget",
        "subject": "",
        "severity": "info",
        "window_minutes": "60",
        "minimum_calls": "0",
        "for_minutes": "0",
        "time_zone": "UTC",
        "is_active": "on",
    }
    assert "This measure is watched for" in text_of(staff.post(page("rule_add"), form))
    assert "Write digits, with a point" in text_of(staff.post(page("rule_add"), form | {"limit": "2,5"}))
    assert "was added successfully" in text_of(
        staff.post(page("rule_add"), form | {"scope": "client", "limit": "$25"}, follow=True)
    )
    assert Rule.objects.get().in_words == "When more than $25.00 is spent within an hour, for each client."


def test_a_rule_that_makes_no_sense_any_more_can_be_switched_off_on_the_list_and_not_on(
    staff: Browser, no_rules: None
) -> None:
    """One for each provider of what has no provider, from before that was refused."""
    rule = Rule.objects.create(name="Refused", measure="rate_limited", scope="provider")
    form = {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": str(rule.pk), "_save": "Save"}
    text_of(staff.post(page("rule_changelist"), form, follow=True))
    rule.refresh_from_db()
    assert not rule.is_active

    refused = text_of(staff.post(page("rule_changelist"), form | {"form-0-is_active": "on"}, follow=True))
    rule.refresh_from_db()
    assert not rule.is_active
    assert "This measure is watched for: all (Everything together), client" in refused


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ({"subject": "search"}, "Everything together has no name: leave it empty."),
        ({"scope": "budget"}, "This measure is watched for"),
        ({"window_minutes": "99999999999999"}, "less than or equal to 44640"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_at_its_field(staff: Browser, mistake: dict[str, str], told: str) -> None:
    form = {"name": "Too slow", "measure": "latency", "limit": "5", "scope": "all", "severity": "warning"}
    numbers = {"window_minutes": "15", "minimum_calls": "0", "for_minutes": "0", "time_zone": "UTC"}

    shown = text_of(staff.post(page("rule_add"), form | numbers | mistake))

    assert told in shown
    assert "Save it to see it in words." in shown
