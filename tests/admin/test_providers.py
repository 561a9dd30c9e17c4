"""A provider with its keys, models and prices, on one page."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from providers.models import Credential, Deployment, Health, Price, Provider, Route
from providers.operations import ModelSpec, add_provider
from tests.admin import demo
from tests.admin.modelhost import ModelHost

ADD = "/admin/providers/provider/add/"
KEY = "sk-canary-typed-into-the-form-77aa"


def form(**changes: Any) -> dict[str, Any]:
    """What the browser posts for a new provider with one key and one model."""
    settings = Provider()
    fields: dict[str, Any] = {
        "name": "House",
        "kind": "custom",
        "base_url": "https://llm.example.com/v1",
        "organization": "",
        "slug": "",
        "is_active": "on",
        "on_disconnect": "drain",
        "connect_timeout_ms": "5",
        "first_token_timeout_ms": "120",
        "between_chunks_timeout_ms": "60",
        "timeout_ms": "600",
        "retry_delay_ms": "1",
        "open_ms": "60",
        "monitoring_period_ms": "120",
        **{
            name: getattr(settings, name)
            for name in ("priority", "weight", "retry_attempts", "failure_threshold", "success_threshold")
        },
        "requests_per_minute": "",
        "tokens_per_minute": "",
        "credentials-TOTAL_FORMS": "1",
        "credentials-INITIAL_FORMS": "0",
        "credentials-0-label": "main",
        "credentials-0-new_key": KEY,
        "credentials-0-is_active": "on",
        "deployments-TOTAL_FORMS": "1",
        "deployments-INITIAL_FORMS": "0",
        "deployments-0-name": "house-large",
        "deployments-0-upstream_name": "",
        "deployments-0-type": "chat",
        "deployments-0-input_price": "0.5",
        "deployments-0-output_price": "1.5",
        "deployments-0-cached_price": "",
        "deployments-0-is_active": "on",
    }
    return {**fields, **changes}


def edit(provider: Provider, **changes: Any) -> dict[str, Any]:
    """What the browser posts from the page of a provider made of `form`."""
    key, model = provider.credentials.get(), provider.deployments.get()
    return form(
        **{
            "slug": provider.slug,
            "credentials-INITIAL_FORMS": "1",
            "credentials-0-id": key.pk,
            "credentials-0-provider": provider.pk,
            "credentials-0-new_key": "",
            "deployments-INITIAL_FORMS": "1",
            "deployments-0-id": model.pk,
            "deployments-0-provider": provider.pk,
            **changes,
        }
    )


def change_url(provider: Provider) -> str:
    return reverse("admin:providers_provider_change", args=[provider.pk])


@pytest.fixture
def house(staff: Browser) -> Provider:
    answer = staff.post(ADD, form())
    assert answer.status_code == 302, _errors(answer)
    return Provider.objects.get()


def _errors(answer: Any) -> Any:
    context = answer.context or {}
    return [context["adminform"].errors, *(inline.formset.errors for inline in context["inline_admin_formsets"])]


def _texts(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def test_one_page_makes_a_provider_with_key_model_and_price(house: Provider) -> None:
    assert house.slug == "house"
    assert house.connect_timeout_ms == 5_000
    assert house.timeout_ms == 600_000
    assert house.credentials.get().reveal().reveal() == KEY
    price = house.deployments.get().prices.get()
    assert (price.input_per_million, price.output_per_million) == (Decimal("0.5"), Decimal("1.5"))
    assert price.cached_input_per_million is None
    assert price.valid_from <= timezone.now()


def test_the_empty_form_holds_a_new_providers_settings(staff: Browser) -> None:
    shown = staff.get(ADD).context["adminform"].form
    assert {name: str(shown[name].value()) for name in ("connect_timeout_ms", "timeout_ms", "retry_delay_ms")} == {
        "connect_timeout_ms": "5",
        "timeout_ms": "600",
        "retry_delay_ms": "1",
    }


def test_a_new_chat_model_joins_the_default_route(staff: Browser) -> None:
    route = Route.objects.create(name="default")
    saved = staff.post(ADD, form(), follow=True)
    assert route.targets.get().deployment.name == "house-large"
    assert "Joined the route “default”, so that calls that name no model reach it: house-large." in _texts(saved)
    assert reverse("admin:providers_route_change", args=[route.pk]) in _texts(saved)


def test_one_without_a_price_does_not_and_is_said_not_to(staff: Browser) -> None:
    route = Route.objects.create(name="default")
    unpriced = {"deployments-0-input_price": "", "deployments-0-output_price": ""}
    saved = staff.post(ADD, form(**unpriced), follow=True)
    assert not route.targets.exists()
    assert "Not in the route “default”, for want of a price: house-large." in _texts(saved)


@pytest.mark.parametrize("page", ["provider", "model", "price"])
def test_it_joins_with_its_first_price_and_with_no_later_one(staff: Browser, page: str) -> None:
    """Who took it out of the route meant it."""
    route = Route.objects.create(name="default")
    staff.post(ADD, form(**{"deployments-0-input_price": "", "deployments-0-output_price": ""}))
    model = Deployment.objects.get()

    told = _texts(_price_entered(staff, page, model, "0.5"))
    assert route.targets.get().deployment == model
    assert "Joined the route “default”, so that calls that name no model reach it: house-large." in told

    route.targets.all().delete()
    told_again = _texts(_price_entered(staff, page, model, "0.6"))
    assert model.prices.count() == 2
    assert not route.targets.exists()
    assert "route “default”, so" not in told_again


def _price_entered(staff: Browser, page: str, model: Deployment, amount: str) -> Any:
    if page == "provider":
        prices = {"deployments-0-input_price": amount, "deployments-0-output_price": amount}
        return staff.post(change_url(model.provider), edit(model.provider, **prices), follow=True)
    prices = {"input_per_million": amount, "output_per_million": amount}
    if page == "model":
        inline = {f"prices-0-{name}": value for name, value in prices.items()}
        url = reverse("admin:providers_deployment_change", args=[model.pk])
        return staff.post(url, model_form(model, **inline), follow=True)
    body = {"deployment": model.pk, "currency": "USD", "tiers-TOTAL_FORMS": 0, "tiers-INITIAL_FORMS": 0}
    return staff.post(reverse("admin:providers_price_add"), body | prices, follow=True)


@pytest.mark.parametrize("organization", ["Größe", "org 7"])
def test_an_organization_that_no_header_can_hold_is_refused_at_its_field(staff: Browser, organization: str) -> None:
    """OpenAI's header would be wrong at every call."""
    answer = staff.post(ADD, form(kind="openai", base_url="", organization=organization))

    assert list(answer.context["adminform"].errors) == ["organization"]
    assert not Provider.objects.exists()


