"""Celery's app, to which every job belongs: who defines one imports it, so none goes to a broker that is not ours.

It is loaded with the first module of jobs: a web worker that has served no page has none.
"""

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

TRANSPORT_ALIASES["files"] = "core.job_files:Transport"  # of `CELERY_BROKER_URL`
app = Celery("aiplatform")
app.config_from_object("django.conf:settings", namespace="CELERY")
