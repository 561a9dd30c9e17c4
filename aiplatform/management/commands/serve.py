"""`manage.py serve`: all set-up, then every process of the platform, in the foreground (`make run`)."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

import structlog
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, connection, connections
from django.utils import timezone

from aiplatform import bootstrap, env, printing
from aiplatform.supervisor import (
    Child,
    StartError,
    Supervisor,
    alone_in,
    beat_command,
    check_certificate,
    check_port,
    local_url,
    web_command,
    worker_command,
)
from providers.models import Deployment

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Set up what is missing, then serve: the web server, and the worker with its schedule."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--only", choices=["setup", "web", "worker", "beat"], help="this part alone, as a container runs it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["only"]:
                self._serve_part(options["only"])
            else:
                with alone_in(settings.STATE_DIR):
                    self._serve_all()
        except StartError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            return

    def _serve_all(self) -> None:
        check_port(settings.HOST, settings.PORT)
        web = _web()
        made = _set_up()
        url = local_url(settings.HOST, settings.PORT)
        parts = [Child("The web server", web), Child("The worker", _worker())]
        if settings.REDIS_URL:
            parts.append(Child("The schedule", _beat()))
        Supervisor(parts, url=url).run(lambda: printing.say(_banner(url, made)))

    def _serve_part(self, part: str) -> None:
        """Becomes the part's own process, so that signals reach it."""
        if part == "setup":
            self.stdout.write(_set_up().shown_once())
            return
        if part == "web":
            _collect_static()
        command = {"web": _web, "worker": _worker, "beat": _beat}[part]()
        os.execv(command[0], command)  # noqa: S606  # our own command


def _set_up() -> bootstrap.Outcome:
    try:
        connection.ensure_connection()
    except Error as error:
        raise StartError(f"The database does not answer: {str(error).splitlines()[0]}") from None
    for name in env.meaningless():
        log.warning("this setting of a specification has no meaning here, and is ignored", name=name)
    call_command("migrate", verbosity=0, interactive=False)
    _collect_static()
    made = bootstrap.bootstrap(
        now=timezone.now(), demo=not settings.PRODUCTION, providers=bootstrap.providers_from_environment()
    )
    connections.close_all()
    return made


def _collect_static() -> None:
    call_command("collectstatic", verbosity=0, interactive=False)


def _web() -> list[str]:
    if settings.WEB_WORKERS > 1 and not settings.REDIS_URL:
        raise StartError(
            f"WEB_WORKERS={settings.WEB_WORKERS} needs REDIS_URL: several processes share their limits through Redis."
        )
    _check_other_ports()
    return web_command(host=settings.HOST, port=settings.PORT, workers=settings.WEB_WORKERS)


def _check_other_ports() -> None:
    """In production gRPC is a process of its own."""
    serves_grpc = settings.GRPC_PORT and not settings.PRODUCTION
    others = {"METRICS_PORT": settings.METRICS_PORT} | ({"GRPC_PORT": settings.GRPC_PORT} if serves_grpc else {})
    for name, port in others.items():
        if port == settings.PORT:
            raise StartError(f"PORT and {name} are both {port}: choose another {name}, for example {name}={port + 1}.")
    if settings.GRPC_TLS and serves_grpc:
        check_certificate(*settings.GRPC_TLS)


def _worker() -> list[str]:
    return worker_command(state_dir=settings.STATE_DIR, embedded=not settings.REDIS_URL)


def _beat() -> list[str]:
    return beat_command(state_dir=settings.STATE_DIR)


def _banner(url: str, made: bootstrap.Outcome) -> str:
    """What people need now, ending in a line to paste. A secret is shown only when it was just made."""
    # What is pasted elsewhere must mean this installation, also where the environment chose its folder.
    here = [f"STATE_DIR={settings.STATE_DIR}"] if "STATE_DIR" in os.environ else []
    manage = shlex.join(["env", *here, sys.executable, str(settings.BASE_DIR / "manage.py")])
    mint = f"{manage} mintkey --client {bootstrap.FIRST_CLIENT} --quiet"
    password = made.admin_password or f"as set before (lost? {manage} changepassword {bootstrap.ADMIN})"
    lines = [
        "",
        "AI Platform is ready. Ctrl-C stops it.",
        f"  Admin       {url}/admin/",
        f"  User        {bootstrap.ADMIN}",
        f"  Password    {password}",
        f"  Client key  {made.key or f'as made before (a new one: {mint})'}",
    ]
    if Deployment.objects.filter(is_active=True, provider__is_active=True).exists():
        lines += ["  Try it", f"    {_curl(url, made.key or f'$({mint})')}"]
    else:
        lines += [f"  No provider yet: add one at {url}/admin/providers/provider/add/"]
    connections.close_all()
    return "\n".join(lines)


def _curl(url: str, key: str) -> str:
    body = '{"model": "default", "messages": [{"role": "user", "content": "Hello"}]}'
    headers = f'-H "Authorization: Bearer {key}" -H "Content-Type: application/json"'
    return f"curl -sS {url}/v1/chat/completions {headers} -d '{body}'"
