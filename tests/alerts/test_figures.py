"""What each measure reads, and when it crosses its limit."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from accounts.models import ApiKey, Client
from alerts import certificates, defaults, operations, wording
from alerts.figures import Figures
from alerts.measures import MEASURES
from alerts.models import Certificate, Channel, Delivery, Incident, Rule
from providers import circuits
from providers.models import Deployment, Health, Provider
from providers.resilience.reports import Seen
from tests.alerts.conftest import NOON, Calls, NewRule
from usage import spending
from usage.models import Budget, BudgetWindow, Proof

MINUTE = timedelta(minutes=1)


def read(rule: Rule, now: datetime = NOON) -> dict[str, float | None]:
    return {reading.subject: reading.value for reading in Figures(now).readings(rule)}


def breached(rule: Rule, now: datetime = NOON) -> set[str]:
    return {breach.reading.subject for breach in operations.current(now=now)}


def test_failures_are_a_share_of_the_calls_that_were_made(new_rule: NewRule, calls: Calls) -> None:
    """A client that is refused in a loop, and what the cache answers, make an outage no smaller."""
    rule = new_rule(limit=Decimal(50))
    together = new_rule(name="Nobody is answered", scope="all", limit=Decimal(50))
    calls(NOON - MINUTE, error=9, ok=1, cached=15, cancelled=5)
    calls(NOON - MINUTE, error=1, cached=4, refused=9, provider="rare")
    calls(NOON - MINUTE, refused=150, provider="", error_code="RATE_LIMITED")

    assert read(rule) == {"openai": 90.0, "rare": None}
    assert read(together) == {"": pytest.approx(100 * 10 / 11)}
    assert [breach.message for breach in operations.current(now=NOON)] == [
        "openai: 90% of 10 calls failed in the last 15 minutes. The limit is 50%.",
        "91% of 11 calls failed in the last 15 minutes. The limit is 50%.",
    ]


def test_the_time_of_answers_leaves_failures_out(new_rule: NewRule, calls: Calls) -> None:
    rule = new_rule(measure="latency", limit=Decimal(10))
    calls(NOON - MINUTE, ok=4, latency_ms=12_000.0)
    calls(NOON - MINUTE, ok=4, latency_ms=10_000.0)
    calls(NOON - MINUTE, error=9, latency_ms=60_000.0)

    assert read(rule) == {"openai": 11.0}


def test_the_window_ends_where_it_says(new_rule: NewRule, calls: Calls) -> None:
    rule = new_rule(measure="cost", limit=Decimal(1), window_minutes=60)
    for minutes in (0, 59, 60):
        calls(NOON - minutes * MINUTE, ok=1, cost_pico=10**12)
    calls(NOON - 61 * MINUTE, ok=1, cost_pico=10**12)

    assert read(rule) == {"openai": 2.0}  # a call of this very moment is not in the past yet


def test_a_window_longer_than_an_hour_begins_with_a_whole_quarter_hour(new_rule: NewRule, calls: Calls) -> None:
    rule = new_rule(measure="cost", limit=Decimal(1), window_minutes=120)
    for minutes in (60, 118, 121):
        calls(NOON - minutes * MINUTE, ok=1, cost_pico=10**12)

    assert read(rule, NOON + 5 * MINUTE) == {"openai": 2.0}  # since 10:00, not since 10:05


@pytest.mark.parametrize(("measure", "kind"), [("error_share", "error"), ("latency", "ok"), ("rate_limited", "ok")])
def test_as_many_calls_as_the_rule_needs_are_enough(new_rule: NewRule, calls: Calls, measure: str, kind: str) -> None:
    rule = new_rule(measure=measure, scope="all", minimum_calls=5)
    calls(NOON - MINUTE, **{kind: 4})
    assert read(rule) == {"": None}

    calls(NOON - MINUTE, **{kind: 1})
    assert read(rule)[""] is not None


def test_calls_refused_by_our_limits(new_rule: NewRule, calls: Calls) -> None:
    rule = new_rule(measure="rate_limited", scope="client", limit=Decimal(20))
    calls(NOON - MINUTE, ok=6)
    calls(NOON - MINUTE, refused=3, error_code="RATE_LIMITED")
    calls(NOON - MINUTE, refused=1, error_code="BUDGET_EXCEEDED")
    calls(NOON - MINUTE, refused=1, error_code="RATE_LIMITED", is_final=False)  # made good by another try
    calls(NOON - 20 * MINUTE, refused=5, error_code="RATE_LIMITED")

    assert read(rule) == {"alice": 30.0}


def test_a_model_without_a_price(new_rule: NewRule, calls: Calls) -> None:
    rule = new_rule(measure="unpriced", scope="model", limit=Decimal(0))
    calls(NOON - MINUTE, ok=2, cost_pico=None)
    calls(NOON - MINUTE, ok=2, deployment="priced")

    assert read(rule) == {"openai/gpt": 2, "openai/priced": 0}
    assert breached(rule) == {"openai/gpt"}


def test_no_traffic_is_noticed_where_there_usually_is_some(new_rule: NewRule, calls: Calls) -> None:
    rule = new_rule(measure="no_traffic", scope="client", limit=Decimal(0), window_minutes=60, minimum_calls=5)
    yesterday = NOON - timedelta(days=1, minutes=30)
    calls(yesterday, ok=6)
    calls(yesterday, ok=6, client="busy")
    calls(yesterday, ok=1, client="rare")
    calls(yesterday - timedelta(hours=2), ok=9, client="early")
    calls(NOON - MINUTE, ok=1, client="busy")

    assert read(rule) == {"alice": 0, "busy": 1}
    assert breached(rule) == {"alice"}


def test_a_week_of_silence_is_compared_with_the_week_before(new_rule: NewRule, calls: Calls) -> None:
    """Not with six of its own days."""
    week = timedelta(days=7)
    rule = new_rule(measure="no_traffic", scope="client", window_minutes=week // MINUTE, minimum_calls=5)
    calls(NOON - timedelta(days=8), ok=5)
    calls(NOON - timedelta(days=3), ok=5, client="new")

    assert read(rule) == {"alice": 0}


def test_who_is_missed_by_another_rule_is_not_missed_by_this_one(new_rule: NewRule, calls: Calls) -> None:
    facts = {"measure": "no_traffic", "scope": "client", "limit": Decimal(0), "window_minutes": 60}
    new_rule(**facts, minimum_calls=5)
    other = new_rule(**facts, name="Busy ones", minimum_calls=50)
    calls(NOON - timedelta(days=1, minutes=30), ok=6)
    operations.evaluate(now=NOON)

    assert read(other, NOON + MINUTE) == {}


def test_who_came_back_is_missed_no_more_where_nothing_is_usual(new_rule: NewRule, calls: Calls) -> None:
    rule = new_rule(measure="no_traffic", scope="client", limit=Decimal(0), window_minutes=60, minimum_calls=5)
    calls(NOON - timedelta(days=1, minutes=30), ok=6)
    operations.evaluate(now=NOON)
    calls(NOON, ok=1)
    operations.evaluate(now=NOON + MINUTE)
    assert Incident.objects.get().state == "resolved"

    assert read(rule, NOON + timedelta(hours=3)) == {}


def test_a_day_of_silence_is_no_all_clear(new_rule: NewRule, calls: Calls) -> None:
    new_rule(measure="no_traffic", scope="all", limit=Decimal(0), window_minutes=60, minimum_calls=5)
    calls(NOON - timedelta(days=1, minutes=30), ok=6)
    operations.evaluate(now=NOON)
    operations.evaluate(now=NOON + timedelta(days=2))
    assert Incident.objects.get().state == "open"

    calls(NOON + timedelta(days=2), ok=1)
    operations.evaluate(now=NOON + timedelta(days=2, minutes=1))
    assert Incident.objects.get().state == "resolved"


def test_budgets_are_watched_at_half_most_and_all_of_them(no_rules: None, calls: Calls) -> None:
    defaults.make_rules()
    for name, spent in (("quarter", 25), ("half", 50), ("most", 80), ("all", 100)):
        budget = Budget(name=name, scope="client", subject=name, cap_pico=100 * 10**12, period="total")
        calls(NOON - MINUTE, ok=1, client=name, cost_pico=spent * 10**12)
        spending.save(budget, count_so_far=True, now=NOON)

    found = {(each.reading.subject, each.rule.name) for each in operations.current(now=NOON)}
    assert {each for each in found if each[1] != "High cost"} == {
        ("half", "Half of a budget is used"),
        ("most", "Most of a budget is used"),
        ("all", "A budget is used up"),
    }


def test_of_a_budget_that_was_raised_a_smaller_part_is_used(new_rule: NewRule, calls: Calls) -> None:
    rule = new_rule(measure="budget_used", scope="budget", limit=Decimal(80))
    budget = Budget(name="All", scope="all", cap_pico=10**12, period="month")
    calls(NOON - MINUTE, ok=1, cost_pico=10**12)
    spending.save(budget, count_so_far=True, now=NOON)
    assert read(rule) == {"All": 100.0}

    BudgetWindow.objects.update(raised_pico=10**12)
    assert read(rule) == {"All": 50.0}


def test_budgets_are_read_once_for_all_the_rules_that_watch_them(
    no_rules: None, django_assert_max_num_queries: Any
) -> None:
    defaults.make_rules()
    for number in range(50):
        Budget.objects.create(name=f"b{number}", scope="client", subject=f"c{number}", cap_pico=1, period="month")

    with django_assert_max_num_queries(60) as ran:
        operations.evaluate(now=NOON)

    assert len([query for query in ran if "usage_budget" in query["sql"]]) == 2  # the budgets, and their windows


def test_a_budget_that_will_not_last(new_rule: NewRule, calls: Calls) -> None:
    rule = new_rule(measure="budget_forecast", scope="budget", limit=Decimal(100))
    first = datetime(2026, 3, 1, tzinfo=UTC)
    for name, spent in (("fast", 45), ("slow", 30)):
        calls(first + MINUTE, ok=1, client=name, cost_pico=spent * 10**12)
        budget = Budget(name=name, scope="client", subject=name, cap_pico=100 * 10**12, period="month")
        spending.save(budget, count_so_far=True, now=NOON)
    Budget.objects.create(name="for ever", scope="all", cap_pico=10**12, period="total")

    found = read(rule)  # after 9.5 of 31 days
    assert found["fast"] == pytest.approx(45 * 31 / 9.5)
    assert found["for ever"] is None
    assert breached(rule) == {"fast"}
    assert read(rule, first + timedelta(hours=12))["fast"] is None  # too early to tell


def test_a_provider_that_fails_its_checks(new_rule: NewRule) -> None:
    rule = new_rule(measure="provider_down")
    for slug, status in (("ill", "unhealthy"), ("well", "healthy")):
        provider = Provider.objects.create(name=slug, slug=slug, kind="demo")
        Health.objects.create(provider=provider, status=status, checked_at=NOON)
    Provider.objects.create(name="new", slug="new", kind="demo")
    off = Provider.objects.create(name="off", slug="off", kind="demo", is_active=False)
    Health.objects.create(provider=off, status="unhealthy", checked_at=NOON)

    assert read(rule) == {"ill": 1, "well": 0, "new": 0}


@pytest.mark.parametrize(
    ("seen", "is_told"),
    [
        (Seen(circuit_state="open", reopens_at=NOON.timestamp() + 1), True),
        (Seen(circuit_state="open", reopens_at=NOON.timestamp() - 30), True),
        (Seen(circuit_state="half_open", since_at=NOON.timestamp() - 30), True),
        (Seen(circuit_state="half_open", since_at=NOON.timestamp() - 3600), False),
        (Seen(circuit_state="closed", since_at=NOON.timestamp() - 30), False),
    ],
)
def test_a_provider_is_down_until_trials_succeed_or_nobody_tries_any_more(
    new_rule: NewRule, seen: Seen, *, is_told: bool
) -> None:
    rule = new_rule(measure="provider_down")
    provider = Provider.objects.create(name="House", slug="house", kind="demo")
    model = Deployment.objects.create(provider=provider, name="large")

    def told() -> list[dict[Any, Seen]]:
        return [{model.pk: seen}]

    circuits.follow(told)
    try:
        assert breached(rule) == ({"house"} if is_told else set())
        Deployment.objects.update(is_active=False)
        assert breached(rule) == set()
    finally:
        circuits.unfollow(told)
    assert breached(rule) == set()


def test_books_that_do_not_balance(new_rule: NewRule) -> None:
    rule = new_rule(measure="ledger_drift", scope="all", limit=Decimal(0))
    assert read(rule) == {}
    Proof.objects.create(made_at=NOON, took_ms=1, is_balanced=False, figures={}, differences=["one", "two"])
    assert breached(rule) == {""}
    assert operations.current(now=NOON)[0].message == "The last proof of the books found 2 differences."
    Proof.objects.create(made_at=NOON + MINUTE, took_ms=1, is_balanced=False, figures={})
    assert read(rule) == {"": 1.0}  # at least one
    Proof.objects.create(made_at=NOON + 2 * MINUTE, took_ms=1, is_balanced=True, figures={})
    assert breached(rule) == set()


def test_keys_that_expire_soon(new_rule: NewRule) -> None:
    rule = new_rule(measure="key_expiry", scope="key", limit=Decimal(14))
    client = Client.objects.create(name="alice")
    keys = {days: ApiKey.mint(client=client, name=f"in {days}")[0] for days in (-1, 3, 20)}
    for days, key in keys.items():
        key.expires_at = NOON + timedelta(days=days)
        key.save()
    ApiKey.mint(client=client)
    gone = Client.objects.create(name="gone", is_active=False)
    ApiKey.mint(client=gone)
    ApiKey.objects.filter(client=gone).update(expires_at=NOON)

    assert read(rule) == {keys[-1].prefix: -1, keys[3].prefix: 3, keys[20].prefix: 20}
    assert sorted(breach.message for breach in operations.current(now=NOON)) == [
        "alice · in -1: the key has expired. The limit is 14 days.",
        "alice · in 3: the key expires in 3 days. The limit is 14 days.",
    ]
    assert read(rule, NOON + timedelta(days=9)) == {keys[3].prefix: -6, keys[20].prefix: 11}


def test_a_key_that_expired_weeks_ago_is_no_all_clear_until_somebody_ends_it(
    new_rule: NewRule, email_channel: Channel
) -> None:
    new_rule(measure="key_expiry", scope="key", limit=Decimal(14))
    key = ApiKey.mint(client=Client.objects.create(name="alice"))[0]
    ApiKey.objects.filter(pk=key.pk).update(expires_at=NOON)
    operations.evaluate(now=NOON)
    operations.evaluate(now=NOON + timedelta(days=30))
    assert Incident.objects.get().state == "open"

    ApiKey.objects.update(is_active=False)
    operations.evaluate(now=NOON + timedelta(days=31))
    assert list(Delivery.objects.order_by("id").values_list("kind", flat=True)) == ["opened", "resolved"]


def test_traffic_that_is_missing_for_good_ends_without_an_all_clear(
    new_rule: NewRule, calls: Calls, email_channel: Channel
) -> None:
    new_rule(measure="no_traffic", scope="all", limit=Decimal(0), window_minutes=60, minimum_calls=5)
    calls(NOON - timedelta(days=1, minutes=30), ok=6)
    operations.evaluate(now=NOON)
    operations.evaluate(now=NOON + timedelta(days=8))

    assert Incident.objects.get().state == "resolved"
    assert list(Delivery.objects.values_list("kind", flat=True)) == ["opened"]


def test_the_rules_that_an_installation_begins_with(db: None) -> None:
    """Migrating made them. Each is valid, those that were deleted stay so, and none opens on an idle installation."""
    rules = list(Rule.objects.all())
    assert len(rules) == 17
    for rule in rules:
        rule.full_clean()
    assert {rule.measure for rule in rules} == set(MEASURES)
    operations.evaluate(now=NOON)
    assert not Incident.objects.exists()

    Rule.objects.filter(name="High cost").delete()
    defaults.make_rules()
    assert not Rule.objects.filter(name="High cost").exists()


# --- certificates -------------------------------------------------------------------------------------------------


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[str, Path, datetime]]:
    """(address, the certificate to trust, when it expires)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC).replace(microsecond=0)
    expires_at = now + timedelta(days=9)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(expires_at)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for _ in range(2):
            plain, _address = listening.accept()
            try:
                context.wrap_socket(plain, server_side=True).close()
            except OSError:
                plain.close()

    threading.Thread(target=serve, daemon=True).start()
    yield f"https://localhost:{listening.getsockname()[1]}/v1", file, expires_at
    listening.close()


