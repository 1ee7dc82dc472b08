"""A web server that alerts are sent to, as a chat or an alerting service would be."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.alerts.append(json.loads(body))
        self.server.answering.wait(30)
        status = self.server.answers.pop(0) if self.server.answers else 200
        with suppress(ConnectionError):  # whoever asked may have died
            self.send_response(status)
            if status == 302:
                self.send_header("Location", self.server.url)
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class Webhook(ThreadingHTTPServer):
    """Takes alerts, on a free port.

    :ivar alerts: what it got.
    :ivar answers: the statuses of the next answers; then 200.
    :ivar answering: whether it answers at all.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.alerts: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.answering = threading.Event()
        self.answering.set()

    @property
    def url(self) -> str:
        """Where it listens, with a secret."""
        return f"http://127.0.0.1:{self.server_address[1]}/hooks/secret"

    def told(self) -> list[tuple[str, str]]:
        """Which event of which schedule it got."""
        return [(alert["event"], alert["schedule"]) for alert in self.alerts]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """One that answers as long as the block runs."""
    server = Webhook()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="webhook")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
