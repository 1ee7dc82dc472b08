"""A file server with the bad habits of real ones."""

from __future__ import annotations

from app.demo.files import FileHandler, FileServer


class AwkwardHandler(FileHandler):
    server: AwkwardServer

    def do_GET(self) -> None:
        if self.path in self.server.failures:
            self.send_error(self.server.failures[self.path])
        elif self.path in self.server.redirects:
            self.send_response(302)
            self.send_header("Location", self.server.redirects[self.path])
            self.end_headers()
        else:
            super().do_GET()

    def send_file(self, content: bytes) -> None:
        if self.server.announces_size:
            super().send_file(content)
        else:
            self.send_response(200)
            self.end_headers()
            self.send_slowly(content)

    def send_slowly(self, content: bytes) -> None:
        super().send_slowly(content[: self.server.breaks_off_after])


class AwkwardServer(FileServer):
    """A file server that fails on request.

    :ivar failures: the status to answer, by path.
    :ivar redirects: where to send the client, by path.
    :ivar announces_size: whether the size is told before the content.
    :ivar breaks_off_after: how many bytes of a file are sent, of those that were announced.
    """

    def __init__(self) -> None:
        super().__init__(AwkwardHandler)
        self.failures: dict[str, int] = {}
        self.redirects: dict[str, str] = {}
        self.announces_size = True
        self.breaks_off_after: int | None = None
