"""Messages to real receivers: at least once, in order, whatever dies in between."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from alerts import operations, outbox
from alerts.channels import Message, email, posting, webhook
from alerts.models import Attempt, Channel, Delivery
from core.vault import Secret
from tests.alerts.conftest import NOON, Calls, NewRule, send_all
from tests.alerts.receivers import MailReceiver, WebhookReceiver
from tests.core import hosts
from tests.environment import ROOT
from tests.servers import free_port, wait_until

MINUTE = timedelta(minutes=1)
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def burst(new_rule: NewRule, calls: Calls) -> None:
    new_rule()
    calls(NOON, error=9, ok=1)
    operations.evaluate(now=NOON + MINUTE)


def only() -> Delivery:
    return Delivery.objects.get()


def test_an_error_burst_makes_one_email_and_its_end_another(
    new_rule: NewRule, calls: Calls, mail: MailReceiver, email_channel: Channel
) -> None:
    burst(new_rule, calls)
    calls(NOON + 10 * MINUTE, ok=9)
    for minute in range(2, 30):
        send_all(NOON + minute * MINUTE)
        operations.evaluate(now=NOON + minute * MINUTE)
    send_all(NOON + 30 * MINUTE)

    assert [each["Subject"] for each in mail.mails] == ["Alert: Failing (openai)", "All clear: Failing (openai)"]
    first = mail.mails[0]
    assert first["To"] == "oncall@example.com"
    assert first["From"] == "AI Platform <ai-platform@localhost>"
    assert first["Message-ID"] == f"<{Delivery.objects.earliest('id').pk}@localhost>"
    assert first["Auto-Submitted"] == "auto-generated"  # or out-of-office notes come back
    assert first["Date"].datetime.date() == datetime.now(UTC).date()
    assert [part.get_content_type() for part in first.iter_parts()] == ["text/plain", "text/html"]
    text = first.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # asserted just above
    assert "openai: 90% of 10 calls failed in the last 15 minutes. The limit is 20%." in text
    assert f"/admin/alerts/incident/{Delivery.objects.earliest('id').incident_id}/change/" in text
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
    assert list(Attempt.objects.values_list("ok", "detail")) == [(True, "Accepted for oncall@example.com.")] * 2


def test_a_dead_mail_server_delays_and_loses_nothing(
    new_rule: NewRule, calls: Calls, mail: MailReceiver, email_channel: Channel, settings: Any
) -> None:
    alive = settings.MAIL_SERVER
    settings.MAIL_SERVER = _nobody_there()
    burst(new_rule, calls)
    for minute in range(1, 60):
        send_all(NOON + minute * MINUTE)

    waiting = only()
    assert waiting.state == "waiting"
    assert "could not be reached" in waiting.last_error
    assert 5 < waiting.attempts < 12  # each try waits longer, up to a quarter of an hour
    assert waiting.attempts == waiting.log.count()

    settings.MAIL_SERVER = alive
    send_all(NOON + 75 * MINUTE)
    assert only().state == "delivered"
    assert len(mail.mails) == 1


@pytest.mark.django_db
def test_a_try_that_a_clock_far_ahead_put_off_is_made_by_the_right_one(
    email_channel: Channel, mail: MailReceiver, settings: Any
) -> None:
    alive = settings.MAIL_SERVER
    settings.MAIL_SERVER = _nobody_there()
    outbox.queue_test(email_channel, by="ada", now=NOON)
    send_all(NOON + timedelta(days=1))
    settings.MAIL_SERVER = alive
    send_all(NOON + MINUTE)

    assert only().state == "delivered"


def test_a_message_that_cannot_arrive_for_days_is_given_up_and_can_be_sent_again(
    new_rule: NewRule, calls: Calls, mail: MailReceiver, email_channel: Channel
) -> None:
    mail.answer = "451 try later"
    burst(new_rule, calls)
    send_all(NOON + MINUTE)
    assert only().state == "waiting"
    send_all(NOON + timedelta(days=3, hours=1))
    assert only().state == "failed"

    mail.answer = "250 OK"
    assert outbox.send_again(Delivery.objects.all(), now=NOON + timedelta(days=4)) == 1
    send_all(NOON + timedelta(days=4))
    assert only().state == "delivered"


@pytest.mark.django_db
def test_a_message_that_is_sent_again_has_its_days_and_its_soon_tries_again(
    email_channel: Channel, mail: MailReceiver
) -> None:
    mail.answer = "451 try later"
    outbox.queue_test(email_channel, by="ada", now=NOON)
    for hour in range(73):
        send_all(NOON + timedelta(hours=hour))
    later = NOON + timedelta(days=4)
    assert outbox.send_again(Delivery.objects.all(), now=later) == 1
    send_all(later)

    assert (only().state, only().attempts, only().retry_at) == ("waiting", 1, later + outbox.FIRST_RETRY)


def test_a_refused_message_makes_way_for_the_next(
    new_rule: NewRule, calls: Calls, mail: MailReceiver, email_channel: Channel
) -> None:
    mail.answer = "554 no"
    burst(new_rule, calls)
    send_all(NOON + MINUTE)

    assert only().state == "failed"
    assert "554 no" in only().last_error


def test_an_all_clear_never_overtakes_its_alert(
    new_rule: NewRule, calls: Calls, mail: MailReceiver, email_channel: Channel
) -> None:
    mail.answer = "451 try later"
    burst(new_rule, calls)
    send_all(NOON + MINUTE)
    calls(NOON + 10 * MINUTE, ok=9)
    for minute in range(2, 40):
        operations.evaluate(now=NOON + minute * MINUTE)
    assert Delivery.objects.filter(kind="resolved").exists()
    mail.answer = "250 OK"
    send_all(NOON + 40 * MINUTE)

    assert [each["Subject"].partition(":")[0] for each in mail.mails] == ["Alert", "All clear"]


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_a_message_once(
    new_rule: NewRule, calls: Calls, mail: MailReceiver, email_channel: Channel
) -> None:
    mail.held = threading.Event()
    burst(new_rule, calls)

    def work() -> None:
        send_all(NOON + MINUTE)
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert mail.asked.wait(10)
    mail.held.set()
    for worker in workers:
        worker.join()

    assert len(mail.mails) == 1
    assert only().attempts == 1


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_it_sends_loses_and_doubles_nothing(
    new_rule: NewRule, calls: Calls, mail: MailReceiver, email_channel: Channel
) -> None:
    """The mail server has not said yes when the worker dies, and has nothing then."""
    burst(new_rule, calls)
    mail.held = threading.Event()
    mail.answer = "451 nobody waits for this answer"
    worker = _worker(mail.url, email_channel)
    assert mail.asked.wait(30), worker.stderr
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    assert only().state == "sending"
    mail.held.set()
    mail.held, mail.answer = None, "250 OK"

    send_all(NOON + 2 * MINUTE)
    assert mail.mails == []  # it may be alive still
    send_all(NOON + 7 * MINUTE)
    assert len(mail.mails) == 1
    assert only().state == "delivered"
    send_all(NOON + 20 * MINUTE)
    assert len(mail.mails) == 1


def _worker(url: str, channel: Channel) -> subprocess.Popen[str]:
    """Another process that sends the channel's messages, as of a minute past noon."""
    code = (
        "import sys, django; django.setup()\n"
        "from uuid import UUID; from datetime import datetime; from alerts import outbox\n"
        "outbox.send_next(UUID(sys.argv[1]), now=datetime.fromisoformat(sys.argv[2]))"
    )
    if connection.vendor == "postgresql":
        given = connection.settings_dict
        database = f"postgres://{given['USER']}@{given['HOST']}:{given['PORT']}/{given['NAME']}"
    else:
        database = f"sqlite:///{connection.settings_dict['NAME']}"
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "aiplatform.settings",
        "DATABASE_URL": database,
        "EMAIL_URL": url,
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.Popen(
        [sys.executable, "-c", code, str(channel.pk), (NOON + MINUTE).isoformat()],
        env=env,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_a_webhook_is_signed_and_keeps_its_id_when_it_is_sent_again(
    new_rule: NewRule, calls: Calls, hook: WebhookReceiver, hook_channel: Channel
) -> None:
    hook_channel.take(Secret(WEBHOOK_SECRET))
    hook_channel.save()
    hook.status = 503
    burst(new_rule, calls)
    send_all(NOON + MINUTE)
    hook.status = 204
    send_all(NOON + 3 * MINUTE)

    assert [post.headers["webhook-id"] for post in hook.posts] == [str(only().pk)] * 2
    post = hook.posts[-1]
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    expected = base64.b64encode(hmac.new(b"k" * 32, signed, hashlib.sha256).digest()).decode()
    assert post.headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(post.headers["webhook-timestamp"]) - time.time()) < 60  # receivers refuse old ones
    told = post.json()
    assert told["type"] == "incident.opened"
    assert told["data"]["subject"] == "openai"
    assert told["data"]["value"] == 90
    assert [attempt.ok for attempt in only().log.all()] == [False, True]
    assert (only().state, only().last_error) == ("delivered", "")


