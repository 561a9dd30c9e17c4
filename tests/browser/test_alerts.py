"""Alerts and reports in a real browser: the pages, and the e-mails as mail programs show them."""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, Request, expect

from alerts.models import ReportSchedule
from tests.admin import demo
from tests.alerts import demo as alerts_demo
from tests.alerts.receivers import MailReceiver
from tests.browser.screenshots import WIDTHS

_FITS = """() => {
    const page = document.querySelector("iframe").contentDocument.documentElement;
    return page.scrollHeight > 1000 && page.scrollHeight - page.clientHeight <= 2;
}"""


@pytest.fixture
def busy(transactional_db: None) -> None:
    now = timezone.now()
    demo.fill(now=now, calls=400)
    alerts_demo.fill(now=now)


def test_making_a_channel_and_testing_it(page: Page, live_server: Any, settings: Any) -> None:
    with MailReceiver() as mail:
        settings.MAIL_SERVER = mail.server
        page.goto(f"{live_server.url}/admin/alerts/channel/")
        expect(page.get_by_text("Nobody is told anything yet")).to_be_visible()
        page.goto(f"{live_server.url}/admin/alerts/channel/add/")
        page.fill("#id_name", "On-call")
        page.fill("#id_address", "oncall@example.com")
        page.get_by_role("button", name="Save", exact=True).click()
        page.locator("#result_list tr", has_text="On-call").get_by_role("link", name="Test").first.click()

        expect(page.get_by_text("On-call: Accepted for oncall@example.com.")).to_be_visible()
        assert len(mail.mails) == 1


def test_acknowledging_an_incident(page: Page, live_server: Any, busy: None) -> None:
    page.goto(f"{live_server.url}/admin/alerts/incident/")
    page.get_by_role("link", name="Most calls fail").click()
    page.get_by_role("link", name="Acknowledge").click()

    expect(page.get_by_text("There will be no reminders.")).to_be_visible()
    expect(page.get_by_text("by admin").first).to_be_visible()


def test_a_report_is_previewed_with_its_chart(page: Page, live_server: Any, busy: None) -> None:
    report = ReportSchedule.objects.get(name="AI costs")
    page.goto(f"{live_server.url}/admin/alerts/reportschedule/{report.pk}/page/")
    mail = page.frame_locator("iframe")

    expect(mail.get_by_role("heading", name="AI costs")).to_be_visible()
    expect(mail.get_by_role("img", name="Cost by the day")).to_be_visible()
    for x, y in WIDTHS.values():  # all of it is seen, and nothing scrolls inside
        page.set_viewport_size({"width": x, "height": y})
        page.wait_for_function(_FITS)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_email_fits_and_loads_nothing(browser: Browser, busy: None, width: str) -> None:
    x, y = WIDTHS[width]
    for name, message in alerts_demo.mails(now=timezone.now()).items():
        asked: list[str] = []
        page = browser.new_page(viewport={"width": x, "height": y})
        page.on("request", partial(_note, asked))
        html = message.html
        for image in message.images:
            html = html.replace(f"cid:{image.name}", f"data:image/png;base64,{base64.b64encode(image.png).decode()}")
        page.set_content(html)
        page.wait_for_function("Array.from(document.images).every((image) => image.complete)")

        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name
        assert page.evaluate("Array.from(document.images).every((image) => image.naturalWidth > 0)"), name
        assert [url for url in asked if not url.startswith("data:")] == [], name
        page.close()


def _note(asked: list[str], request: Request) -> None:
    asked.append(request.url)
