"""Telling a web server of something, as JSON: several attempts within a minute, and no redirection is followed."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from nephew.errors import Undelivered
from nephew.version import __version__

#: How long (seconds) a server may be silent at each step, and the pauses between the attempts.
SILENCE = 5.0
PAUSES = (1.0, 3.0)
#: Answers beside 5xx that may be different next time: too slow, in conflict, too early, too many.
BUSY = (408, 409, 425, 429)


def deliver(url: str, message: Mapping[str, Any], stopping: threading.Event) -> None:
    """POST a message, up to three times.

    :param stopping: once it is set, there is no next attempt.
    :raises Undelivered: when none succeeded.
    """
    for pause in (*PAUSES, None):
        try:
            return _post(url, message)
        except Undelivered as error:
            if error.final or pause is None or stopping.wait(pause):
                raise


def shown(url: str) -> str:
    """A URL as it may be shown: what follows the host is often a secret."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}/…"


class _Staying(HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its body."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(url: str, message: Mapping[str, Any]) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": f"nephew/{__version__}"}
    request = Request(url, json.dumps(message).encode(), headers, method="POST")
    try:
        build_opener(_Staying).open(request, timeout=SILENCE).close()
    except HTTPError as error:
        error.close()
        final = error.code < 500 and error.code not in BUSY
        raise Undelivered(f"expected {shown(url)} to take a message, got status {error.code}", final) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Undelivered(f"expected {shown(url)} to take a message, got {reason!r}") from None
