"""Where people reach the platform, by the environment: the links of messages lead there."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from aiplatform import env

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - where a server may listen, and no browser can go
_NOT_IN_A_LINK = frozenset("*?#@")


def find(origins: Sequence[str], *, host: str, port: int) -> tuple[str, bool]:
    """(the address, whether it is a guess): PUBLIC_URL, else the first of the trusted `origins` that is one address.

    Else it is guessed by where the web server listens; of one that listens everywhere only this machine's own name for
    itself is certain. Raises SystemExit.
    """
    said = _said() or next(filter(_leads_somewhere, origins), "")
    return said or _guessed(host, port), not said


def _said() -> str:
    form = "the one address at which people open the platform, such as https://ai.example.com"
    url = env.address("PUBLIC_URL", env.text("PUBLIC_URL").rstrip("/"), env.WEB_SCHEMES, form)
    if url and not _leads_somewhere(url):
        raise SystemExit(f"PUBLIC_URL must be {form}.")
    return url


def _leads_somewhere(url: str) -> bool:
    return urlsplit(url).hostname not in _EVERYWHERE and not _NOT_IN_A_LINK & set(url)


def _guessed(host: str, port: int) -> str:
    name = "localhost" if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"
