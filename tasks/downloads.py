"""Downloading files over HTTP: one download per URL, however often it is asked for."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO, TypedDict
from urllib.parse import unquote, urldefrag, urlsplit

import httpx

from app.config import settings
from app.files import replacing
from app.models import Download, now
from app.queue import huey
from nephew import LockNotAcquired
from nephew.locks import Lock
from tasks.running import report

CHUNK_BYTES = 1 << 16

#: How long a server may be silent.
TIMEOUT_SECONDS = 30

#: Answers beside 5xx that may be different next time.
BUSY = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)

#: The lock is renewed while it is held. After a killed worker, whoever waits this long outlives what it left.
LOCK_SECONDS, LOCK_WAIT_SECONDS = 15, 45


class DownloadRefused(ValueError):
    """The file cannot be had as it was asked for; asking again would not help."""


class ServerBusy(OSError):
    """The server cannot answer now; the download is tried again."""


class Fetched(TypedDict):
    """What a download job returns."""

    url: str
    path: str
    size: int
    sha256: str


def same_url(url: str, sha256: str | None = None) -> str:
    """The key under which calls for one file are one job.

    :raises DownloadRefused: when it is no URL that can be downloaded; nothing was queued.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DownloadRefused(f"expected url to be http://… or https://…, got {url!r}")
    return urldefrag(url).url


@huey.task(
    unique=same_url,
    retries=4,
    retry_delay=2,
    retry_backoff=2,
    retry_on=(httpx.TransportError, ServerBusy),
    no_retry_on=(httpx.UnsupportedProtocol,),
)
def download(url: str, sha256: str | None = None) -> Fetched:
    """Fetch a file, or return what an earlier download of the same URL left.

    :param sha256: the checksum that the file must have, in hexadecimal digits.
    """
    key = same_url(url)
    url_hash = hashlib.sha256(key.encode()).hexdigest()
    with _alone_with(url_hash, LOCK_WAIT_SECONDS):
        return _finished(url_hash, sha256) or _fetch(key, url_hash, sha256)


def _alone_with(url_hash: str, wait: float) -> Lock:
    return huey.lock(f"download:{url_hash}", ttl=LOCK_SECONDS, wait=wait)


def _finished(url_hash: str, sha256: str | None) -> Fetched | None:
    found = Download.get_or_none(Download.url_hash == url_hash)
    if found is None or not Path(found.path).is_file():
        return None
    if sha256 is not None and found.sha256 != sha256.lower():
        return None
    return {"url": found.url, "path": found.path, "size": found.size, "sha256": found.sha256}


def file_name(url: str, url_hash: str) -> str:
    """A name that is safe everywhere: the URL's hash, and its path's ending where that is a plain one."""
    ending = PurePosixPath(unquote(urlsplit(url).path)).suffix
    return url_hash + (ending.lower() if re.fullmatch(r"\.[A-Za-z0-9]{1,10}", ending) else "")


def _fetch(url: str, url_hash: str, sha256: str | None) -> Fetched:
    path = settings.data_dir / "downloads" / file_name(url, url_hash)
    with replacing(path) as file, _get(url) as response:
        size, checksum = _receive(response, file)
        if sha256 is not None and checksum != sha256.lower():
            raise DownloadRefused(f"expected the SHA-256 of {url} to be {sha256}, got {checksum}; nothing was kept")
    fetched: Fetched = {"url": url, "path": str(path), "size": size, "sha256": checksum}
    Download.insert(url_hash=url_hash, **fetched).on_conflict(
        conflict_target=[Download.url_hash],
        preserve=[Download.path, Download.size, Download.sha256, Download.created_at],
    ).execute()
    return fetched


def _get(url: str) -> AbstractContextManager[httpx.Response]:
    # Not compressed on the way, so that the length the server names is the file's.
    headers = {"Accept-Encoding": "identity"}
    return httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=TIMEOUT_SECONDS)


def _receive(response: httpx.Response, file: IO[bytes]) -> tuple[int, str]:
    """Copy the body to `file`; returns its size and checksum."""
    _check_status(response)
    announced = _announced_size(response)
    _check_size(announced, response.url)
    size, checksum = 0, hashlib.sha256()
    for chunk in response.iter_bytes(CHUNK_BYTES):
        size += len(chunk)
        _check_size(size, response.url)
        checksum.update(chunk)
        file.write(chunk)
        report(min(size / announced, 1.0) if announced else 0.0, f"{size:,} bytes")
    return size, checksum.hexdigest()


def _check_status(response: httpx.Response) -> None:
    if response.is_success:
        return
    message = f"expected {response.url} to answer 200, got {response.status_code} {response.reason_phrase}"
    if response.is_server_error or response.status_code in BUSY:
        raise ServerBusy(message)
    raise DownloadRefused(message)


def _announced_size(response: httpx.Response) -> int:
    """The size that the server names beforehand; 0 when it does not."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else 0


def _check_size(size: int, url: httpx.URL) -> None:
    if size > settings.download_max_bytes:
        raise DownloadRefused(
            f"expected {url} to have at most {settings.download_max_bytes:,} bytes (DOWNLOAD_MAX_BYTES), "
            f"got {size:,} or more; nothing was kept"
        )


@huey.task()
def expire_downloads() -> int:
    """Remove files that were downloaded longer ago than `DOWNLOAD_TTL`, and say how many.

    One that is asked for again is fetched anew.
    """
    oldest = now() - dt.timedelta(seconds=settings.download_ttl)
    expired = Download.select(Download.url_hash).where(Download.created_at < oldest)
    return sum(_expire(url_hash, oldest) for (url_hash,) in list(expired.tuples()))


def _expire(url_hash: str, oldest: dt.datetime) -> bool:
    try:
        with _alone_with(url_hash, wait=0):
            found = Download.get_or_none(Download.url_hash == url_hash, Download.created_at < oldest)
            if found is None:  # it was fetched anew meanwhile
                return False
            # The row goes last: a crash in between leaves something that the next run still finds.
            Path(found.path).unlink(missing_ok=True)
            return bool(found.delete_instance())
    except LockNotAcquired:  # somebody is fetching it
        return False
