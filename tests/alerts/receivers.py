"""Real servers that messages go to: an SMTP server (aiosmtpd) and a webhook, each with what it received."""

from __future__ import annotations

import asyncio
import http.server
import json
import logging
import ssl
import threading
import time
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from aiplatform.servers import MailServer
from core.vault import Secret
from tests.servers import free_port

logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd's: it tells of every line


class MailReceiver:
    """Accepts everything, unless `answer` says otherwise; `held`: it does not answer until that is set.

    `thinks_s`: how long it takes for each recipient; `reads_s`: for a whole message; `quits_s`: to take leave.
    `takes_any_address`: also those beyond ASCII. With `security` ("tls" or "ssl"), by `certificate`, it asks who comes.
    """

    def __init__(self, *, takes_any_address: bool = True, security: str = "", certificate: Path | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.answer = "250 OK"
        self.answer_to_sender = "250 OK"
        self.answers_to_recipients: dict[str, str] = {}
        self.answer_to_quit = "221 Bye"
        self.thinks_s = 0.0
        self.reads_s = 0.0
        self.quits_s = 0.0
        self.signed_in: list[tuple[bytes, bytes]] = []
        self.held: threading.Event | None = None
        self.asked = threading.Event()
        self._security = security
        known: dict[str, Any] = {}
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            known = {"authenticator": self._authenticate, "auth_require_tls": False}
            known |= {"ssl_context": context} if security == "ssl" else {"tls_context": context}
        self._controller = Controller(
            self, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=takes_any_address, **known
        )

    @property
    def server(self) -> MailServer:
        return MailServer(
            host="127.0.0.1", port=self._controller.port, user="", password=Secret(""), security=self._security
        )

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._controller.port}"

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answer_to_sender

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        await asyncio.sleep(self.thinks_s)
        answer = self.answers_to_recipients.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.asked.set()
        if self.held is not None:
            await asyncio.to_thread(self.held.wait, 30)
        await asyncio.sleep(self.reads_s)
        if self.answer.startswith("250"):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self.recipients.append(list(envelope.rcpt_tos))
            self.mails.append(mail)
        return self.answer

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        await asyncio.sleep(self.quits_s)
        return self.answer_to_quit

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, told: Any) -> AuthResult:
        self.signed_in.append((told.login, told.password))
        return AuthResult(success=True)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.held is not None:
            self.held.set()
        self._controller.stop()


@dataclass
class Post:
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class WebhookReceiver:
    """Answers with `status` and `answer`, `encoding` as it says, to whatever is posted, after `thinks_s`."""

    status: int = 200
    encoding: str = "identity"
    thinks_s: float = 0.0
    answer: str = ""
    posts: list[Post] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> Self:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.posts.append(Post(self.path, headers, body))
                time.sleep(receiver.thinks_s)
                self.send_response(receiver.status)
                self.send_header("Content-Encoding", receiver.encoding)
                self.end_headers()
                self.wfile.write(receiver.answer.encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
