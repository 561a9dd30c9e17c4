"""The management API of alerts, and specification D's list of them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import ApiKey, Client
from alerts import defaults, operations
from alerts.measures import MEASURES
from alerts.models import Channel, Incident, Rule
from tests.alerts.conftest import Calls, NewRule
from tests.alerts.receivers import MailReceiver, WebhookReceiver


@pytest.fixture
def api(db: None) -> APIClient:
    return _with_key(ApiKey.Scope.MANAGE)


def _with_key(scope: str) -> APIClient:
    client, _ = Client.objects.get_or_create(name="operations")
    return APIClient(headers={"Authorization": f"Bearer {ApiKey.mint(client=client, scope=scope)[1]}"})


def test_specification_ds_alerts(api: APIClient, no_rules: None, calls: Calls) -> None:
    """Its four examples: half of the calls fail, a fifth, answers take ten seconds, a hundred dollars are spent."""
    defaults.make_rules()
    now = timezone.now()
    calls(now, error=6, ok=4, provider="broken")
    calls(now, error=3, ok=7, provider="shaky")
    calls(now, ok=10, provider="slow", latency_ms=10_500.0)
    calls(now, ok=2, provider="dear", cost_pico=51 * 10**12)
    calls(now, ok=10, provider="fine")

    answer = api.get("/api/ai-providers/alerts").json()

    found = {(each["provider"], each["severity"], each["type"]) for each in answer["alerts"]}
    assert found == {
        ("broken", "critical", "error_share"),
        ("shaky", "warning", "error_share"),
        ("slow", "warning", "latency"),
        ("dear", "info", "cost"),
    }
    assert answer["count"] == 4
    assert answer["alerts"][0]["message"] == "broken: 60% of 10 calls failed in the last 15 minutes. The limit is 50%."
    assert [each["provider"] for each in api.get("/api/ai-providers/alerts?severity=info").json()["alerts"]] == ["dear"]
    assert api.get("/api/ai-providers/alerts/?provider=fine").json()["alerts"] == []


def test_an_alert_names_its_incident(api: APIClient, new_rule: NewRule, calls: Calls) -> None:
    new_rule()
    calls(timezone.now() - timedelta(seconds=1), error=9)  # the very millisecond of a look is not in it
    operations.evaluate(now=timezone.now())

    [alert] = api.get("/api/ai-providers/alerts").json()["alerts"]
    assert (alert["id"], alert["state"]) == (str(Incident.objects.get().pk), "open")


def test_a_rule_is_made_read_changed_and_deleted(api: APIClient, no_rules: None, email_channel: Channel) -> None:
    body: dict[str, Any] = {"name": "Cost", "measure": "cost", "scope": "client", "limit": "25", "windowMinutes": 1440}
    made = api.post("/api/alerts/rules", body | {"channels": ["On-call"]}, format="json")
    assert made.status_code == 201, made.content
    rule = made.json()
    assert rule["channels"] == ["On-call"]
    assert rule["inWords"] == "When more than $25.00 is spent within 24 hours, for each client."

    changed = api.patch(f"/api/alerts/rules/{rule['id']}", {"severity": "critical", "channels": []}, format="json")
    assert (changed.json()["severity"], changed.json()["channels"]) == ("critical", [])
    assert [row["name"] for row in api.get("/api/alerts/rules?measure=cost").json()["results"]] == ["Cost"]
    assert api.delete(f"/api/alerts/rules/{rule['id']}").status_code == 204
    assert not Rule.objects.exists()


def test_a_rule_that_makes_no_sense_is_refused_by_its_field(api: APIClient, no_rules: None) -> None:
    refused = api.post("/api/alerts/rules", {"name": "x", "measure": "budget_used", "scope": "key"}, format="json")

    assert refused.status_code == 400
    assert "scope" in refused.json()["fields"]


@pytest.mark.parametrize(
    ("path", "field", "choices"),
    [
        ("rules", "measure", list(MEASURES)),
        ("rules", "severity", ["info", "warning", "critical"]),
        ("channels", "kind", ["email", "slack", "webhook"]),
        ("schedules", "period", ["day", "week", "month"]),
    ],
)
def test_who_misses_a_choice_is_told_what_there_is(
    api: APIClient, no_rules: None, path: str, field: str, choices: list[str]
) -> None:
    refused = api.post(f"/api/alerts/{path}", {"name": "x", field: "luck"}, format="json")

    assert refused.json()["fields"][field] == [f"Choose one of {', '.join(choices)}."]


def test_a_channels_secret_is_shown_once(api: APIClient, hook: WebhookReceiver) -> None:
    made = api.post("/api/alerts/channels", {"name": "Hook", "kind": "webhook", "address": hook.url}, format="json")
    assert made.status_code == 201, made.content
    channel = made.json()
    assert channel["signingSecret"].startswith("whsec_")

    read = api.get(f"/api/alerts/channels/{channel['id']}").json()
    assert "signingSecret" not in read
    assert channel["signingSecret"] not in json.dumps(api.get("/api/alerts/channels").json())

    tested = api.post(f"/api/alerts/channels/{channel['id']}/test").json()
    assert (tested["state"], tested["log"][0]["detail"]) == ("delivered", "Accepted (200).")
    assert hook.posts[0].json()["type"] == "test"


def test_a_channel_is_checked_when_it_is_made(api: APIClient) -> None:
    refused = api.post("/api/alerts/channels", {"name": "x", "kind": "email", "address": "nobody"}, format="json")

    assert refused.json()["fields"] == {"address": ["nobody is not an e-mail address."]}


def test_a_rules_only_channel_stays(api: APIClient, new_rule: NewRule, email_channel: Channel) -> None:
    """Without it the rule would name none, and tell every channel."""
    rule = new_rule(name="Cost")
    rule.channels.add(email_channel)
    one = f"/api/alerts/channels/{email_channel.pk}"

    refused = api.delete(one)
    assert refused.status_code == 400
    assert refused.json()["fields"] == {
        "rules": ["Cost would name no channel any more, and tell every one: give it another first."]
    }
    rule.channels.add(Channel.objects.create(name="Team", kind="email", address="team@example.com"))
    assert api.delete(one).status_code == 204
    assert [channel.name for channel in rule.channels.all()] == ["Team"]


@pytest.mark.parametrize("method", ["put", "patch"])
def test_an_addresses_query_is_not_read_and_survives_being_written_back(api: APIClient, method: str) -> None:
    address = "https://flow.example.com/run?sig=hush"
    body = {"name": "Flow", "kind": "webhook", "address": address}
    made = api.post("/api/alerts/channels", body, format="json")
    one = f"/api/alerts/channels/{made.json()['id']}"

    for answer in (made, api.get(one), api.get("/api/alerts/channels"), api.patch(one, {"name": "Run"}, format="json")):
        assert "https://flow.example.com/run?…" in answer.content.decode()
        assert "hush" not in answer.content.decode()
    write = getattr(api, method)
    assert write(one, body | {"address": "https://flow.example.com/run?…"}, format="json").status_code == 200
    assert Channel.objects.get().address == address
    refused = write(one, body | {"address": "https://elsewhere.example.com/run?…"}, format="json")
    assert refused.json()["fields"] == {"address": ["Write the whole address: what is behind its ? is not shown."]}
    assert write(one, body | {"address": f"{address}2"}, format="json").status_code == 200
    assert Channel.objects.get().address == f"{address}2"


def test_incidents_are_acknowledged_and_silenced(api: APIClient, new_rule: NewRule, calls: Calls) -> None:
    new_rule()
    calls(timezone.now(), error=9)
    operations.evaluate(now=timezone.now())
    [incident] = api.get("/api/alerts/incidents?state=open").json()["results"]
    address = f"/api/alerts/incidents/{incident['id']}"

    done = api.post(f"{address}/acknowledge").json()
    assert done["state"] == "acknowledged"
    assert done["handledBy"].startswith("operations")
    assert api.post(f"{address}/silence", {"minutes": 60}, format="json").json()["state"] == "silenced"
    Incident.objects.update(state="resolved")
    assert api.post(f"{address}/acknowledge").status_code == 400
    assert api.delete(address).status_code == 405


def test_a_report_is_scheduled_and_sent(api: APIClient, mail: MailReceiver, email_channel: Channel) -> None:
    body = {"name": "AI costs", "period": "day", "timeZone": "Asia/Kathmandu", "channels": ["On-call"]}
    made = api.post("/api/alerts/schedules", body, format="json")
    assert made.status_code == 201, made.content
    sent = api.post(f"/api/alerts/schedules/{made.json()['id']}/send").json()

    assert [row["state"] for row in sent] == ["delivered"]
    assert len(mail.mails) == 1
    deliveries = api.get(f"/api/alerts/deliveries?scheduleId={made.json()['id']}").json()["results"]
    assert [row["id"] for row in deliveries] == [sent[0]["id"]]


@pytest.mark.parametrize("path", ["ai-providers/alerts", "alerts/rules", "alerts/channels", "alerts/deliveries"])
def test_a_calling_key_sees_nothing_of_it(db: None, path: str) -> None:
    assert _with_key(ApiKey.Scope.CALL).get(f"/api/{path}").status_code == 403
    assert APIClient().get(f"/api/{path}").status_code == 401


@pytest.mark.parametrize("channels", [{}, {"channels": []}])
def test_a_report_to_nobody_is_refused(api: APIClient, email_channel: Channel, channels: dict[str, list[str]]) -> None:
    refused = api.post("/api/alerts/schedules", {"name": "AI costs", **channels}, format="json")
    assert refused.status_code == 400
    assert refused.json()["fields"] == {"channels": ["Name at least one channel: nobody would get the report."]}

    made = api.post("/api/alerts/schedules", {"name": "AI costs", "channels": ["On-call"]}, format="json").json()
    one = f"/api/alerts/schedules/{made['id']}"
    assert api.patch(one, {"channels": []}, format="json").json()["fields"] == refused.json()["fields"]
    assert api.patch(one, {"sendAt": "08:00"}, format="json").json()["channels"] == ["On-call"]


def test_refusals_by_rate_limits_are_not_watched_for_providers(api: APIClient, no_rules: None) -> None:
    body = {"name": "x", "measure": "rate_limited", "scope": "provider"}
    refused = api.post("/api/alerts/rules", body, format="json")

    [said] = refused.json()["fields"]["scope"]
    assert said.startswith("This measure is watched for: all (Everything together), client (Each client), route (")
    assert "provider" not in said
