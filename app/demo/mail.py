"""A small SMTP server that keeps what it receives."""

from __future__ import annotations

import email
import email.policy
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class MailServer:
    """The received messages, and where to hand them in."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.messages: list[EmailMessage] = []

    @property
    def url(self) -> str:
        """As `SMTP_URL` takes it."""
        return f"smtp://{self.host}:{self.port}"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Called by aiosmtpd for each message."""
        content = envelope.original_content or b""
        self.messages.append(email.message_from_bytes(content, policy=email.policy.default))
        return "250 OK"


@contextmanager
def receiving_mail(host: str = "127.0.0.1", **options: Any) -> Iterator[MailServer]:
    """A mail server on a free port, as long as the block runs; `options` go to aiosmtpd."""
    server = MailServer(host, _free_port(host))
    controller = Controller(server, hostname=host, port=server.port, **options)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
