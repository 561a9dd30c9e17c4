"""Whose browser session a request comes with, as Django says; and while its rows stay as they were, as it has said.

Asking Django takes two queries of its ORM and half a millisecond of CPU. What it found holds as long as the session's
row and the user's are the same, and the session has not run out. So both rows are read for each request, by one plain
query for all that wait at the same time: who has signed out, was deactivated or has a new password is seen at once.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.contrib.auth.middleware import get_user
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpRequest
from django.utils import timezone

_MOST = 1_000
Rows = tuple[Any, ...] | None


class _Found(NamedTuple):
    """`rows` were the same before and after Django looked; None where that is not known."""

    rows: Rows
    session: SessionBase
    user: Any


class Sessions:
    """What Django has found of the sessions that came lately. For one thread."""

    def __init__(self) -> None:
        self._found: dict[str | None, _Found] = {}
        self._rows: dict[tuple[str | None, Any], Rows] = {}

    def look_anew(self) -> None:
        """Those who come now may come after a change: what was read for the ones before does not hold for them."""
        self._rows.clear()

    def identify(self, request: HttpRequest) -> None:
        """Make the user of `request` known, which Django's middlewares have given a session and a user, both unread.

        It waits for the database. Raises django.db.Error.
        """
        key = request.session.session_key
        found = self._found.pop(key, None)
        rows = self._read(key, found.user.pk) if found else None
        if found is None or rows is None or rows != found.rows:
            found = _looked_up(request, rows)
        else:
            request.session, request.user = copy.copy(found.session), copy.copy(found.user)
        if found is not None:
            self._keep(key, found)

    def _read(self, key: str | None, user_id: Any) -> Rows:
        if (key, user_id) not in self._rows:
            self._rows[key, user_id] = _rows(key, user_id)
        return self._rows[key, user_id]

    def _keep(self, key: str | None, found: _Found) -> None:
        """The last to have come, and that only: a dictionary has its keys in the order in which they were put in."""
        while len(self._found) >= _MOST:
            del self._found[next(iter(self._found))]
        self._found[key] = found


def _looked_up(request: HttpRequest, rows: Rows) -> _Found | None:
    """In Django's way. `rows` are as they were just before. None: nobody has signed in, or it has to be saved first."""
    user, session = get_user(request), request.session
    if not user.is_authenticated or session.modified:
        return None
    same = rows if rows is not None and rows == _rows(session.session_key, user.pk) else None
    return _Found(same, copy.copy(session), copy.copy(user))


def _rows(session_key: str | None, user_id: Any) -> Rows:
    """All that Django decides by: what the session holds, and the user's row. None: there is no such session."""
    with connection.cursor() as cursor:
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        cursor.execute(_BOTH, [user_id, session_key, now])
        rows: Rows = cursor.fetchone()
        return rows


_USERS = get_user_model()._meta
_BOTH = (
    f"SELECT s.session_data, s.expire_date, u.* FROM {Session._meta.db_table} s "  # noqa: S608 - names of tables
    f"JOIN {_USERS.db_table} u ON u.{_USERS.pk.column} = %s WHERE s.session_key = %s AND s.expire_date > %s"
)
