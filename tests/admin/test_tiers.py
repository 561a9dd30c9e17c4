"""The page of a tier: what its keys may do, everywhere and at single endpoints."""

from __future__ import annotations

from django.test import Client as Browser
from django.urls import reverse

from accounts.models import Tier


def test_the_page_of_a_tier_takes_limits_of_endpoints(staff: Browser) -> None:
    form = {
        "name": "gold",
        "requests_per_minute": "",
        "requests_per_hour": "50",
        "tokens_per_minute": "",
        "tokens_per_hour": "",
        "endpoints-TOTAL_FORMS": "1",
        "endpoints-INITIAL_FORMS": "0",
        "endpoints-0-endpoint": "openai.chat",
        "endpoints-0-requests_per_minute": "4",
    }
    answer = staff.post(reverse("admin:accounts_tier_add"), form)
    assert answer.status_code == 302
    tier = Tier.objects.get(name="gold")
    assert (tier.requests_per_hour, tier.endpoints.get().requests_per_minute) == (50, 4)
    listed = staff.get(reverse("admin:accounts_tier_changelist")).content.decode()
    assert "no limit" in listed
    assert "not in force" not in staff.get(reverse("admin:accounts_tier_change", args=[tier.pk])).content.decode()