@pytest.mark.parametrize(
    ("status", "state"), [(500, "waiting"), (429, "waiting"), (408, "waiting"), (404, "failed"), (302, "failed")]
)
@pytest.mark.django_db
def test_a_webhooks_refusals(hook: WebhookReceiver, hook_channel: Channel, status: int, state: str) -> None:
    hook.status = status
    outbox.queue_test(hook_channel, by="ada", now=NOON)
    send_all(NOON)

    assert only().state == state
    assert str(status) in only().last_error
    assert len(hook.posts) == 1  # redirects lead past the address guard, and are not followed


@pytest.mark.parametrize(("status", "state"), [(200, "delivered"), (404, "failed")])
@pytest.mark.django_db
def test_of_an_answer_that_cannot_be_read_the_status_counts(
    hook: WebhookReceiver, hook_channel: Channel, status: int, state: str
) -> None:
    """Else who has taken a message, and compresses what it answers, would get it again for days."""
    hook.status, hook.encoding = status, "gzip"
    outbox.queue_test(hook_channel, by="ada", now=NOON)
    send_all(NOON)

    assert only().state == state


@pytest.mark.django_db
def test_a_webhook_that_is_away_or_slow_is_tried_again(
    hook: WebhookReceiver, hook_channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "TIMEOUT_S", 0.2)
    hook.thinks_s = 1.0
    slow = outbox.send_now(outbox.queue_test(hook_channel, by="ada", now=NOON), now=NOON)
    Channel.objects.update(address=f"http://127.0.0.1:{_nobody_there().port}/hook")
    away = outbox.send_now(outbox.queue_test(hook_channel, by="bob", now=NOON), now=NOON)

    assert (slow.state, slow.last_error) == ("waiting", "It did not answer within 0 seconds.")
    assert (away.state, away.last_error) == ("waiting", "It could not be reached (ConnectError).")