def test_a_key_is_never_rendered_back(staff: Browser, house: Provider) -> None:
    page = staff.get(change_url(house)).content.decode()
    assert "••••77aa" in page
    rejected = staff.post(change_url(house), edit(house, name="", **{"credentials-0-new_key": KEY})).content.decode()
    assert "errornote" in rejected
    saved = staff.post(change_url(house), edit(house, **{"credentials-0-new_key": KEY}), follow=True).content.decode()
    log = " ".join(f"{entry.object_repr} {entry.change_message}" for entry in LogEntry.objects.all())
    history = staff.get(reverse("admin:providers_provider_history", args=[house.pk])).content.decode()
    assert all(KEY not in text for text in (page, rejected, saved, log, history))


def test_a_key_that_was_typed_beside_a_mistake_is_asked_for_again(staff: Browser, house: Provider) -> None:
    again = "Paste the key again: it is not kept."
    mistake = {"deployments-0-input_price": "cheap"}

    added = staff.post(ADD, form(name="Second", **mistake)).content.decode()
    changed = staff.post(change_url(house), edit(house, **mistake, **{"credentials-0-new_key": KEY})).content.decode()
    without = staff.post(change_url(house), edit(house, **mistake)).content.decode()
    wrong = staff.post(ADD, form(name="Third", **{"credentials-0-new_key": "two words"})).content.decode()

    assert [text.count(again) for text in (added, changed, without, wrong)] == [1, 1, 0, 0]


