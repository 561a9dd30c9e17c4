"""The page that shows whether the books balance."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import F
from django.test import Client as Browser
from django.test import override_settings
from django.utils import timezone

from core.money import PICO_PER_USD
from tests.usage.rows import hold, record
from usage import ledger, proofs
from usage.ledger import Note
from usage.models import Day, Proof

PAGE = "/admin/usage/proof/"


def shown(browser: Browser) -> str:
    answer = browser.get(PAGE)
    assert answer.status_code == 200
    return answer.content.decode()


def test_before_the_first_proof_it_says_what_will_come(staff: Browser) -> None:
    assert "Not proved yet" in shown(staff)


def test_prove_now(staff: Browser, filled: None) -> None:
    answer = staff.post(f"{PAGE}prove/", follow=True)
    assert answer.redirect_chain == [(PAGE, 302)]
    text = answer.content.decode()
    assert "waits for the background worker" in text
    assert 'http-equiv="refresh"' in text
    assert "Prove now" not in text
    proofs.withdraw()
    proofs.prove_and_keep()
    text = shown(staff)
    assert "waits for the background worker" not in text
    assert "The books balance" in text
    assert "60 records" in text
    assert Proof.objects.get().is_balanced


def test_proving_is_asked_for_by_a_button_alone(staff: Browser) -> None:
    assert staff.get(f"{PAGE}prove/").status_code == 405
    assert not Proof.objects.exists()


def test_a_large_sum_can_be_read(staff: Browser) -> None:
    ledger.apply([Note(record(hold(), cost_pico=1_234_567 * PICO_PER_USD + PICO_PER_USD // 2))])
    proofs.prove_and_keep()

    assert "1 record that cost $1,234,567.5." in shown(staff)


def test_drift_is_told_in_words(staff: Browser, filled: None) -> None:
    row = Day.objects.exclude(cost_pico=0).latest("day")
    Day.objects.filter(pk=row.pk).update(cost_pico=F("cost_pico") + 10**12)
    proofs.prove_and_keep()
    text = shown(staff)
    assert "The books do not balance" in text
    assert "$1 too much" in text
    assert "rebuildrollups" in text


def test_what_was_refused_of_a_journal_is_told_in_words(staff: Browser, tmp_path: Path) -> None:
    assert "refused by the database" not in shown(staff)
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "refused").write_bytes(b"an entry\n")
    with override_settings(STATE_DIR=tmp_path):
        assert "1 journal entry was refused by the database" in shown(staff)


def test_dollars_by_evidence(staff: Browser, filled: None) -> None:
    lines = {line.name: line for line in staff.get(PAGE).context["books"]["known"]}
    assert list(lines) == [
        "Reported by the provider",
        "Estimated by us",
        "At most this (upper bound)",
        "Unknown, in no sum",
    ]
    assert lines["At most this (upper bound)"].this_month == "$0.00"


def test_a_proof_that_is_old_is_called_so(staff: Browser) -> None:
    proofs.prove_and_keep()
    assert "Is the background worker running" not in shown(staff)
    Proof.objects.update(made_at=timezone.now() - timedelta(hours=3))
    assert "last proved 3 hours ago" in shown(staff)


@pytest.mark.parametrize(("granted", "status"), [([], 403), (["view_proof"], 200)])
def test_it_is_for_those_who_may_see_it(db: Any, granted: list[str], status: int) -> None:
    user = User.objects.create_user("bob", password="a-long-password", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=granted))
    browser = Browser()
    browser.force_login(user)
    answer = browser.get(PAGE)
    assert answer.status_code == status
    assert "Prove now" not in answer.content.decode()
    assert browser.post(f"{PAGE}prove/").status_code == 403