@pytest.mark.django_db
def test_an_address_that_is_repeated_in_another_form_is_not_told_either(hook: WebhookReceiver) -> None:
    r"""PHP writes a slash as `\/`, some name the last part alone, some decode it."""
    channel = Channel(name="Chat", kind="slack")
    channel.take(Secret(f"{hook.url}/T0/hush-hush-hush%21?token=hush+hush&v=1"))
    channel.full_clean()
    channel.save()
    hook.status = 404
    hook.answer = (
        r'No /hook/T0/hush-hush-hush%21 {"url":"\/hook\/T0\/hush-hush-hush%21"}, '
        "hush-hush-hush! or hush+hush, and &amp;v=1"
    )
    sent = outbox.send_now(outbox.queue_test(channel, by="ada", now=NOON), now=NOON)

    assert sent.last_error == r'It answered with status 404: No /… {"url":"\/hook\/T0\/…"}, … or …, and &amp;v=1'


@pytest.mark.django_db
def test_an_address_is_not_told_in_part_where_a_long_answer_is_cut(hook: WebhookReceiver) -> None:
    channel = Channel(name="Chat", kind="slack")
    channel.take(Secret(f"{hook.url}/hush-hush-hush"))
    channel.save()
    hook.status, hook.answer = 404, "x" * 188 + " hook/hush-hush-hush"
    sent = outbox.send_now(outbox.queue_test(channel, by="ada", now=NOON), now=NOON)

    assert sent.last_error.endswith("xx …")


@pytest.mark.django_db
def test_what_is_kept_of_a_refusal_holds_nothing_that_no_database_takes(
    hook: WebhookReceiver, hook_channel: Channel
) -> None:
    """PostgreSQL's texts hold no NUL."""
    hook.status, hook.answer = 404, "go\x00\x1baway"
    outbox.queue_test(hook_channel, by="ada", now=NOON)
    send_all(NOON)

    assert (only().state, only().last_error) == ("failed", "It answered with status 404: go  away")
    assert Attempt.objects.get().detail == only().last_error


def test_slacks_webhook_gets_slacks_body(new_rule: NewRule, calls: Calls, hook: WebhookReceiver) -> None:
    channel = Channel(name="Chat", kind="slack")
    channel.take(Secret(hook.url))
    channel.full_clean()
    channel.save()
    hook.status = 202
    burst(new_rule, calls)
    send_all(NOON + MINUTE)

    body = hook.posts[0].json()
    assert body["text"] == "*Alert: Failing (openai)*"
    [attachment] = body["attachments"]
    assert (attachment["color"], attachment["fallback"]) == ("#dc2626", "Alert: Failing (openai)")
    text = attachment["text"]
    assert text.startswith("openai: 90% of 10 calls")
    assert f"/admin/alerts/incident/{only().incident_id}/change/|Look at it>" in text
    assert only().state == "delivered"


