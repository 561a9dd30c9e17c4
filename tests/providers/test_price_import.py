"""Published prices: found, compared, taken over, and those set by hand left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from providers import price_import, published
from providers.models import Deployment, Price, Provider, Route
from providers.operations import Rates, set_price
from providers.price_import import Comparison, Verdict

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OPENAI, ANTHROPIC = "https://api.openai.com/v1", "https://api.anthropic.com"
GOOGLE, DEEPSEEK = "https://generativelanguage.googleapis.com", "https://api.deepseek.com/v1"


def _rates(into: str, out: str, **given: Any) -> Rates:
    return Rates(input_per_million=Decimal(into), output_per_million=Decimal(out), **given)


# --- the list -----------------------------------------------------------------------------------------------------


def _found(address: str, model: str) -> Rates:
    found = published.find(address=address, model=model, now=NOW)
    assert found is not None
    return found.rates


def test_a_plain_price() -> None:
    wanted = _rates("0.75", "4.50", cached_input_per_million=Decimal("0.075"))
    assert _found(OPENAI, "gpt-5.4-mini") == wanted
    assert _found(OPENAI, "gpt-5.4-mini").source.startswith("genai-prices ")


def test_an_alias_with_a_date_is_the_same_model() -> None:
    assert _found(ANTHROPIC, "claude-haiku-4-5-20251001") == _found(ANTHROPIC, "claude-haiku-4-5")


def test_cache_writes_for_five_minutes_and_an_hour() -> None:
    rates = _found(ANTHROPIC, "claude-haiku-4-5")
    assert (rates.cache_write_5m_per_million, rates.cache_write_1h_per_million) == (Decimal("1.25"), Decimal(2))


def test_long_prompts_have_a_tier_with_every_rate() -> None:
    (tier,) = _found(GOOGLE, "gemini-2.5-pro").tiers
    rates = (tier.input_per_million, tier.cached_input_per_million, tier.output_per_million)
    assert (tier.above_tokens, rates) == (200_000, (Decimal("2.50"), Decimal("0.25"), Decimal(15)))


def test_several_tiers_have_each_their_own_rates() -> None:
    tiers = _found("https://openrouter.ai/api/v1", "qwen/qwen3-coder-flash").tiers
    assert [(tier.above_tokens, tier.input_per_million) for tier in tiers] == [
        (32_000, Decimal("0.325")),
        (128_000, Decimal("0.52")),
    ]


def test_a_price_of_a_thousand_requests_is_that_of_one_a_thousand_times_over() -> None:
    assert _found("https://api.perplexity.ai", "sonar").per_request == Decimal("0.012")


def test_pictures_that_come_out_have_a_price_of_their_own() -> None:
    assert _found(GOOGLE, "gemini-2.5-flash-image").image_output_per_million == Decimal(30)


def test_another_price_is_told_before_it_comes_and_not_after() -> None:
    def is_told(day: int) -> bool:
        found = published.find(address=ANTHROPIC, model="claude-opus-4-6", now=datetime(2026, 3, day, tzinfo=UTC))
        assert found is not None
        return "Another price comes on 13 Mar 2026." in found.notes

    assert [is_told(12), is_told(13)] == [True, False]


def test_of_a_price_that_depends_on_the_clock_the_dearest_counts() -> None:
    found = published.find(address=DEEPSEEK, model="deepseek-v4-flash", now=NOW)
    assert found is not None
    assert found.rates.input_per_million == Decimal("0.30")
    assert "time of day" in found.notes[0]


def test_an_answer_may_be_free() -> None:
    assert _found(OPENAI, "text-embedding-3-small") == _rates("0.02", "0")


@pytest.mark.parametrize(
    ("address", "model"),
    [
        ("http://localhost:11434", "llama3"),
        ("https://eu.api.openai.com/v1", "gpt-5.4-mini"),  # another address, another price
        ("https://llm.example.com/https://api.openai.com/v1", "gpt-5.4-mini"),
        (OPENAI, "nobody-knows-it"),
        (OPENAI, "tts-1"),  # by the character
    ],
)
def test_what_is_not_published_per_token_is_not_found(address: str, model: str) -> None:
    assert published.find(address=address, model=model, now=NOW) is None


# --- beside ours --------------------------------------------------------------------------------------------------


@pytest.fixture
def models(db: None) -> dict[str, Deployment]:
    """A model for each verdict."""
    provider = Provider.objects.create(name="OpenAI", slug="openai", kind="openai")
    names = {"new": "gpt-5.4", "changed": "gpt-5.4-mini", "hand": "gpt-5.4-nano", "same": "gpt-4.1", "own": "own-model"}
    rows = {key: Deployment.objects.create(provider=provider, name=name) for key, name in names.items()}
    since = NOW - timedelta(days=9)
    set_price(rows["changed"], _rates("1", "4.50", source="genai-prices 0.1"), now=since)
    set_price(rows["hand"], _rates("1", "2"), now=since)
    set_price(rows["same"], _found(OPENAI, "gpt-4.1"), now=since)
    Deployment.objects.create(provider=provider, name="gpt-4o", is_active=False)
    return rows


def _compared() -> dict[str, Comparison]:
    return {each.deployment.name: each for each in price_import.compare(now=NOW)}


def test_each_model_is_compared_with_what_is_published(models: dict[str, Deployment]) -> None:
    assert {name: each.verdict for name, each in _compared().items()} == {
        "gpt-5.4": Verdict.NEW,
        "gpt-5.4-mini": Verdict.CHANGED,
        "gpt-5.4-nano": Verdict.BY_HAND,
        "gpt-4.1": Verdict.SAME,
        "own-model": Verdict.UNKNOWN,
    }


def test_any_number_of_models_takes_the_same_number_of_queries(
    models: dict[str, Deployment], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(3):  # models, prices, their tiers
        price_import.compare(now=NOW)


def test_the_price_in_force_is_compared_and_not_one_to_come(models: dict[str, Deployment]) -> None:
    set_price(models["same"], _rates("9", "9"), now=NOW + timedelta(days=1))
    assert _compared()["gpt-4.1"].verdict == Verdict.SAME


def test_a_difference_names_old_and_new(models: dict[str, Deployment]) -> None:
    changes = [(each.label, each.old, each.new) for each in _compared()["gpt-5.4-mini"].changes]
    assert changes == [("Input", "$1", "$0.75"), ("Cached input", "–", "$0.075")]
    new = [(each.label, each.old, each.new) for each in _compared()["gpt-5.4"].changes]
    assert ("Input, over 272,000", "–", "$5") in new
    assert "Per call" not in [label for label, *_ in new]


def test_what_is_taken_over_is_a_new_row_from_now_on(models: dict[str, Deployment]) -> None:
    found = _compared()
    assert price_import.adopt([found["gpt-5.4-mini"], found["gpt-4.1"]], now=NOW) == 1
    old, new = models["changed"].prices.order_by("valid_from")
    assert (old.input_per_million, new.input_per_million, new.valid_from) == (1, Decimal("0.75"), NOW)
    assert _compared()["gpt-5.4-mini"].verdict == Verdict.SAME


def test_a_model_whose_first_price_is_taken_over_joins_the_default_route(models: dict[str, Deployment]) -> None:
    route = Route.objects.create(name="default")

    price_import.adopt(_compared().values(), now=NOW)

    assert [target.deployment for target in route.targets.all()] == [models["new"]]


# --- the command --------------------------------------------------------------------------------------------------


def _importprices(*options: str) -> str:
    out = StringIO()
    call_command("importprices", *options, stdout=out)
    return out.getvalue()


def test_without_apply_it_shows_and_changes_nothing(models: dict[str, Deployment]) -> None:
    before = Price.objects.count()
    shown = _importprices()
    assert "openai/gpt-5.4-mini (openai/gpt-5.4-mini): changed, since 11 Nov 2026" in shown
    assert "$1 -> $0.75" in shown
    assert "2 to change; nothing was." in shown
    assert Price.objects.count() == before


def test_apply_leaves_what_was_set_by_hand(models: dict[str, Deployment]) -> None:
    assert "2 changed" in _importprices("--apply")
    assert models["hand"].prices.count() == 1
    assert "0 to change" in _importprices()


def test_replace_does_not(models: dict[str, Deployment]) -> None:
    assert "3 changed" in _importprices("--apply", "--replace")
    assert models["hand"].prices.count() == 2
