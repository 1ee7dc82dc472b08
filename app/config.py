"""The application's settings: read once from the environment, validated whole, frozen.

The only module that reads the application's variables; those that begin with `NEPHEW_` belong to Nephew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, quote, unquote, urlsplit
from zoneinfo import ZoneInfo

from nephew.errors import ConfigError

T = TypeVar("T")

#: The folder that holds `app/`, `tasks/` and `periodic/`; relative paths in the settings start here.
PROJECT = Path(__file__).resolve().parent.parent

DATABASE_SCHEMES = ("sqlite", "postgresql", "postgres")
#: How the URL of a Redis begins; what follows is Nephew's to check.
REDIS = re.compile(r"(redis|valkey)s?(\+sentinel|\+cluster)?://|unix://")


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where e-mail is handed in.

    :ivar tls: encrypted from the first byte (`smtps://`); otherwise STARTTLS where the server offers it.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the application can be told from outside.

    :ivar database_url: the application's tables and, without Redis, its jobs.
    :ivar redis_url: where the jobs live instead, or None.
    :ivar queue_name: the name of the instance; applications that share a Redis need different ones.
    :ivar smtp: the mail server; None: e-mail is kept in a maildir under `data_dir`.
    :ivar data_dir: exports, downloads and the local maildir.
    :ivar export_ttl: how long an export is kept, in seconds.
    :ivar download_ttl: how long a downloaded file is given out again before it is fetched anew, in seconds.
    :ivar time_zone: the zone in which schedules and reminders tell the time.
    :ivar demo: registers the jobs and schedules of the demonstration as well.
    """

    database_url: str = field(default=f"sqlite:///{PROJECT / 'var' / 'todo.db'}", repr=False)
    redis_url: str | None = field(default=None, repr=False)
    queue_name: str = "todo"
    smtp: SmtpServer | None = None
    mail_from: str = "todo@localhost"
    data_dir: Path = PROJECT / "var"
    download_max_bytes: int = 1 << 30
    export_ttl: int = 7 * 86400
    download_ttl: int = 30 * 86400
    time_zone: str = "UTC"
    demo: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """The settings that `environ` describes; an empty variable counts as unset.

        :raises ConfigError: naming every variable that is unusable.
        """
        env = _Environment(environ)
        settings = cls(
            database_url=env.read("DATABASE_URL", _database_url, cls().database_url),
            redis_url=_redis_url(env),
            queue_name=env.given("QUEUE_NAME") or cls().queue_name,
            smtp=env.read("SMTP_URL", _smtp_server, None),
            mail_from=env.read("MAIL_FROM", _mail_address, cls().mail_from),
            data_dir=env.read("DATA_DIR", _folder, cls().data_dir),
            download_max_bytes=env.read("DOWNLOAD_MAX_BYTES", _positive, cls().download_max_bytes),
            export_ttl=env.read("EXPORT_TTL", _positive, cls().export_ttl),
            download_ttl=env.read("DOWNLOAD_TTL", _positive, cls().download_ttl),
            time_zone=env.read("TIME_ZONE", _time_zone, cls().time_zone),
            demo=env.read("APP_DEMO", _switch, False),
        )
        if env.problems:
            raise ConfigError("\n".join(env.problems))
        return settings


class _Environment:
    """Variables, and what is wrong with those that were read."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def given(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """What `parse` makes of the variable; its `ValueError` says what was expected instead."""
        given = self.given(name)
        if not given:
            return default
        try:
            return parse(given)
        except ValueError as error:
            self.problems.append(f"expected {name} to be {error}, got {_without_password(given)!r}")
            return default


def _without_password(text: str) -> str:
    text = re.sub(r"(://[^:/@]*:).*@", r"\1***@", text)
    return re.sub(r"(?i)(password=)[^&\s]*", r"\1***", text)


def _split(url: str) -> SplitResult:
    """A URL in its parts, its port checked."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("a URL with a port from 1 to 65535, if it has one") from None
    return parts


def _database_url(given: str) -> str:
    parts = _split(given)
    if parts.scheme not in DATABASE_SCHEMES:
        raise ValueError("sqlite:///file or postgresql://user@host/database")
    if parts.scheme != "sqlite":
        return given.replace("postgres://", "postgresql://", 1)
    path = unquote(parts.path[1:])
    if parts.netloc or not path or path == ":memory:" or parts.query:
        raise ValueError("sqlite:///file, a file without options that the consumer's processes can share")
    return f"sqlite:///{PROJECT / path}"


def _redis_url(env: _Environment) -> str | None:
    if env.given("REDIS_URL"):
        return env.read("REDIS_URL", _redis, None)
    port = env.read("REDIS_PORT", _port, 6379)
    host, password = env.given("REDIS_HOST"), env.given("REDIS_PASSWORD")
    if not host:
        for name in ("REDIS_PORT", "REDIS_PASSWORD"):
            if env.given(name):
                env.problems.append(f"expected REDIS_HOST to be set beside {name}, got nothing")
        return None
    login = f":{quote(password, safe='')}@" if password else ""
    return f"redis://{login}{host}:{port}"


def _redis(given: str) -> str:
    if not REDIS.match(given):
        raise ValueError(
            "redis://host:port, rediss://host:port (TLS), unix:///socket, redis+sentinel://host:port/service or "
            "redis+cluster://host:port"
        )
    return given


def _smtp_server(given: str) -> SmtpServer:
    parts = _split(given)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/"):
        raise ValueError("smtp://user:password@host:port or smtps://user:password@host:port")
    tls = parts.scheme == "smtps"
    return SmtpServer(
        host=parts.hostname,
        port=parts.port or (465 if tls else 587),
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=tls,
    )


def _mail_address(given: str) -> str:
    _, address = parseaddr(given)
    local, _, domain = address.rpartition("@")
    if not local or not domain or "\n" in given:
        raise ValueError("an e-mail address such as Todo <todo@example.org>")
    return given


def _folder(given: str) -> Path:
    path = PROJECT / Path(given).expanduser()
    if path.exists() and not path.is_dir():
        raise ValueError("a folder")
    return path


def _number(given: str) -> int:
    return int(given) if re.fullmatch(r"[0-9]{1,18}", given) else -1


def _positive(given: str) -> int:
    if (number := _number(given)) < 1:
        raise ValueError("a whole number greater than 0")
    return number


def _port(given: str) -> int:
    if not 1 <= (number := _number(given)) <= 65535:
        raise ValueError("a port from 1 to 65535")
    return number


def _time_zone(given: str) -> str:
    try:
        ZoneInfo(given)
    except (ValueError, OSError, LookupError):
        raise ValueError("a time zone such as UTC or Europe/Berlin") from None
    return given


def _switch(given: str) -> bool:
    word = given.lower()
    if word not in ("1", "yes", "true", "on", "0", "no", "false", "off"):
        raise ValueError("yes or no")
    return word in ("1", "yes", "true", "on")


#: This process's settings.
settings = Settings.from_env(os.environ)
