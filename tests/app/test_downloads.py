"""Downloads from a real server: what arrives, what is refused, what is kept."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.config import settings
from app.database import db
from app.demo.files import serving
from app.models import Download, now
from app.queue import huey
from tasks.downloads import (
    DownloadRefused,
    Fetched,
    ServerBusy,
    download,
    expire_downloads,
    file_name,
    same_url,
)
from tests.app.awkward import AwkwardServer

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def server() -> Iterator[AwkwardServer]:
    with serving(AwkwardServer()) as server:
        server.files["/file.bin"] = CONTENT
        yield server


def kept_files() -> list[Path]:
    folder = settings.data_dir / "downloads"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_file_arrives_whole(server: AwkwardServer):
    fetched = download.call_local(f"{server.url}/file.bin")

    assert Path(fetched["path"]).read_bytes() == CONTENT
    assert fetched["size"] == len(CONTENT)
    assert fetched["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert [str(path) for path in kept_files()] == [fetched["path"]]


def test_an_empty_file_is_a_file(server: AwkwardServer):
    server.files["/empty"] = b""

    fetched = download.call_local(f"{server.url}/empty")

    assert Path(fetched["path"]).read_bytes() == b""


def test_what_was_downloaded_is_not_fetched_again(server: AwkwardServer):
    first = download.call_local(f"{server.url}/file.bin")
    second = download.call_local(f"{server.url}/file.bin#a-fragment-is-no-other-file")

    assert second == first
    assert server.requests["/file.bin"] == 1
    assert Download.select().count() == 1


def test_a_file_that_was_deleted_is_fetched_again(server: AwkwardServer):
    first = download.call_local(f"{server.url}/file.bin")
    Path(first["path"]).unlink()
    server.files["/file.bin"] = b"a newer one"

    second = download.call_local(f"{server.url}/file.bin")

    assert Path(second["path"]).read_bytes() == b"a newer one"
    assert Download.get().sha256 == second["sha256"] == hashlib.sha256(b"a newer one").hexdigest()


def test_the_right_checksum_is_accepted_in_any_case(server: AwkwardServer):
    checksum = hashlib.sha256(CONTENT).hexdigest().upper()

    assert download.call_local(f"{server.url}/file.bin", sha256=checksum)["size"] == len(CONTENT)


def test_a_wrong_checksum_is_refused_and_nothing_kept(server: AwkwardServer):
    with pytest.raises(DownloadRefused, match=r"expected the SHA-256 of .* to be 00, got "):
        download.call_local(f"{server.url}/file.bin", sha256="00")

    assert kept_files() == []
    assert Download.select().count() == 0


def test_a_file_whose_checksum_is_another_than_asked_for_is_fetched_again(server: AwkwardServer):
    download.call_local(f"{server.url}/file.bin")
    server.files["/file.bin"] = b"a newer one"

    fetched = download.call_local(f"{server.url}/file.bin", sha256=hashlib.sha256(b"a newer one").hexdigest())

    assert Path(fetched["path"]).read_bytes() == b"a newer one"


def test_a_file_that_says_it_is_too_large_is_not_even_begun(server: AwkwardServer):
    server.files["/large"] = bytes(settings.download_max_bytes + 1)

    with pytest.raises(DownloadRefused, match=r"to have at most 1,000,000 bytes .* got 1,000,001 or more"):
        download.call_local(f"{server.url}/large")

    assert kept_files() == []


def test_a_file_that_hides_its_size_is_cut_off_at_the_limit(server: AwkwardServer):
    server.files["/large"] = bytes(2 * settings.download_max_bytes)
    server.announces_size = False

    with pytest.raises(DownloadRefused, match="to have at most 1,000,000 bytes"):
        download.call_local(f"{server.url}/large")

    assert kept_files() == []


def test_a_file_of_unknown_size_arrives_whole(server: AwkwardServer):
    server.announces_size = False

    fetched = download.call_local(f"{server.url}/file.bin")

    assert Path(fetched["path"]).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url",
    ["ftp://host/file", "file:///etc/passwd", "/etc/passwd", "http://", "https:///x", "", "javascript:1"],
)
def test_only_http_and_https_are_downloaded(url: str):
    with pytest.raises(DownloadRefused, match="expected url to be http://… or https://…, got "):
        download.call_local(url)

    with pytest.raises(DownloadRefused):
        same_url(url)


def test_what_cannot_be_downloaded_is_refused_before_anything_is_queued():
    with pytest.raises(DownloadRefused, match="got 'ftp://host/file'"):
        download("ftp://host/file")

    assert len(huey) == 0


def test_a_second_call_for_a_waiting_download_is_given_the_first_ones_handle():
    first = download("http://host/file")
    second = download("http://host/file#fragment")
    other = download("http://host/other")

    assert [first.duplicate, second.duplicate, other.duplicate] == [False, True, False]
    assert second.id == first.id != other.id
    assert len(huey) == 2


def test_a_redirect_is_followed(server: AwkwardServer):
    server.redirects["/moved"] = "/file.bin"

    fetched = download.call_local(f"{server.url}/moved")

    assert Path(fetched["path"]).read_bytes() == CONTENT


def test_a_redirect_leads_to_no_other_scheme(server: AwkwardServer):
    server.redirects["/moved"] = "file:///etc/passwd"

    with pytest.raises(httpx.UnsupportedProtocol):
        download.call_local(f"{server.url}/moved")

    assert kept_files() == []


def test_what_is_not_there_is_refused(server: AwkwardServer):
    with pytest.raises(DownloadRefused, match="/missing to answer 200, got 404 Not Found"):
        download.call_local(f"{server.url}/missing")

    assert kept_files() == []


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_server_is_asked_again_later(server: AwkwardServer, status: int):
    server.failures["/file.bin"] = status

    with pytest.raises(ServerBusy, match=f"got {status}"):
        download.call_local(f"{server.url}/file.bin")


def test_a_connection_that_breaks_off_leaves_nothing(server: AwkwardServer):
    server.breaks_off_after = 100_000

    with pytest.raises(httpx.TransportError):
        download.call_local(f"{server.url}/file.bin")

    assert kept_files() == []


@pytest.mark.parametrize(
    "url, ending",
    [
        ("http://host/film.mp4", ".mp4"),
        ("http://host/FILM.MP4?x=.exe", ".mp4"),
        ("http://host/", ""),
        ("http://host/archive.tar.gz", ".gz"),
        ("http://host/a.%2e%2e%2fetc", ""),
        ("http://host/..", ""),
        ("http://host/a.b%00c", ""),
        ("http://host/a.toolongforanending", ""),
        ("http://host/.hidden", ""),
    ],
)
def test_a_name_is_the_urls_hash_and_a_plain_ending(url: str, ending: str):
    assert file_name(url, "0123") == f"0123{ending}"


def test_two_threads_that_run_the_same_download_fetch_it_once(server: AwkwardServer):
    server.pause = 0.05
    together = threading.Barrier(2)

    def fetch() -> dict[str, object]:
        with db.connection_context():
            together.wait(timeout=10)
            return download.call_local(f"{server.url}/file.bin")

    with ThreadPoolExecutor(2) as threads:
        first, second = (call.result() for call in [threads.submit(fetch), threads.submit(fetch)])

    assert first == second
    assert server.requests["/file.bin"] == 1


# -- expiry ------------------------------------------------------------------------------------------
def grow_old(fetched: Fetched) -> None:
    day_ago = now() - dt.timedelta(seconds=settings.download_ttl + 1)
    Download.update(created_at=day_ago).where(Download.path == fetched["path"]).execute()


def test_an_old_download_expires_with_its_file_and_is_fetched_anew(server: AwkwardServer):
    server.files["/young"] = b"young"
    old, young = (download.call_local(f"{server.url}/{name}") for name in ("file.bin", "young"))
    grow_old(old)

    assert [expire_downloads.call_local(), expire_downloads.call_local()] == [1, 0]
    assert [str(path) for path in kept_files()] == [young["path"]]
    assert download.call_local(f"{server.url}/file.bin") == old
    assert server.requests["/file.bin"] == 2


def test_what_somebody_is_fetching_does_not_expire(server: AwkwardServer):
    fetched = download.call_local(f"{server.url}/file.bin")
    grow_old(fetched)

    with huey.lock(f"download:{Download.get().url_hash}"):
        assert expire_downloads.call_local() == 0

    assert [str(path) for path in kept_files()] == [fetched["path"]]
