"""Settings: what each variable may be, and that every problem is told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config import PROJECT, Settings, SmtpServer
from nephew import Nephew
from nephew.errors import ConfigError


def test_an_empty_environment_gives_the_defaults():
    assert Settings.from_env({}) == Settings()


def test_an_empty_variable_counts_as_unset():
    assert Settings.from_env({"DATABASE_URL": "", "EXPORT_TTL": " ", "SMTP_URL": ""}) == Settings()


def test_all_problems_are_told_together():
    environ = {
        "DATABASE_URL": "mysql://localhost/todo",
        "EXPORT_TTL": "soon",
        "TIME_ZONE": "Mars/Olympus",
        "REDIS_PORT": "6379",
    }

    with pytest.raises(ConfigError) as caught:
        Settings.from_env(environ)

    assert str(caught.value).splitlines() == [
        "expected DATABASE_URL to be sqlite:///file or postgresql://user@host/database, got 'mysql://localhost/todo'",
        "expected REDIS_HOST to be set beside REDIS_PORT, got nothing",
        "expected EXPORT_TTL to be a whole number greater than 0, got 'soon'",
        "expected TIME_ZONE to be a time zone such as UTC or Europe/Berlin, got 'Mars/Olympus'",
    ]


@pytest.mark.parametrize(
    "name, value",
    [
        ("DATABASE_URL", "todo.db"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "sqlite:///todo.db?mode=ro"),
        ("DATABASE_URL", "postgresql://localhost:port/todo"),
        ("REDIS_URL", "http://localhost"),
        ("REDIS_URL", "sqlite:///todo.db"),
        ("REDIS_URL", "rediss+other://localhost"),
        ("REDIS_PORT", "0"),
        ("SMTP_URL", "mail.example.org"),
        ("SMTP_URL", "smtp://"),
        ("SMTP_URL", "imap://mail.example.org"),
        ("SMTP_URL", "smtp://mail.example.org/inbox"),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "Todo <@example.org>"),
        ("DATA_DIR", __file__),
        ("DOWNLOAD_MAX_BYTES", "0"),
        ("DOWNLOAD_MAX_BYTES", "-1"),
        ("DOWNLOAD_MAX_BYTES", "1e6"),
        ("DOWNLOAD_MAX_BYTES", "٣"),
        ("DOWNLOAD_TTL", "never"),
        ("EXPORT_TTL", "1.5"),
        ("TIME_ZONE", "../etc/passwd"),
        ("TIME_ZONE", "Europe"),
        ("APP_DEMO", "maybe"),
    ],
)
def test_an_unusable_value_is_refused_by_name(name: str, value: str):
    with pytest.raises(ConfigError, match=f"expected {name} to be .*, got "):
        Settings.from_env({name: value})


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "SMTP_URL"])
def test_a_password_is_never_shown(name: str):
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({name: "ftp://ada:se@cret@host/x?password=cret"})

    assert "ftp://ada:***@host/x?password=***" in str(caught.value)


def test_settings_do_not_show_passwords():
    settings = Settings.from_env(
        {
            "DATABASE_URL": "postgresql://ada:cret1@host/todo",
            "REDIS_URL": "redis://:cret2@host",
            "SMTP_URL": "smtp://ada:cret3@host",
        }
    )

    assert "cret" not in repr(settings)


@pytest.mark.parametrize(
    "given, kept",
    [
        ("sqlite:///todo.db", f"sqlite:///{PROJECT / 'todo.db'}"),
        ("sqlite:////srv/todo.db", "sqlite:////srv/todo.db"),
        ("sqlite:////srv/my%20todo.db", "sqlite:////srv/my todo.db"),
        ("postgres://ada@host/todo", "postgresql://ada@host/todo"),
        ("postgresql:///todo?host=/run/postgresql", "postgresql:///todo?host=/run/postgresql"),
    ],
)
def test_a_database_url(given: str, kept: str):
    assert Settings.from_env({"DATABASE_URL": given}).database_url == kept


@pytest.mark.parametrize(
    "environ, url",
    [
        ({}, None),
        ({"REDIS_URL": "rediss://cache:6380/1"}, "rediss://cache:6380/1"),
        ({"REDIS_HOST": "cache"}, "redis://cache:6379"),
        ({"REDIS_HOST": "cache", "REDIS_PORT": "7000"}, "redis://cache:7000"),
        ({"REDIS_HOST": "cache", "REDIS_PASSWORD": "a:b@c/d"}, "redis://:a%3Ab%40c%2Fd@cache:6379"),
        ({"REDIS_HOST": "cache", "REDIS_URL": "redis://other"}, "redis://other"),
    ],
)
def test_redis_is_named_by_a_url_or_by_its_parts(environ: dict[str, str], url: str | None):
    assert Settings.from_env(environ).redis_url == url


@pytest.mark.parametrize(
    "url",
    [
        "rediss://ada:cret@cache:6380/1?ssl_ca_certs=/etc/ca.pem",
        "unix:///run/redis.sock?db=2",
        "valkey://cache",
        "redis+sentinel://one:26379,two:26379/shop/0",
        "valkeys+cluster://one:7000,two:7001",
    ],
)
def test_every_redis_that_nephew_knows_is_taken_as_it_is(url: str):
    assert Settings.from_env({"REDIS_URL": url}).redis_url == url
    Nephew("todo", url)


@pytest.mark.parametrize("rest", ["host:port", "host:99999", "host/first", "host?password=cret&speed=2"])
def test_what_is_wrong_behind_the_scheme_nephew_tells_without_the_password(rest: str):
    given = Settings.from_env({"REDIS_URL": f"redis://ada:cret@{rest}"}).redis_url

    with pytest.raises(ConfigError, match="expected") as caught:
        Nephew("todo", given)

    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url, server",
    [
        ("smtp://localhost", SmtpServer("localhost", 587)),
        ("smtp://127.0.0.1:2525/", SmtpServer("127.0.0.1", 2525)),
        ("smtps://mail.example.org", SmtpServer("mail.example.org", 465, tls=True)),
        ("smtp://ada%40a.org:p%2Fw@mail", SmtpServer("mail", 587, "ada@a.org", "p/w")),
    ],
)
def test_an_smtp_url(url: str, server: SmtpServer):
    assert Settings.from_env({"SMTP_URL": url}).smtp == server


def test_the_other_variables():
    settings = Settings.from_env(
        {
            "MAIL_FROM": "To-do <todo@example.org>",
            "DATA_DIR": "data",
            "DOWNLOAD_MAX_BYTES": "1000",
            "DOWNLOAD_TTL": "120",
            "EXPORT_TTL": "60",
            "TIME_ZONE": "Europe/Berlin",
            "APP_DEMO": "yes",
        }
    )

    assert settings.mail_from == "To-do <todo@example.org>"
    assert settings.data_dir == PROJECT / "data"
    assert settings.download_max_bytes == 1000
    assert settings.download_ttl == 120
    assert settings.export_ttl == 60
    assert settings.time_zone == "Europe/Berlin"
    assert settings.demo is True


def test_nothing_else_reads_the_environment():
    """The demonstration hands its own on to processes that it starts, and reads nothing from it."""
    folders = ("app", "tasks", "periodic")
    readers = [
        str(path.relative_to(PROJECT))
        for folder in folders
        for path in Path(PROJECT, folder).rglob("*.py")
        if "environ" in path.read_text(encoding="utf-8") or "getenv" in path.read_text(encoding="utf-8")
    ]

    assert sorted(readers) == ["app/config.py", "app/demo/__main__.py", "app/demo/consumer.py"]
