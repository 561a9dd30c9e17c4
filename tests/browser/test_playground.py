"""What somebody who is no engineer does to try a model: asks, reads, asks on, stops, begins anew."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import note_foreign
from tests.browser.screenshots import log_in
from tests.journeys import operating
from tests.product import Product
from tests.servers import wait_until
from tests.upstream import Fault, Upstream

HTML = "<img src=x onerror=alert(1)><b>bold</b>"


@pytest.fixture
def trying(browser: Browser, product: Product) -> Iterator[Page]:
    """The page, opened by the administrator. A script's error or alert, or anything of another host, fails the test."""
    troubles: list[str] = []
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.on("request", lambda request: note_foreign(request.url, product.base_url, troubles))
    log_in(page, product.base_url, product.admin_password)
    page.get_by_role("link", name="Try a model").first.click()
    yield page
    context.close()
    assert troubles == []


def say(page: Page, text: str, *, model: str = "") -> Locator:
    """The turn in which it is answered."""
    if model:
        page.get_by_label("Model", exact=True).select_option(model)
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()
    return page.get_by_role("article").last


def fact(turn: Locator, name: str) -> Locator:
    return turn.locator("dl > div", has_text=name).locator("dd")


def aborting_provider(product: Product, upstream: Upstream, *, name: str) -> None:
    """One whose calls end with their callers, of one model of the same name."""
    endpoint = upstream.openai_url
    operating.add_provider(product, name=name, kind="custom", endpoint=endpoint, model=name, wait=False)
    product.sql("UPDATE providers_provider SET on_disconnect = 'abort' WHERE slug = %s", name)
    # The last change: once it is in force, so are the others.
    operating.add_provider(product, name=f"after-{name}", kind="custom", endpoint=endpoint, model=f"after-{name}")


def request_id(turn: Locator) -> str:
    return (turn.get_by_role("link", name="See the call").get_attribute("href") or "").partition("?q=")[2]


def test_a_message_its_answer_and_its_figures(trying: Page, product: Product) -> None:
    turn = say(trying, "Are you there?", model="demo")  # others may have taken the route `default` for theirs

    expect(turn.locator(".aip-answer")).to_contain_text("This is the demo provider, and it needs no key.")
    expect(fact(turn, "Answered by")).to_have_text("demo / demo")
    row = operating.row(product, request_id(turn))
    assert (row["status"], row["client"], row["end_user"], row["surface"]) == ("ok", "admin", "admin", "spec_d.session")
    expect(fact(turn, "Tokens in")).to_have_text(str(row["input_tokens"]))
    expect(fact(turn, "Tokens out")).to_have_text(str(row["output_tokens"]))
    expect(fact(turn, "Cost")).to_have_text(f"${operating.usd(row['cost_pico']).normalize():f}")
    turn.get_by_role("link", name="See the call").click()
    expect(trying.locator("#result_list tbody tr")).to_have_count(1)
    expect(trying.locator("#result_list tbody tr")).to_contain_text("demo")


def test_the_conversation_goes_on_until_it_is_begun_anew(trying: Page, upstream: Upstream) -> None:
    trying.get_by_label("Instructions").fill("Be brief.")
    trying.get_by_label("Temperature").fill("0.5")
    trying.get_by_label("Longest answer").fill("60")
    first = say(trying, "One?", model="up-chat")
    expect(fact(first, "Cost")).to_be_visible()
    answer = first.locator(".aip-answer").text_content()

    trying.get_by_label("Message").fill("Two?")
    trying.get_by_label("Message").press("Enter")
    expect(fact(trying.get_by_role("article").last, "Cost")).to_be_visible()
    trying.get_by_role("button", name="Start anew").click()
    expect(trying.get_by_role("article")).to_have_count(0)
    expect(fact(say(trying, "Three?"), "Cost")).to_be_visible()

    system, one = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "One?"}
    two, three = ({"role": "user", "content": text} for text in ("Two?", "Three?"))
    sent = [line.body for line in upstream.dispatches("up-chat")]
    assert [body["messages"] for body in sent] == [
        [system, one],
        [system, one, {"role": "assistant", "content": answer}, two],
        [system, three],
    ]
    assert {(body["temperature"], body["max_tokens"], body["stream"]) for body in sent} == {(0.5, 60, True)}


