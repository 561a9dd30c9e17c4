"""How circuits stand, for pages and alerts: by this process's gateway, else as web processes tell; and their resets."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

from providers.models import Provider
from providers.resilience.reports import REPORT_LASTS_S, Report, Seen, together

REPORTS_KEY = "aip:circuits:reports"
_FILE = "circuits-"
_LIMIT_S = 0.5
Reports = list[dict[UUID, Seen]]

_followed: list[Callable[[], Reports]] = []


def follow(source: Callable[[], Reports]) -> None:
    """This process has a gateway, which knows what all processes have seen."""
    _followed.append(source)


def unfollow(source: Callable[[], Reports]) -> None:
    _followed.remove(source)


def standing(deployment_ids: Iterable[UUID]) -> dict[UUID, Seen]:
    """How each deployment that was called of late stands, by all processes together."""
    reports = _followed[-1]() if _followed else _told()
    found = {key: [report[key] for report in reports if key in report] for key in deployment_ids}
    return {key: together(seen) for key, seen in found.items() if seen}


def keep(report: Report) -> None:
    """Where there is no Redis: what this process has seen, for the background worker beside it."""
    file = settings.STATE_DIR / f"{_FILE}{os.getpid()}.json"
    new = file.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(report))
    new.replace(file)
    _forget_the_dead()


def reset(providers: Iterable[Provider], *, now: datetime) -> None:
    """Close the providers' circuits and use all their keys again, in every process, with its next look at what has
    changed.
    """
    Provider.objects.filter(pk__in=[provider.pk for provider in providers]).update(circuits_reset_at=now)


def _told() -> Reports:
    """What web processes say; nothing where Redis does not answer."""
    if not settings.REDIS_URL:
        return _kept()
    redis = Redis.from_url(settings.REDIS_URL, socket_timeout=_LIMIT_S, socket_connect_timeout=_LIMIT_S)
    try:
        found = redis.hgetall(REPORTS_KEY)
    except RedisError:
        return []
    finally:
        redis.close()
    return _fresh(found.values())


def _kept() -> Reports:
    return _fresh(filter(None, map(_content, settings.STATE_DIR.glob(f"{_FILE}*.json"))))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:  # it has just been forgotten
        return b""


def _forget_the_dead() -> None:
    """By their age: a process of that number may be another container's, or a later one. Who lives reports anew."""
    for file in settings.STATE_DIR.glob(f"{_FILE}*"):
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < time.time() - REPORT_LASTS_S:
                file.unlink()


def _fresh(contents: Iterable[bytes | str]) -> Reports:
    reports = [msgspec.json.decode(content, type=Report) for content in contents]
    return [report.seen for report in reports if report.told_at > time.time() - REPORT_LASTS_S]
