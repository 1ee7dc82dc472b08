"""A small HTTP server with a few files, slow enough to watch."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

CHUNK_BYTES = 1 << 17


class FileHandler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: FileServer

    def do_GET(self) -> None:
        self.server.count(self.path)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self.send_file(content)

    def send_file(self, content: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.send_slowly(content)

    def send_slowly(self, content: bytes) -> None:
        with suppress(ConnectionError):  # a client that hangs up has had enough
            for start in range(0, len(content), CHUNK_BYTES):
                self.wfile.write(content[start : start + CHUNK_BYTES])
                time.sleep(self.server.pause)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: whoever watches sees the downloads, not the requests."""


class FileServer(ThreadingHTTPServer):
    """Serves what is in `files`, by path, on a free port.

    :ivar requests: how often each path was asked for.
    :ivar pause: seconds to wait after each chunk of 128 KiB.
    """

    daemon_threads = True

    def __init__(self, handler: type[FileHandler] = FileHandler) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.files: dict[str, bytes] = {}
        self.pause = 0.0
        self.requests: Counter[str] = Counter()
        self._counting = threading.Lock()

    @property
    def url(self) -> str:
        """The server's own address, without a slash at its end."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, path: str) -> None:
        """Note a request."""
        with self._counting:
            self.requests[path] += 1


Server = TypeVar("Server", bound=FileServer)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """The server, answering as long as the block runs."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="files")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