def test_slack_escapes_what_it_would_take_for_a_mention(new_rule: NewRule, calls: Calls, hook: WebhookReceiver) -> None:
    channel = Channel(name="<!channel>", kind="slack")
    channel.take(Secret(hook.url))
    channel.save()
    outbox.send_now(outbox.queue_test(channel, by="<!here>", now=NOON), now=NOON)
    new_rule(name="<!everyone>")
    calls(NOON, error=9, ok=1, provider="<!group>")
    operations.evaluate(now=NOON + MINUTE)
    send_all(NOON + MINUTE)

    assert [post.json()["text"] for post in hook.posts] == [
        "*Test: this channel works*",
        "*Alert: &lt;!everyone&gt; (&lt;!group&gt;)*",
    ]
    assert "<!" not in json.dumps([post.json()["attachments"][0]["text"] for post in hook.posts])


@pytest.mark.parametrize("kind", ["slack", "webhook"])
@pytest.mark.django_db
def test_a_query_in_an_address_is_kept_and_never_told(hook: WebhookReceiver, caplog: Any, kind: str) -> None:
    address = f"{hook.url}?code=hush&sig=hush"
    channel = Channel(name="Flow", kind=kind, address=address if kind == "webhook" else "")
    channel.take(Secret(address if kind == "slack" else WEBHOOK_SECRET))
    channel.full_clean()
    channel.save()
    hook.status, hook.answer = 404, f"Cannot POST {address} nor {html.escape(address)}"
    sent = outbox.send_now(outbox.queue_test(channel, by="ada", now=NOON), now=NOON)

    assert hook.posts[0].path == "/hook?code=hush&sig=hush"
    assert sent.last_error.startswith("It answered with status 404: Cannot POST")
    assert "hush" not in sent.last_error + caplog.text


@pytest.mark.django_db
def test_an_address_of_the_clouds_own_is_refused_where_it_is_typed() -> None:
    channel = Channel(name="Inside", kind="webhook", address="http://169.254.169.254/latest")
    channel.take(Secret(WEBHOOK_SECRET))

    with pytest.raises(ValidationError) as refused:
        channel.full_clean()

    assert "address" in refused.value.message_dict


@pytest.mark.django_db
def test_a_guarded_address_is_not_called(hook: WebhookReceiver, hook_channel: Channel, settings: Any) -> None:
    from core.egress import Policy

    settings.EGRESS = Policy.parse(networks="none", ports="1-65535")
    sent = outbox.send_now(outbox.queue_test(hook_channel, by="ada", now=NOON), now=NOON)

    assert sent.state == "failed"
    assert hook.posts == []


@pytest.mark.parametrize(
    ("kind", "address", "field"),
    [
        ("email", "", "address"),
        ("email", "ada@example.com, nobody", "address"),
        ("webhook", "ftp://example.com", "address"),
        ("webhook", "https://example.com/hook", "secret"),
        ("slack", "", "secret"),
        ("pigeon", "", "kind"),
    ],
)
@pytest.mark.django_db
def test_channels_that_lead_nowhere_are_refused(kind: str, address: str, field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Channel(name="Somewhere", kind=kind, address=address).full_clean()

    assert field in refused.value.message_dict


def test_no_two_signing_secrets_are_alike() -> None:
    assert webhook.CHANNEL.new_secret is not None
    made = {webhook.CHANNEL.new_secret().reveal() for _ in range(100)}

    assert len(made) == 100
    assert {len(base64.b64decode(each.removeprefix("whsec_"))) for each in made} == {32}


@pytest.mark.parametrize(
    "secret", ["whsec_no base64 at all, however long it is", "whsec_" + "é" * 40, "whsec_c2hvcnQ="]
)
def test_a_signing_secret_that_nobody_can_check_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError, match="A signing secret is"):
        webhook.CHANNEL.validate("https://example.com/hook", Secret(secret))


@pytest.mark.django_db
def test_secrets_are_encrypted_and_never_told(hook_channel: Channel, hook: WebhookReceiver, caplog: Any) -> None:
    secret = hook_channel.reveal().reveal()
    stored = Channel.objects.values_list("secret", flat=True).get()
    assert secret not in stored
    hook.status = 500
    sent = outbox.send_now(outbox.queue_test(hook_channel, by="ada", now=NOON), now=NOON)

    assert secret not in repr(hook_channel.__dict__) + sent.last_error + caplog.text + json.dumps(sent.facts)


