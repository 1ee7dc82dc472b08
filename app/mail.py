"""Handing in e-mail: to an SMTP server, or to a local maildir where none is configured."""

from __future__ import annotations

import mailbox
import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path

from app.config import Settings, SmtpServer

#: How long the server may take to answer.
TIMEOUT_SECONDS = 30

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def deliver(message: EmailMessage, settings: Settings) -> str:
    """Hand `message` in and say where.

    :raises OSError: when the server cannot be reached or refuses it (`smtplib.SMTPException` is one).
    """
    if settings.smtp is None:
        return store(message, settings.data_dir / "mail")
    send(message, settings.smtp)
    return f"{settings.smtp.host}:{settings.smtp.port}"


def store(message: EmailMessage, folder: Path) -> str:
    """Keep the message in the maildir at `folder` and return the path of its file."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    box = mailbox.Maildir(folder)
    key = box.add(message)
    return str(folder / "new" / key)


def send(message: EmailMessage, server: SmtpServer) -> None:
    """Send the message over SMTP: encrypted from the start, or from STARTTLS where it is offered."""
    context = ssl.create_default_context()
    with _connect(server, context) as smtp:
        smtp.ehlo()
        encrypted = server.tls
        if not encrypted and smtp.has_extn("starttls"):
            smtp.starttls(context=context)
            smtp.ehlo()
            encrypted = True
        if server.user is not None:
            _log_in(smtp, server, encrypted)
        smtp.send_message(message)


def _connect(server: SmtpServer, context: ssl.SSLContext) -> smtplib.SMTP:
    if server.tls:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_SECONDS, context=context)
    return smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)


def _log_in(smtp: smtplib.SMTP, server: SmtpServer, encrypted: bool) -> None:
    if not encrypted and server.host not in LOOPBACK:
        raise smtplib.SMTPNotSupportedError(
            f"expected {server.host}:{server.port} to offer STARTTLS, got none; "
            "the password was not sent in clear text (smtps:// encrypts from the start)"
        )
    smtp.login(server.user or "", server.password or "")
