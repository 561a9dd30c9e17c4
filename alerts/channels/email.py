"""E-mail over SMTP, through the server that EMAIL_URL names."""

from __future__ import annotations

import email.policy
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.utils import formatdate, parseaddr

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from alerts.channels.base import Channel, DeliveryError, Message, Target
from core.vault import Secret

TIMEOUT_S = 20.0  # of each step until it is signed in to: a dead server is left soon
# Of all steps together: well below the outbox's claim, after which another sends the message too. The steps of the
# message itself may use all that is left of it (RFC 5321, 4.5.3.2 grants ten minutes to the last one): who hangs up
# before that answer sends again what the server may have accepted.
MOST_S = 180.0
MOST_RECIPIENTS = 50
_WELCOME = 220
_TOO_LARGE = 552  # RFC 1870: also when the sender is named, as the size is told with it


def recipients(address: str) -> list[str]:
    """The addresses in a text that parts them by commas, semicolons or lines."""
    parts = address.replace(";", ",").replace("\n", ",").split(",")
    return [part.strip() for part in parts if part.strip()]


def compose(message: Message, *, sender: str, to: list[str]) -> EmailMessage:
    """Text and HTML as alternatives, the images beside the HTML, the files attached.

    The Message-ID is the delivery's, so that a mail program shows a message once that had to be sent twice.
    """
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["Subject"] = " ".join(message.subject.split())
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = formatdate(localtime=False)
    mail["Message-ID"] = f"<{message.id}@{parseaddr(sender)[1].rpartition('@')[2] or 'localhost'}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    html = mail.get_payload()[1]  # type: ignore[index]  # it is a list since there are alternatives
    assert isinstance(html, EmailMessage)
    for image in message.images:
        html.add_related(
            image.png, "image", "png", cid=f"<{image.name}>", disposition="inline", filename=f"{image.name}.png"
        )
    for file in message.files:
        main, sub = file.mime_type.split("/")
        mail.add_attachment(file.content, maintype=main, subtype=sub, filename=file.name)
    return mail


def _validate(address: str, _secret: Secret) -> None:
    found = recipients(address)
    if not found:
        raise ValidationError({"address": "Name at least one e-mail address."})
    if len(found) > MOST_RECIPIENTS:
        raise ValidationError({"address": f"At most {MOST_RECIPIENTS} addresses: use a mailing list."})
    for each in found:
        try:
            validate_email(each)
        except ValidationError as error:
            raise ValidationError({"address": f"{each} is not an e-mail address."}) from error


def _send(target: Target, message: Message) -> str:
    to = recipients(target.address)
    is_connected = False
    try:
        with _connected() as server:
            is_connected = True
            assert server.sock is not None
            server.sock.settimeout(MOST_S)
            refused = server.send_message(compose(message, sender=settings.EMAIL_FROM, to=to), to_addrs=to)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise DeliveryError(f"Refused for all: {_said(error.recipients)}", retryable=min(codes) < 500) from error
    except smtplib.SMTPResponseException as error:
        # What is wrong with us (a password, a sender's name) is mended in the settings, after which it should still go.
        is_of_message = isinstance(error, smtplib.SMTPDataError) or error.smtp_code == _TOO_LARGE
        retryable = error.smtp_code < 500 or not is_of_message
        raise DeliveryError(
            f"The mail server said {_one(error.smtp_code, error.smtp_error)}", retryable=retryable
        ) from error
    except smtplib.SMTPNotSupportedError as error:
        # Of STARTTLS, of signing in or of our own address, which are settings; else of a recipient's address.
        retryable = not is_connected or not parseaddr(settings.EMAIL_FROM)[1].isascii()
        raise DeliveryError(f"The mail server cannot do what is needed: {error}", retryable=retryable) from error
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryError(
            f"The mail server could not be reached ({type(error).__name__}).", retryable=True
        ) from error
    if refused:
        text = f"Accepted for {len(to) - len(refused)} of {len(to)}; refused: {_said(refused)}"
        if later := [address for address, (code, _) in refused.items() if code < 500]:
            raise DeliveryError(text, retryable=True, rest=", ".join(later))
        return text
    return f"Accepted for {', '.join(to)}."


@contextmanager
def _connected() -> Iterator[smtplib.SMTP]:
    server = settings.MAIL_SERVER
    if server is None:
        raise DeliveryError("No mail server is set: give its address as EMAIL_URL.", retryable=True)
    deadline = time.monotonic() + MOST_S
    if server.security == "ssl":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(timeout=TIMEOUT_S, context=ssl.create_default_context())
    else:
        smtp = smtplib.SMTP(timeout=TIMEOUT_S)
    # Whose certificate it must be: `connect` does not say so, and the constructor connects where it is told.
    smtp._host = server.host  # type: ignore[attr-defined]  # noqa: SLF001
    with _bounded(smtp, deadline), _left(smtp):
        code, said = smtp.connect(server.host, server.port)  # within the bound: a greeting may have lines without end
        if code != _WELCOME:  # the constructor alone would look
            raise smtplib.SMTPConnectError(code, said)
        if server.security == "tls":
            smtp.starttls(context=ssl.create_default_context())
        if server.user:
            smtp.login(server.user, server.password.reveal())
        yield smtp


@contextmanager
def _left(smtp: smtplib.SMTP) -> Iterator[None]:
    """Takes leave in the end. What the server has accepted it has, however it answers to QUIT, or not at all."""
    try:
        yield
    finally:
        with suppress(smtplib.SMTPException, OSError):
            if smtp.sock is not None:
                smtp.sock.settimeout(TIMEOUT_S)
            smtp.quit()
        smtp.close()


@contextmanager
def _bounded(smtp: smtplib.SMTP, deadline: float) -> Iterator[None]:
    """Hangs up at the deadline: smtplib bounds single steps alone, and there is one for each recipient."""
    is_late = threading.Event()

    def hang_up() -> None:
        is_late.set()
        if (connection := smtp.sock) is not None:
            with suppress(OSError):  # the other side was faster
                connection.shutdown(socket.SHUT_RDWR)

    watch = threading.Timer(max(deadline - time.monotonic(), 0), hang_up)
    watch.start()
    try:
        yield
    except smtplib.SMTPServerDisconnected:
        if is_late.is_set():
            raise DeliveryError(f"The mail server took longer than {MOST_S:.0f} seconds.", retryable=True) from None
        raise
    finally:
        watch.cancel()


def _said(refused: dict[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{address}: {_one(code, text)}" for address, (code, text) in refused.items())


def _one(code: int, text: bytes | str) -> str:
    return f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"


CHANNEL = Channel(
    label="E-mail",
    validate=_validate,
    send=_send,
)