@pytest.mark.django_db
def test_without_a_mail_server_a_message_waits_and_says_why(email_channel: Channel, settings: Any) -> None:
    settings.MAIL_SERVER = None
    sent = outbox.send_now(outbox.queue_test(email_channel, by="ada", now=NOON), now=NOON)

    assert sent.state == "waiting"
    assert "EMAIL_URL" in sent.last_error


@pytest.mark.django_db
def test_what_lost_its_channel_is_given_up_and_old_messages_are_forgotten(email_channel: Channel) -> None:
    outbox.queue_test(email_channel, by="ada", now=NOON)
    email_channel.delete()
    outbox.tidy(now=NOON + MINUTE)
    assert (only().state, only().last_error, only().channel_name) == ("failed", "The channel was deleted.", "On-call")

    assert outbox.send_again(Delivery.objects.all(), now=NOON + MINUTE) == 0

    outbox.tidy(now=NOON + outbox.KEPT + MINUTE)
    assert not Delivery.objects.exists()


@pytest.mark.django_db
def test_what_has_arrived_stays_so_without_its_channel(email_channel: Channel, mail: MailReceiver) -> None:
    outbox.send_now(outbox.queue_test(email_channel, by="ada", now=NOON), now=NOON)
    email_channel.delete()
    outbox.tidy(now=NOON + MINUTE)

    assert (only().state, only().last_error) == ("delivered", "")


@pytest.mark.django_db
def test_an_inactive_channel_is_sent_nothing(email_channel: Channel, mail: MailReceiver) -> None:
    outbox.queue_test(email_channel, by="ada", now=NOON)
    outbox.queue_test(email_channel, by="bob", now=NOON + MINUTE)
    Channel.objects.update(is_active=False)
    send_all(NOON + MINUTE)

    told = ("failed", "The channel was switched off.")
    assert list(Delivery.objects.values_list("state", "last_error")) == [told] * 2
    assert mail.mails == []


def test_of_alerts_nothing_is_queued_for_a_channel_that_is_switched_off(
    new_rule: NewRule, calls: Calls, email_channel: Channel
) -> None:
    Channel.objects.update(is_active=False)
    burst(new_rule, calls)

    assert not Delivery.objects.exists()


@pytest.mark.django_db
def test_a_fault_of_our_own_is_tried_again_and_makes_way_in_the_end(email_channel: Channel) -> None:
    Channel.objects.update(kind="of tomorrow")
    outbox.queue_test(email_channel, by="ada", now=NOON)
    send_all(NOON)
    assert only().state == "waiting"
    for minute in range(1, 30):
        send_all(NOON + minute * MINUTE)

    told = "Something went wrong here (KeyError). It has been logged."
    assert (only().state, only().attempts, only().last_error) == ("failed", outbox.MOST_FAULTS, told)
    assert list(Attempt.objects.values_list("ok", "detail")) == [(False, told)] * outbox.MOST_FAULTS


@pytest.mark.django_db
def test_of_a_long_answer_only_its_beginning_is_kept(mail: MailReceiver) -> None:
    channel = Channel.objects.create(name="All", kind="email", address=",".join(f"u{n}@example.com" for n in range(50)))
    outbox.send_now(outbox.queue_test(channel, by="ada", now=NOON), now=NOON)
    mail.answer = "554 " + "no " * 200
    sent = outbox.send_now(outbox.queue_test(channel, by="bob", now=NOON + MINUTE), now=NOON + MINUTE)

    assert [len(said) for said in Attempt.objects.values_list("detail", flat=True)] == [300, 300]
    assert sent.last_error.startswith("The mail server said 554 no no")


def _nobody_there() -> Any:
    from aiplatform.servers import MailServer

    return MailServer(host="127.0.0.1", port=free_port(), user="", password=Secret(""), security="")


@pytest.mark.django_db
def test_a_sender_that_is_refused_can_be_mended_in_the_settings(email_channel: Channel, mail: MailReceiver) -> None:
    mail.answer_to_sender = "550 Who are you?"
    sent = outbox.send_now(outbox.queue_test(email_channel, by="ada", now=NOON), now=NOON)
    assert sent.state == "waiting"
    mail.answer_to_sender = "250 OK"
    send_all(NOON + MINUTE)

    assert len(mail.mails) == 1