def test_who_writes_before_the_page_is_whole_is_not_interrupted(trying: Page) -> None:
    expect(trying.get_by_label("Message")).to_be_focused()
    written = "document.querySelector('[name=system_prompt]').focus()"
    trying.add_init_script(f"window.addEventListener('DOMContentLoaded', () => {written}, {{ capture: true }})")

    trying.reload()

    expect(trying.get_by_label("Instructions")).to_be_focused()


def test_html_in_an_answer_is_text(trying: Page, upstream: Upstream) -> None:
    upstream.on("up-chat", Fault(status=400, message=HTML))
    refused = say(trying, HTML, model="up-chat")
    expect(refused.get_by_role("alert")).to_contain_text(HTML)

    told = say(trying, f"Say: {HTML}", model="demo")

    expect(told.locator(".aip-answer")).to_contain_text("demo provider")
    expect(told.locator(".aip-said")).to_contain_text(HTML)
    expect(trying.locator("#aip-turns :is(img, b)")).to_have_count(0)


def test_what_goes_wrong_is_said_in_words_and_can_be_sent_again(trying: Page, product: Product) -> None:
    operating.add_provider(product, name="vanishing", kind="custom", endpoint="http://127.0.0.1:9/v1", model="vanishes")
    trying.reload()
    turn = say(trying, "Is anybody there?", model="vanishes")

    alert = turn.get_by_role("alert")
    expect(alert).to_contain_text("vanishing")
    expect(alert.get_by_role("link", name="See how the providers are doing")).to_be_visible()
    expect(trying.get_by_label("Message")).to_have_value("Is anybody there?")
    assert operating.row(product, request_id(turn))["status"] == "error"


def test_who_stops_an_answer_keeps_what_has_come(trying: Page, product: Product, upstream: Upstream) -> None:
    aborting_provider(product, upstream, name="endless")
    upstream.on("endless", Fault(words=2_000, chunk_s=0.05))
    trying.reload()
    turn = say(trying, "Go on and on", model="endless")
    expect(turn.locator(".aip-answer")).not_to_be_empty()

    trying.get_by_role("button", name="Stop").click()

    expect(turn.get_by_text("Stopped.")).to_be_visible()
    expect(trying.get_by_role("button", name="Send")).to_be_focused()
    expect(turn.locator(".aip-answer")).not_to_be_empty()
    assert operating.row(product, request_id(turn))["status"] == "cancelled"
    wait_until(lambda: operating.open_holds(product) == 0, what="the hold to be settled")


def test_the_same_as_code_does_the_same(trying: Page, product: Product, upstream: Upstream) -> None:
    trying.get_by_label("Model", exact=True).select_option("up-chat")
    trying.get_by_label("Message").fill("It's said")
    trying.get_by_text("The same as code").click()

    command = (trying.locator("#aip-code").text_content() or "").replace("YOUR_KEY", product.key)
    done = subprocess.run(["sh", "-c", f"{command} --silent"], capture_output=True, check=True)

    assert json.loads(done.stdout)["object"] == "chat.completion"
    (line,) = upstream.dispatches("up-chat")
    assert line.body["messages"] == [{"role": "user", "content": "It's said"}]


def test_a_model_that_is_gone_is_said_to_be_so_and_leads_on(trying: Page) -> None:
    trying.locator("#id_model").evaluate("select => { select.selectedOptions[0].value = 'gone-meanwhile'; }")

    alert = say(trying, "Hello").get_by_role("alert")

    expect(alert).to_contain_text("No model 'gone-meanwhile'. There is: ")
    expect(alert.get_by_role("link", name="Add a provider")).to_be_visible()


def test_a_page_that_has_grown_old_is_loaded_anew(trying: Page) -> None:
    trying.locator("[name=csrfmiddlewaretoken]").last.evaluate("(token) => { token.value = 'b'.repeat(64); }")

    say(trying, "Hello").get_by_role("link", name="Load this page anew").click()

    expect(fact(say(trying, "Hello", model="demo"), "Cost")).to_be_visible()


def test_who_has_been_signed_out_is_led_to_sign_in(trying: Page) -> None:
    trying.context.clear_cookies(name="sessionid")

    turn = say(trying, "Hello")

    expect(turn.get_by_role("alert")).to_contain_text("You are signed out.")
    expect(turn.get_by_role("link", name="Sign in")).to_be_visible()