def test_a_certificates_end_is_read_where_it_can_be_trusted(tls_server: tuple[str, Path, datetime]) -> None:
    address, file, expires_at = tls_server

    assert certificates.expiry(address, ssl.create_default_context(cafile=file)) == expires_at
    assert certificates.expiry(address, ssl.create_default_context()) is None


@pytest.mark.django_db
def test_certificates_that_expire_soon(new_rule: NewRule) -> None:
    rule = new_rule(measure="certificate_expiry", limit=Decimal(14))
    Certificate.objects.create(provider="soon", expires_at=NOON + timedelta(days=13), checked_at=NOON)
    Certificate.objects.create(provider="later", expires_at=NOON + timedelta(days=80), checked_at=NOON)
    Certificate.objects.create(provider="unknown", checked_at=NOON)

    assert breached(rule) == {"soon"}
    assert breached(rule, NOON + timedelta(days=30)) == {"soon"}
    certificates.check_all(now=NOON)  # of providers that are gone nothing is kept
    assert not Certificate.objects.exists()


@pytest.mark.django_db
def test_a_certificate_that_can_no_longer_be_read_keeps_its_date() -> None:
    """One that has expired is refused, and so is one whose host is away: neither is an all-clear."""
    Provider.objects.create(name="Parked", slug="parked", kind="custom", base_url="https://127.0.0.1:9/v1")
    Certificate.objects.create(provider="parked", expires_at=NOON + timedelta(days=3), checked_at=NOON)
    certificates.check_all(now=NOON + MINUTE)

    found = Certificate.objects.get()
    assert (found.expires_at, found.checked_at) == (NOON + timedelta(days=3), NOON + MINUTE)