def test_an_empty_new_key_keeps_the_stored_one(staff: Browser, house: Provider) -> None:
    staff.post(change_url(house), edit(house, **{"credentials-0-label": "renamed"}))
    key = Credential.objects.get()
    assert (key.label, key.reveal().reveal()) == ("renamed", KEY)


def test_a_new_key_replaces_the_stored_one(staff: Browser, house: Provider) -> None:
    staff.post(change_url(house), edit(house, **{"credentials-0-new_key": " sk-another-key-entirely-1234\n"}))
    key = Credential.objects.get()
    assert (key.hint, key.reveal().reveal()) == ("••••1234", "sk-another-key-entirely-1234")


@pytest.mark.parametrize("typed", ["two words", "sk-ключ-0123456789"])
def test_what_is_no_key_is_refused(staff: Browser, typed: str) -> None:
    answer = staff.post(ADD, form(**{"credentials-0-new_key": typed}))
    assert "does not look like a key" in answer.content.decode()
    assert not Provider.objects.exists()


def test_a_named_key_needs_its_key(staff: Browser) -> None:
    answer = staff.post(ADD, form(**{"credentials-0-label": "backup", "credentials-0-new_key": ""}))
    assert "Paste the key here." in answer.content.decode()


def test_a_changed_price_is_a_new_row_and_the_old_one_stays(staff: Browser, house: Provider) -> None:
    old = Price.objects.get()
    Price.objects.filter(pk=old.pk).update(reasoning_per_million=Decimal(7))

    staff.post(change_url(house), edit(house, **{"deployments-0-output_price": "2.25"}))

    new = Price.objects.exclude(pk=old.pk).get()
    old.refresh_from_db()
    assert old.output_per_million == Decimal("1.5")
    assert (new.input_per_million, new.output_per_million) == (Decimal("0.5"), Decimal("2.25"))
    assert new.reasoning_per_million == Decimal(7)
    assert new.valid_from > old.valid_from


def test_an_unchanged_price_makes_no_row(staff: Browser, house: Provider) -> None:
    staff.post(change_url(house), edit(house, name="House two", **{"deployments-0-upstream_name": "x"}))
    assert Provider.objects.get().name == "House two"
    assert Price.objects.count() == 1


def test_a_price_cannot_be_taken_back(staff: Browser, house: Provider) -> None:
    emptied = {"deployments-0-input_price": "", "deployments-0-output_price": ""}
    answer = staff.post(change_url(house), edit(house, **emptied))
    assert "cannot be taken back" in answer.content.decode()
    assert Price.objects.count() == 1


def test_a_model_that_has_been_priced_is_not_deleted_from_its_providers_page(staff: Browser, house: Provider) -> None:
    """Its calls name its prices."""
    answer = staff.post(change_url(house), edit(house, **{"deployments-0-DELETE": "on"}))

    assert "house-large has a price, and prices are history: switch it off instead." in answer.content.decode()
    assert Price.objects.count() == 1


def test_a_model_that_has_been_priced_says_on_its_own_page_why_it_cannot_be_deleted(
    staff: Browser, house: Provider
) -> None:
    model = house.deployments.get()
    delete = reverse("admin:providers_deployment_delete", args=[model.pk])

    page = staff.get(delete).content.decode()
    staff.post(delete, {"post": "yes"})

    assert "cannot be deleted" in page
    assert "Price of house/house-large since" in page
    assert "Switch it off instead" in page
    assert "permission" not in page
    assert Deployment.objects.filter(pk=model.pk).exists()


def test_a_model_that_never_had_a_price_may_be_deleted_there(staff: Browser) -> None:
    prices = {"deployments-0-input_price": "", "deployments-0-output_price": ""}
    staff.post(ADD, form(**prices))
    provider = Provider.objects.get()

    answer = staff.post(change_url(provider), edit(provider, **prices, **{"deployments-0-DELETE": "on"}))

    assert answer.status_code == 302, _errors(answer)
    assert not Deployment.objects.exists()