@pytest.mark.django_db
def test_a_recipient_who_is_refused_for_now_gets_it_later_and_the_others_once(mail: MailReceiver) -> None:
    channel = Channel.objects.create(name="Team", kind="email", address="ada@example.com, bob@example.com")
    mail.answers_to_recipients["bob@example.com"] = "450 greylisted"
    sent = outbox.send_now(outbox.queue_test(channel, by="ada", now=NOON), now=NOON)
    assert (sent.state, sent.rest) == ("waiting", "bob@example.com")
    del mail.answers_to_recipients["bob@example.com"]
    send_all(NOON + MINUTE)

    assert only().state == "delivered"
    assert mail.recipients == [["ada@example.com"], ["bob@example.com"]]


@pytest.mark.django_db
def test_a_recipient_who_is_refused_for_long_does_not_hold_up_the_others(mail: MailReceiver) -> None:
    channel = Channel.objects.create(name="Team", kind="email", address="ada@example.com, bob@example.com")
    mail.answers_to_recipients["bob@example.com"] = "452 mailbox full"
    outbox.queue_test(channel, by="ada", now=NOON)
    outbox.queue_test(channel, by="bob", now=NOON + MINUTE)
    for minute in range(12):
        send_all(NOON + minute * MINUTE)

    assert mail.recipients == [["ada@example.com"], ["ada@example.com"]]
    first = Delivery.objects.earliest("id")
    assert (first.state, first.attempts) == ("failed", outbox.MOST_FOR_REST)

    del mail.answers_to_recipients["bob@example.com"]
    outbox.send_again(Delivery.objects.filter(pk=first.pk), now=NOON + timedelta(hours=1))
    send_all(NOON + timedelta(hours=1))
    assert ["ada@example.com"] not in mail.recipients[2:]  # who has it does not get it again


