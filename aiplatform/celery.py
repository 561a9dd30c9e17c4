"""Celery's worker and beat, with every periodic job in one table."""

import logging.config
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aiplatform.settings")  # first: the app looks for it as it is made

from billiard.process import current_process
from celery.schedules import crontab
from celery.signals import beat_embedded_init, setup_logging
from django.conf import settings

from aiplatform.supervisor import dying_with
from core.jobs import app

app.autodiscover_tasks()


@setup_logging.connect
def _log_as_the_rest_does(**_: Any) -> None:
    """Where somebody hears this signal, Celery leaves the loggers alone, which it would give handlers of its own."""
    logging.config.dictConfig(settings.LOGGING)


@beat_embedded_init.connect
def _end_with_the_worker(**_: Any) -> None:
    """One that is killed outright leaves its beat behind, which would ask for jobs for ever."""
    worker = current_process()._parent_pid  # type: ignore[attr-defined]  # noqa: SLF001 -- it may be dead by now
    if ask_kernel := dying_with(worker):
        ask_kernel()


# A job that waited longer than `expires` is dropped: the next one does its work.
app.conf.beat_schedule = {
    "prove the books": {"task": "usage.tasks.prove_books", "schedule": crontab(minute=7), "options": {"expires": 3500}},
    "forget idempotency keys": {
        "task": "usage.tasks.forget_idempotency_keys",
        "schedule": crontab(minute=27),
        "options": {"expires": 3500},
    },
    "keep the usage table's months": {
        "task": "usage.tasks.keep_months",
        "schedule": crontab(hour=3, minute=17),
        "options": {"expires": 23 * 3600},
    },
    "forget old changes": {
        "task": "accounts.tasks.forget_old_changes",
        "schedule": crontab(hour=3, minute=37),
        "options": {"expires": 23 * 3600},
    },
    "probe providers": {"task": "providers.tasks.probe_providers", "schedule": 60.0, "options": {"expires": 55}},
    "resume re-pricing": {"task": "usage.tasks.resume_repricings", "schedule": 60.0, "options": {"expires": 55}},
    "look at the alert rules": {"task": "alerts.tasks.evaluate_rules", "schedule": 60.0, "options": {"expires": 55}},
    "send what waits": {"task": "alerts.tasks.send_waiting", "schedule": 30.0, "options": {"expires": 25}},
    "send reports": {"task": "alerts.tasks.send_reports", "schedule": 60.0, "options": {"expires": 55}},
    "tidy the outbox": {
        "task": "alerts.tasks.tidy_outbox",
        "schedule": crontab(minute=29),
        "options": {"expires": 3500},
    },
    "look at certificates": {
        "task": "alerts.tasks.check_certificates",
        "schedule": crontab(hour="*/6", minute=43),
        "options": {"expires": 3600},
    },
}