def test_half_a_price_is_refused(staff: Browser) -> None:
    answer = staff.post(ADD, form(**{"deployments-0-output_price": ""}))
    assert "Enter both prices" in answer.content.decode()
    assert not Provider.objects.exists()


def test_an_embedding_model_needs_no_output_price(staff: Browser) -> None:
    embedding = {"deployments-0-type": "embedding", "deployments-0-output_price": ""}
    staff.post(ADD, form(**embedding))
    assert Price.objects.get().output_per_million == 0


def test_a_model_without_price_is_said_plainly(staff: Browser) -> None:
    unpriced = {"deployments-0-input_price": "", "deployments-0-output_price": ""}
    saved = staff.post(ADD, form(**unpriced), follow=True)
    assert "no price: cost unknown" in _texts(saved)
    assert "no price: cost unknown" in staff.get("/admin/providers/deployment/").content.decode()


def test_a_kind_without_usual_address_needs_one(staff: Browser) -> None:
    answer = staff.post(ADD, form(base_url=""))
    assert "needs the address of its API" in answer.content.decode()


def test_a_provider_without_the_key_it_needs_is_warned_about(staff: Browser) -> None:
    none = {"credentials-TOTAL_FORMS": "0"}
    saved = staff.post(ADD, form(kind="openai", base_url="", **none), follow=True)
    assert "no active key" in _texts(saved)


def test_times_are_typed_in_seconds(staff: Browser, house: Provider) -> None:
    staff.post(change_url(house), edit(house, connect_timeout_ms="2.5"))
    assert Provider.objects.get().connect_timeout_ms == 2_500
    assert 'value="2.5"' in staff.get(change_url(house)).content.decode()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("99999", "At most 3600 seconds."),
        ("0.2", "At least 1 second."),
        ("NaN", "Enter a number of seconds"),
        ("1e999999", "Enter a number of seconds"),
    ],
)
def test_a_time_beyond_its_bound_is_refused_in_seconds(staff: Browser, house: Provider, typed: str, told: str) -> None:
    assert told in staff.post(change_url(house), edit(house, timeout_ms=typed)).content.decode()


def test_a_changed_priority_holds_on_the_default_route_too(staff: Browser) -> None:
    route = Route.objects.create(name="default")
    staff.post(ADD, form())
    provider = Provider.objects.get()
    staff.post(change_url(provider), edit(provider, priority="77"))
    assert route.targets.get().priority == 77


# --- the list and its buttons -------------------------------------------------------------------------------------


def test_the_list_tells_health_prices_and_what_is_missing(staff: Browser, filled: None) -> None:
    text = staff.get("/admin/providers/provider/").content.decode()
    for shown in ("Healthy", "Not answering", "Never checked", "$0.25 – $10", "1 without price"):
        assert shown in text


def _test(staff: Browser, provider: Provider) -> str:
    url = reverse("admin:providers_provider_test_connection", args=[provider.pk])
    return _texts(staff.post(url, follow=True))


def test_testing_a_connection_tells_what_happened_and_stores_it(
    staff: Browser, host: ModelHost, house: Provider
) -> None:
    Provider.objects.update(base_url=host.url)
    host.key = KEY

    assert "House: Connected in" in _test(staff, house)

    health = Health.objects.get()
    assert (health.status, health.provider_id) == ("healthy", house.pk)
    assert host.seen[0][0] == "/v1/models"
    assert "Healthy" in staff.get("/admin/providers/provider/").content.decode()


def test_a_refused_key_and_a_missing_model_are_told_in_plain_words(
    staff: Browser, host: ModelHost, house: Provider
) -> None:
    Provider.objects.update(base_url=host.url)
    host.models = ["something-else"]
    assert "Not offered there: house-large." in _test(staff, house)

    host.key = "sk-the-right-one"
    told = _test(staff, house)
    assert "refused the key" in told
    assert KEY not in told
    assert Health.objects.get().status == "unhealthy"