@pytest.mark.django_db
def test_a_mail_server_that_is_slow_with_each_recipient_is_left_long_before_another_worker_sends_too(
    mail: MailReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step takes too long, but all of them together do."""
    assert timedelta(seconds=email.MOST_S) < 0.7 * outbox.CLAIM
    monkeypatch.setattr(email, "MOST_S", 0.3)
    mail.thinks_s = 0.1
    channel = Channel.objects.create(name="All", kind="email", address=",".join(f"u{n}@example.com" for n in range(50)))
    sent = outbox.send_now(outbox.queue_test(channel, by="ada", now=NOON), now=NOON)

    assert (sent.state, sent.last_error) == ("waiting", "The mail server took longer than 0 seconds.")
    assert mail.mails == []
    assert 250 < sent.log.get().took_ms < 3_000  # of five seconds


@pytest.mark.django_db
def test_a_mail_server_whose_greeting_never_ends_is_left_too(
    email_channel: Channel, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(email, "MOST_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings.MAIL_SERVER = msgspec.structs.replace(_nobody_there(), port=listening.getsockname()[1])
        threading.Thread(target=_greet_for_ten_seconds, args=(listening,)).start()
        sent = outbox.send_now(outbox.queue_test(email_channel, by="ada", now=NOON), now=NOON)

    assert (sent.state, sent.last_error) == ("waiting", "The mail server took longer than 0 seconds.")


def _greet_for_ten_seconds(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection, suppress(OSError):
        for _ in range(200):
            connection.sendall(b"220-Wait\r\n")
            time.sleep(0.05)


@pytest.mark.django_db
def test_a_mail_server_that_refuses_us_in_its_greeting_is_quoted_and_tried_again(
    email_channel: Channel, settings: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings.MAIL_SERVER = msgspec.structs.replace(_nobody_there(), port=listening.getsockname()[1])
        threading.Thread(target=_refuse_all, args=(listening,)).start()
        sent = outbox.send_now(outbox.queue_test(email_channel, by="ada", now=NOON), now=NOON)

    assert (sent.state, sent.last_error) == ("waiting", "The mail server said 554 You are on a list")


def _refuse_all(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection, connection.makefile("rwb", buffering=0) as line, suppress(OSError):
        line.write(b"554 You are on a list\r\n")
        while line.readline():
            line.write(b"503 Not now\r\n")


@pytest.mark.django_db
def test_a_mail_server_that_reads_a_message_for_long_is_waited_for(
    email_channel: Channel, mail: MailReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the message by then: who hangs up sends it again."""
    monkeypatch.setattr(email, "TIMEOUT_S", 2.0)
    mail.reads_s = 2.5
    sent = outbox.send_now(outbox.queue_test(email_channel, by="ada", now=NOON), now=NOON)

    assert (sent.state, sent.last_error) == ("delivered", "")


@pytest.mark.django_db
def test_what_was_accepted_has_arrived_however_the_mail_server_takes_leave(
    email_channel: Channel, mail: MailReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail.answer_to_quit = "421 shutting down"
    mail.quits_s = 5.0
    monkeypatch.setattr(email, "TIMEOUT_S", 0.5)
    sent = outbox.send_now(outbox.queue_test(email_channel, by="ada", now=NOON), now=NOON)

    assert (sent.state, sent.last_error) == ("delivered", "")
    assert len(mail.mails) == 1
    assert sent.log.get().took_ms < 3_000
    wait_until(lambda: not any(isinstance(each, threading.Timer) for each in threading.enumerate()))  # of its bound


@pytest.mark.parametrize("security", ["tls", "ssl"])
@pytest.mark.parametrize("is_trusted", [True, False])
@pytest.mark.django_db
def test_the_password_is_for_a_mail_server_with_a_good_certificate_alone(
    email_channel: Channel,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    security: str,
    *,
    is_trusted: bool,
) -> None:
    certificate = hosts.certificate(tmp_path)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with MailReceiver(security=security, certificate=certificate) as mail:
        settings.MAIL_SERVER = msgspec.structs.replace(mail.server, user="ada", password=Secret("hush"))
        sent = outbox.send_now(outbox.queue_test(email_channel, by="ada", now=NOON), now=NOON)

    assert sent.state == ("delivered" if is_trusted else "waiting")
    assert mail.signed_in == ([(b"ada", b"hush")] if is_trusted else [])
    assert len(mail.mails) == is_trusted


@pytest.mark.parametrize(
    ("answers", "state", "said"),
    [
        (("550 nobody", "550 nobody"), "failed", "Refused for all: ada@example.com: 550 nobody; bob@example.com: 550"),
        (("550 nobody", "450 later"), "waiting", "Refused for all: ada@example.com: 550 nobody; bob@example.com: 450"),
        (("250 OK", "550 nobody"), "delivered", "Accepted for 1 of 2; refused: bob@example.com: 550 nobody"),
    ],
)
@pytest.mark.django_db
def test_who_is_refused_is_told_and_tried_again_where_that_may_help(
    mail: MailReceiver, answers: tuple[str, str], state: str, said: str
) -> None:
    channel = Channel.objects.create(name="Team", kind="email", address="ada@example.com; bob@example.com")
    mail.answers_to_recipients = dict(zip(("ada@example.com", "bob@example.com"), answers, strict=True))

    sent = outbox.send_now(outbox.queue_test(channel, by="ada", now=NOON), now=NOON)

    assert sent.state == state
    assert sent.log.get().detail.startswith(said)


@pytest.mark.parametrize(("number", "fits"), [(50, True), (51, False)])
@pytest.mark.django_db
def test_an_address_has_fifty_recipients_at_most_parted_as_people_part_them(number: int, *, fits: bool) -> None:
    names = [f"u{each}@example.com" for each in range(number)]
    address = f"{names[0]};{names[1]}\n{names[2]}, {', '.join(names[3:])}, "

    assert email.recipients(address) == names
    channel = Channel(name="All", kind="email", address=address)
    if fits:
        channel.full_clean()
        return
    with pytest.raises(ValidationError, match="At most 50 addresses"):
        channel.full_clean()


def test_a_subject_of_two_lines_makes_a_mail_still() -> None:
    message = Message(id="7", kind="test", subject="Alert: one\ntwo", text="", html="", data={}, url="")

    assert email.compose(message, sender="root", to=["ada@example.com"])["Subject"] == "Alert: one two"


@pytest.mark.django_db
def test_a_message_too_large_for_the_mail_server_makes_way_for_the_next(
    email_channel: Channel, mail: MailReceiver
) -> None:
    mail.answer_to_sender = "552 Message size exceeds fixed limit"
    sent = outbox.send_now(outbox.queue_test(email_channel, by="ada", now=NOON), now=NOON)

    assert sent.state == "failed"
    assert "552 Message size" in sent.last_error


@pytest.mark.parametrize(("address", "state"), [("ada@münchen.de", "failed"), ("ada@xn--mnchen-3ya.de", "delivered")])
@pytest.mark.django_db
def test_an_address_that_the_mail_server_cannot_take_does_not_hold_up_the_channel(
    settings: Any, address: str, state: str
) -> None:
    channel = Channel.objects.create(name="Team", kind="email", address=address)
    with MailReceiver(takes_any_address=False) as mail:
        settings.MAIL_SERVER = mail.server
        sent = outbox.send_now(outbox.queue_test(channel, by="ada", now=NOON), now=NOON)

    assert sent.state == state
    assert ("SMTPUTF8" in sent.last_error) == (state == "failed")


@pytest.mark.parametrize(
    ("server", "sender", "said"),
    [
        ({"security": "tls"}, "platform@example.com", "STARTTLS"),
        ({"user": "ada"}, "platform@example.com", "AUTH"),
        ({}, "platform@münchen.de", "SMTPUTF8"),
    ],
)
@pytest.mark.django_db
def test_what_the_mail_server_lacks_for_our_settings_is_waited_for_whoever_the_recipient_is(
    settings: Any, server: dict[str, str], sender: str, said: str
) -> None:
    channel = Channel.objects.create(name="Team", kind="email", address="ada@münchen.de")
    with MailReceiver(takes_any_address=False) as mail:
        settings.MAIL_SERVER, settings.EMAIL_FROM = msgspec.structs.replace(mail.server, **server), sender
        sent = outbox.send_now(outbox.queue_test(channel, by="ada", now=NOON), now=NOON)

    assert sent.state == "waiting"
    assert said in sent.last_error


@pytest.mark.django_db
def test_a_senders_name_makes_no_recipient_good(settings: Any) -> None:
    """It may have any letters, as what a mail server is told is the address alone."""
    channel = Channel.objects.create(name="Team", kind="email", address="ada@münchen.de")
    settings.EMAIL_FROM = "Überwachung <platform@example.com>"
    with MailReceiver(takes_any_address=False) as mail:
        settings.MAIL_SERVER = mail.server
        sent = outbox.send_now(outbox.queue_test(channel, by="ada", now=NOON), now=NOON)

    assert sent.state == "failed"


@pytest.mark.django_db(transaction=True)
def test_what_has_arrived_is_not_sent_again_though_another_has_taken_it_meanwhile(
    email_channel: Channel, mail: MailReceiver
) -> None:
    mail.held = threading.Event()
    outbox.queue_test(email_channel, by="ada", now=NOON)

    def work() -> None:
        send_all(NOON)
        connection.close()

    slow = threading.Thread(target=work)
    slow.start()
    assert mail.asked.wait(10)
    Delivery.objects.update(attempts=2, claimed_until=NOON + 2 * outbox.CLAIM)  # as a second worker does
    mail.held.set()
    slow.join()

    assert (only().state, only().delivered_at) == ("delivered", NOON)
    send_all(NOON + 3 * outbox.CLAIM)
    assert len(mail.mails) == 1


@pytest.mark.django_db(transaction=True)
def test_who_comes_back_late_and_empty_handed_leaves_the_message_to_whoever_has_it_now(
    email_channel: Channel, mail: MailReceiver
) -> None:
    mail.held, mail.answer = threading.Event(), "554 no"
    outbox.queue_test(email_channel, by="ada", now=NOON)

    def work() -> None:
        send_all(NOON)
        connection.close()

    slow = threading.Thread(target=work)
    slow.start()
    assert mail.asked.wait(10)
    Delivery.objects.update(attempts=2, claimed_until=NOON + 2 * outbox.CLAIM)  # as a second worker does
    mail.held.set()
    slow.join()

    assert (only().state, only().claimed_until) == ("sending", NOON + 2 * outbox.CLAIM)


@pytest.mark.django_db
def test_a_message_that_kills_its_workers_makes_way_for_the_next(email_channel: Channel, mail: MailReceiver) -> None:
    deadly = outbox.queue_test(email_channel, by="ada", now=NOON)
    outbox.queue_test(email_channel, by="bob", now=NOON + MINUTE)
    lapses_at = NOON + outbox.MOST_DEATHS * outbox.CLAIM
    Delivery.objects.filter(pk=deadly.pk).update(state="sending", attempts=outbox.MOST_DEATHS, claimed_until=lapses_at)
    send_all(lapses_at - MINUTE)
    assert mail.mails == []
    send_all(lapses_at)

    deadly.refresh_from_db()
    assert (deadly.state, deadly.last_error) == ("failed", "Those who were sending it never came to an end.")
    assert len(mail.mails) == 1
    assert outbox.send_again(Delivery.objects.filter(pk=deadly.pk), now=NOON + timedelta(days=1)) == 1
    send_all(NOON + timedelta(days=1))
    assert len(mail.mails) == 2


@pytest.mark.django_db
def test_a_message_whose_sending_never_ends_is_given_up_after_days(email_channel: Channel, mail: MailReceiver) -> None:
    outbox.queue_test(email_channel, by="ada", now=NOON)
    Delivery.objects.update(state="sending", attempts=1, claimed_until=NOON + outbox.CLAIM)
    send_all(NOON + outbox.GIVE_UP)

    assert only().state == "failed"
    assert mail.mails == []