@pytest.mark.parametrize(
    ("minutes", "limit", "expected"),
    [
        (1, 20, "ada: 30 calls in the last minute. The limit is 20 calls."),
        (60, 0, "ada: 30 calls in the last hour."),
        (120, 20, "ada: 30 calls in the last 2 hours. The limit is 20 calls."),
    ],
)
def test_findings_read_as_people_write_them(minutes: int, limit: int, expected: str) -> None:
    rule = Rule(measure="no_traffic", scope="client", window_minutes=minutes)
    told = wording.finding(rule, subject="ada", value=30, limit=limit, calls=30)

    assert told.replace(", where there were more at that time the day before", "") == expected


@pytest.mark.parametrize(
    ("measure", "scope", "expected"),
    [
        ("unpriced", "model", "calls of unknown cost are made within an hour, for each model"),
        ("no_traffic", "all", "no calls come within an hour, where that time of the day before brought more, for "),
    ],
)
def test_a_limit_of_nothing_reads_as_people_say_it(measure: str, scope: str, expected: str) -> None:
    rule = Rule(measure=measure, scope=scope, window_minutes=60)

    assert wording.condition(rule, 0).startswith(expected)


def test_a_budget_that_refuses_calls_is_told_before_it_is_used_up(new_rule: NewRule, calls: Calls) -> None:
    rule = new_rule(measure="budget_refused", scope="budget", limit=Decimal(0), minimum_calls=0)
    tight, wide = (
        Budget.objects.create(name=name, scope="all", cap_pico=cap, period="day")
        for name, cap in (("tight", 10**12), ("wide", 10**15))
    )
    windows = [str(spending.running_window(tight, NOON).pk)]
    refused = {"error_code": "BUDGET_EXCEEDED", "provider": "", "provider_id": None, "deployment": ""}
    calls(NOON - MINUTE, refused=3, windows=windows, **refused)
    calls(NOON - MINUTE, refused=1, windows=windows, **refused, is_final=False)
    calls(NOON - 20 * MINUTE, refused=3, windows=windows, **refused)
    calls(NOON - MINUTE, ok=1, windows=[*windows, str(spending.running_window(wide, NOON).pk)])

    assert read(rule) == {"tight": 3, "wide": 0}
    assert [breach.message for breach in operations.current(now=NOON)] == [
        "tight: it refused 3 calls in the last 15 minutes, because too little is left of it."
    ]
    assert rule.in_words == "When calls are refused for want of room within 15 minutes, for each budget."
    assert breached(rule, NOON + timedelta(minutes=15)) == set()