def test_nothing_is_tested_or_switched_by_following_a_link(staff: Browser, house: Provider) -> None:
    for name in ("test_connection", "deactivate_one"):
        assert staff.get(reverse(f"admin:providers_provider_{name}", args=[house.pk])).status_code == 405
    assert Provider.objects.get().is_active


def test_many_are_tested_and_switched_at_once(staff: Browser, filled: None) -> None:
    Provider.objects.exclude(slug="demo").update(base_url="http://127.0.0.1:9/v1")
    chosen = {"_selected_action": [str(row.pk) for row in Provider.objects.all()]}

    tested = staff.post("/admin/providers/provider/", {"action": "test_all", **chosen}, follow=True)
    assert _texts(tested).count("Nothing answers at that address") == 4
    assert "The demo provider always answers." in _texts(tested)
    assert demo.SECRET not in tested.content.decode()

    staff.post("/admin/providers/provider/", {"action": "deactivate", **chosen})
    assert not Provider.objects.filter(is_active=True).exists()
    staff.post("/admin/providers/provider/", {"action": "activate", **chosen})
    assert not Provider.objects.filter(is_active=False).exists()


def test_one_is_switched_by_its_row(staff: Browser, house: Provider) -> None:
    staff.post(reverse("admin:providers_provider_deactivate_one", args=[house.pk]))
    assert not Provider.objects.get().is_active
    staff.post(reverse("admin:providers_provider_activate_one", args=[house.pk]))
    assert Provider.objects.get().is_active


# --- who may change what ------------------------------------------------------------------------------------------


