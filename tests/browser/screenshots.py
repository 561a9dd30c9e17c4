"""Pictures of the admin, filled and empty, and of the e-mails, on a desk and on a phone.

`python -m tests.browser.screenshots FOLDER [PAGE …]`; the page `readme` is the README's picture, in docs/images.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.test.testcases import LiveServerThread
from django.utils import timezone
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

WIDTHS = {"desk": (1440, 900), "phone": (390, 844)}
PASSWORD = "a-long-password"
ROOT = Path(__file__).parents[2]
README_PICTURE = ROOT / "docs/images/home.png"


def main(folder: Path, wanted: list[str]) -> None:
    from django.contrib.auth.models import User

    from tests.admin import demo
    from tests.alerts import demo as alerts_demo

    folder.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0)
    User.objects.create_superuser("admin", "admin@example.com", PASSWORD)
    with served() as address, sync_playwright() as playwright:
        browser = launch(playwright)
        if not wanted:
            _shoot(browser, address, folder, {"empty-home": ""})
        demo.fill(now=timezone.now())
        alerts_demo.fill(now=timezone.now())
        _change_something()
        _shoot(
            browser, address, folder, {name: path for name, path in _pages().items() if not wanted or name in wanted}
        )
        _shoot_mails(browser, folder, wanted)
        if "readme" in wanted:
            _shoot_readme(browser, address)
        browser.close()


def chromium() -> str:
    """Where the browser is; "" where there is none (`deploy/chromium.sh`)."""
    asked = ["sh", str(ROOT / "deploy/chromium.sh")]
    return subprocess.run(asked, capture_output=True, check=False, text=True).stdout.strip()


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--headless"])


def log_in(page: Page, address: str, password: str = PASSWORD) -> None:
    page.goto(f"{address}/admin/login/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", password)
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{address}/admin/")


@contextmanager
def served() -> Iterator[str]:
    """The admin on a free port, its static files with it."""
    settings.ALLOWED_HOSTS = ["*"]
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    if server.error is not None:
        raise server.error
    yield f"http://127.0.0.1:{server.port}"
    server.terminate()


def _change_something() -> None:
    """So that the audit trail has something to tell."""
    from accounts.acting import commanding
    from accounts.models import Tier

    with commanding("bootstrap"):
        tier = Tier.objects.get(name="standard")
        tier.requests_per_minute = 120
        tier.save()


def _pages() -> dict[str, str]:
    from django.contrib.auth.models import User

    from accounts.models import ApiKey, AuditEntry, Client, Tier
    from alerts.models import Channel, Delivery, Incident, ReportSchedule, Rule
    from providers.models import Deployment, Price, Provider, Route
    from usage.models import Budget, UsageRecord

    provider = Provider.objects.get(slug="openai")
    model = Deployment.objects.get(provider=provider, name="gpt-5")
    price = Price.objects.filter(deployment=model).latest("valid_from")
    call = UsageRecord.objects.filter(status="ok", deployment="gpt-5").latest("id")
    budget = Budget.objects.earliest("created_at")
    client = Client.objects.get(name="mobile-app")
    return {
        "home": "",
        "providers": "providers/provider/",
        "provider-new": "providers/provider/add/",
        "provider": f"providers/provider/{provider.pk}/change/",
        "models": "providers/deployment/",
        "model": f"providers/deployment/{model.pk}/change/",
        "prices": "providers/price/",
        "price-new": "providers/price/add/",
        "price": f"providers/price/{price.pk}/change/",
        "routes": "providers/route/",
        "route": f"providers/route/{Route.objects.get().pk}/change/",
        "route-new": "providers/route/add/",
        "model-new": "providers/deployment/add/",
        "compare": "providers/price/compare/",
        "rates": "providers/exchangerate/",
        "rate-new": "providers/exchangerate/add/",
        "collections": "vectors/vectorcollection/",
        "where": "where-would-a-call-go/",
        "try": "try-a-model/",
        "clients": "accounts/client/",
        "client-new": "accounts/client/add/",
        "client": f"accounts/client/{client.pk}/change/",
        "client-delete": f"accounts/client/{client.pk}/delete/",
        "client-history": f"accounts/client/{client.pk}/history/",
        "keys": "accounts/apikey/",
        "key-new": "accounts/apikey/add/",
        "key": f"accounts/apikey/{ApiKey.objects.latest('id').pk}/change/",
        "tiers": "accounts/tier/",
        "tier": f"accounts/tier/{Tier.objects.get(name='standard').pk}/change/",
        "calls": "usage/usagerecord/",
        "call": f"usage/usagerecord/{call.pk}/change/",
        "in-flight": "usage/hold/",
        "repricings": "usage/repricing/",
        "repricing-new": f"usage/repricing/add/?price={price.pk}",
        "budgets": "usage/budget/",
        "budget-new": "usage/budget/add/",
        "budget": f"usage/budget/{budget.pk}/change/",
        "budget-raise": f"usage/budget/{budget.pk}/raise-period/",
        "books": "usage/proof/",
        "incidents": "alerts/incident/",
        "incident": f"alerts/incident/{Incident.objects.get(state='open').pk}/change/",
        "rules": "alerts/rule/",
        "rule-new": "alerts/rule/add/",
        "rule": f"alerts/rule/{Rule.objects.get(name='Most calls fail').pk}/change/",
        "channels": "alerts/channel/",
        "channel-new": "alerts/channel/add/",
        "channel": f"alerts/channel/{Channel.objects.get(name='Pager').pk}/change/",
        "reports": "alerts/reportschedule/",
        "report-new": "alerts/reportschedule/add/",
        "report": f"alerts/reportschedule/{ReportSchedule.objects.get(name='AI costs').pk}/change/",
        "report-preview": f"alerts/reportschedule/{ReportSchedule.objects.get(name='AI costs').pk}/page/",
        "deliveries": "alerts/delivery/",
        "delivery": f"alerts/delivery/{Delivery.objects.latest('id').pk}/change/",
        "users": "auth/user/",
        "user-new": "auth/user/add/",
        "user": f"auth/user/{User.objects.get(username='admin').pk}/change/",
        "groups": "auth/group/",
        "group-new": "auth/group/add/",
        "audit": "accounts/auditentry/",
        "audit-entry": f"accounts/auditentry/{AuditEntry.objects.latest('id').pk}/change/",
        "password": "password_change/",
        "section": "alerts/",
    }


def _shoot(browser: Browser, address: str, folder: Path, pages: dict[str, str]) -> None:
    for width, (x, y) in WIDTHS.items():
        page = browser.new_page(viewport={"width": x, "height": y})
        page.on("console", lambda message: _complain(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: _complain(str(error)))
        page.on("request", lambda request: _must_be_local(request.url, address))
        log_in(page, address)
        for name, path in pages.items():
            page.goto(f"{address}/admin/{path}")
            page.wait_for_load_state("networkidle")
            page.screenshot(path=folder / f"{name}-{width}.png", full_page=True)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if wide > 0:
                _complain(f"{name} on a {width}: {wide} px too wide")
        page.close()


def _shoot_readme(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1090})
    log_in(page, address)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=README_PICTURE)
    page.close()


def _shoot_mails(browser: Browser, folder: Path, wanted: list[str]) -> None:
    """Every e-mail as a mail program would show it, its inline images in their places."""
    from tests.alerts import demo as alerts_demo

    for name, message in alerts_demo.mails(now=timezone.now()).items():
        html = message.html
        for image in message.images:
            html = html.replace(f"cid:{image.name}", f"data:image/png;base64,{base64.b64encode(image.png).decode()}")
        for width, (x, y) in WIDTHS.items():
            if wanted and f"mail-{name}" not in wanted:
                continue
            page = browser.new_page(viewport={"width": x, "height": y}, device_scale_factor=2)
            page.on("request", lambda request: _must_be_local(request.url, "about:"))
            page.set_content(html)
            page.screenshot(path=folder / f"mail-{name}-{width}.png", full_page=True)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if wide > 0:
                _complain(f"mail-{name} on a {width}: {wide} px too wide")
            page.close()


def _must_be_local(url: str, address: str) -> None:
    if not url.startswith((address, "data:", "blob:")):
        _complain(f"loaded from another host: {url}")


def _complain(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # playwright's loop lives in this thread, and so does the ORM
    django.setup()
    main(Path(sys.argv[1]), sys.argv[2:])