def _allowed(*permissions: str) -> Browser:
    """Logged in as one who may do so much."""
    user = User.objects.create_user("bob", password="a-long-password", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    browser = Browser()
    browser.force_login(user)
    return browser


def test_where_stored_keys_are_sent_takes_the_permission_for_keys(house: Provider, host: ModelHost) -> None:
    bob = _allowed("view_provider", "change_provider")
    moved = edit(house, kind="anthropic", base_url=host.url, organization="ours")

    assert "Its keys are sent there" in bob.get(change_url(house)).content.decode()
    assert bob.post(change_url(house), moved).status_code == 302

    changed = Provider.objects.get()
    assert (changed.kind, changed.base_url) == ("custom", "https://llm.example.com/v1")
    assert changed.organization == "ours"
    User.objects.get(username="bob").user_permissions.add(Permission.objects.get(codename="change_credential"))
    assert bob.post(change_url(house), moved).status_code == 302
    changed.refresh_from_db()
    assert (changed.kind, changed.base_url) == ("anthropic", host.url)


def test_what_a_model_costs_takes_the_permission_to_add_prices(house: Provider) -> None:
    bob = _allowed("change_provider", "view_deployment", "change_deployment", "add_deployment", "view_price")
    free = {"deployments-0-input_price": "0", "deployments-0-output_price": "0"}
    another = {"deployments-1-name": "free", "deployments-1-type": "chat", "deployments-TOTAL_FORMS": "2"}
    another |= {"deployments-1-input_price": "0", "deployments-1-output_price": "0"}
    model = house.deployments.get()
    given = {"prices-0-input_per_million": "0", "prices-0-output_per_million": "0"}

    assert "Only who may add prices" in bob.get(change_url(house)).content.decode()
    on_its_providers = bob.post(change_url(house), edit(house, **free, **another))
    on_its_own = bob.post(reverse("admin:providers_deployment_change", args=[model.pk]), model_form(model, **given))

    assert (on_its_providers.status_code, on_its_own.status_code) == (302, 302), _errors(on_its_own)
    assert set(Deployment.objects.values_list("name", flat=True)) == {"house-large", "free"}
    assert Price.objects.get().input_per_million == Decimal("0.5")


def test_nobodys_form_is_locked_by_anothers(staff: Browser, house: Provider) -> None:
    _allowed("change_provider", "view_deployment", "change_deployment").get(change_url(house))

    answer = staff.post(change_url(house), edit(house, kind="openai", **{"deployments-0-input_price": "2"}))

    assert answer.status_code == 302, _errors(answer)
    assert (Provider.objects.get().kind, Price.objects.latest("valid_from").input_per_million) == ("openai", Decimal(2))


# --- models and prices --------------------------------------------------------------------------------------------


def model_form(model: Deployment, **changes: Any) -> dict[str, Any]:
    return {
        "provider": model.provider_id,
        "name": model.name,
        "upstream_name": "",
        "type": model.type,
        "is_active": "on",
        "capabilities": ["tools"],
        "context_window": "",
        "max_output_tokens": "",
        "defaults": "{}",
        "prices-TOTAL_FORMS": "1",
        "prices-INITIAL_FORMS": "0",
        "prices-0-input_per_million": "",
        "prices-0-output_per_million": "",
        "prices-0-cached_input_per_million": "",
        "prices-0-valid_from_0": "",
        "prices-0-valid_from_1": "",
        "prices-0-per_request": "0",
        "prices-0-currency": "USD",
        "prices-2-TOTAL_FORMS": "0",
        "prices-2-INITIAL_FORMS": "0",
        **changes,
    }


def test_a_model_is_saved_without_touching_its_price(staff: Browser, house: Provider) -> None:
    model = house.deployments.get()
    url = reverse("admin:providers_deployment_change", args=[model.pk])
    answer = staff.post(url, model_form(model, context_window="1000"))
    assert answer.status_code == 302, _errors(answer)
    model.refresh_from_db()
    assert (model.context_window, model.capabilities, model.prices.count()) == (1_000, ["tools"], 1)


@pytest.mark.parametrize("written", ["", "null", "[]", " {} "])
def test_a_model_without_defaults_is_one_whose_field_is_empty(staff: Browser, house: Provider, written: str) -> None:
    model = house.deployments.get()
    Deployment.objects.update(defaults={"temperature": 0.7})
    answer = staff.post(
        reverse("admin:providers_deployment_change", args=[model.pk]), model_form(model, defaults=written)
    )
    assert answer.status_code == 302, _errors(answer)
    assert Deployment.objects.get().defaults == {}


@pytest.mark.parametrize("written", ["[1]", '"x"', "5", "0", "false", "{"])
def test_defaults_that_no_call_could_use_are_refused_at_their_field(
    staff: Browser, house: Provider, written: str
) -> None:
    model = house.deployments.get()
    answer = staff.post(
        reverse("admin:providers_deployment_change", args=[model.pk]), model_form(model, defaults=written)
    )
    errors = answer.context["adminform"].errors
    assert list(errors) == ["defaults"]
    assert '{"temperature": 0.7}' in errors["defaults"][0]
    assert Deployment.objects.get().defaults == {}


@pytest.mark.parametrize("written", ['{"stop": "\\u0000"}', '{"temperature": NaN}'])
def test_defaults_that_no_database_takes_are_refused_at_their_field(
    staff: Browser, house: Provider, written: str
) -> None:
    model = house.deployments.get()
    answer = staff.post(
        reverse("admin:providers_deployment_change", args=[model.pk]), model_form(model, defaults=written)
    )
    assert list(answer.context["adminform"].errors) == ["defaults"]


def test_defaults_that_no_call_would_hear_of_are_refused_where_they_are_written(
    staff: Browser, house: Provider
) -> None:
    """Older rows may hold some: their providers' pages and their own can be saved still."""
    model = house.deployments.get()
    url = reverse("admin:providers_deployment_change", args=[model.pk])

    answer = staff.post(url, model_form(model, defaults='{"topP": 0.5}'))
    assert "topP" in answer.context["adminform"].errors["defaults"][0]

    Deployment.objects.update(defaults={"topP": 0.5})
    answer = staff.post(url, model_form(model, defaults='{"topP": 0.5}', context_window="1000"))
    assert answer.status_code == 302, _errors(answer)
    assert staff.post(change_url(house), edit(house, name="Home")).status_code == 302
    assert Provider.objects.get().name == "Home"


def test_a_row_is_added_to_the_price_history(staff: Browser, house: Provider) -> None:
    model = house.deployments.get()
    url = reverse("admin:providers_deployment_change", args=[model.pk])
    new = {"prices-0-input_per_million": "9", "prices-0-output_per_million": "19", "prices-0-per_request": "0.01"}
    answer = staff.post(url, model_form(model, **new))
    assert answer.status_code == 302, _errors(answer)
    price = model.price_at(timezone.now())
    assert price is not None
    assert (price.input_per_million, price.per_request, model.prices.count()) == (Decimal(9), Decimal("0.01"), 2)
    page = staff.get(url).content.decode()
    assert "$9" in page
    assert "$0.50" in page


def test_prices_are_added_and_never_edited(staff: Browser, house: Provider) -> None:
    price = Price.objects.get()
    url = reverse("admin:providers_price_change", args=[price.pk])
    assert staff.post(url, {"input_per_million": "0"}).status_code == 403
    assert staff.post(reverse("admin:providers_price_delete", args=[price.pk]), {"post": "yes"}).status_code == 403
    fields = {"deployment": price.deployment_id, "input_per_million": "3", "output_per_million": "4", "currency": "USD"}
    fields |= {"tiers-TOTAL_FORMS": 0, "tiers-INITIAL_FORMS": 0}
    assert (
        staff.post("/admin/providers/price/add/", {**fields, "valid_from_0": "", "valid_from_1": ""}).status_code == 302
    )
    assert Price.objects.count() == 2


@pytest.fixture
def house_alone(staff: Browser) -> Provider:
    """The only real provider: the demo has left the route `default` to it, but for embeddings."""
    now = timezone.now()
    models = [ModelSpec(name="demo"), ModelSpec(name="demo-embedding", type=Deployment.Type.EMBEDDING)]
    add_provider(name="Demo", kind="demo", models=models, now=now)
    house = add_provider(
        name="House", kind="custom", base_url="https://llm.example.com", models=[ModelSpec(name="large")], now=now
    )
    route = Route.objects.create(name="default")
    for each in Deployment.objects.exclude(name="demo"):
        route.targets.create(deployment=each)
    return house


@pytest.mark.parametrize("way", ["delete", "deactivate-one"])
def test_who_takes_the_only_real_provider_away_is_told_that_the_default_route_is_empty(
    staff: Browser, house_alone: Provider, way: str
) -> None:
    assert "stands behind" not in staff.get("/admin/").content.decode()
    path = f"/admin/providers/provider/{house_alone.pk}/delete/"
    if way != "delete":
        path = reverse("admin:providers_provider_deactivate_one", args=[house_alone.pk])

    answer = staff.post(path, {"post": "yes"}, follow=True)

    told = "No active chat model stands behind the route “default”: calls that name no model fail."
    route_page = reverse("admin:providers_route_change", args=[Route.objects.get().pk])
    assert told in _texts(answer)
    assert route_page in _texts(answer)
    home = staff.get("/admin/").content.decode()
    assert told in home
    assert "Until then the demo answers" not in home


def test_a_route_whose_models_are_all_inactive_says_that_its_calls_fail(staff: Browser, house_alone: Provider) -> None:
    route = Route.objects.create(name="search")
    route.targets.create(deployment=house_alone.deployments.get())
    listed = reverse("admin:providers_route_changelist")
    assert "calls fail" not in staff.get(listed).content.decode()

    Provider.objects.filter(pk=house_alone.pk).update(is_active=False)

    assert "no active model: calls fail" in staff.get(listed).content.decode()
    assert "stands behind the route “search”" in staff.get("/admin/").content.decode()


@pytest.mark.parametrize(("typed", "kept"), [("$0.75", "0.75"), (" $ 2 ", "2"), ("0,75", None), ("1,250", None)])
def test_a_price_may_have_its_dollar_sign_and_a_comma_is_not_guessed(
    staff: Browser, typed: str, kept: str | None
) -> None:
    answer = staff.post(ADD, form(**{"deployments-0-input_price": typed}))

    if kept is None:
        assert "Write digits, with a point" in answer.content.decode()
    else:
        assert Provider.objects.get().deployments.get().prices.get().input_per_million == Decimal(kept)
