"""What a server says of itself, read for what may cost jobs: the words are those of real servers."""

from __future__ import annotations

import pytest

from nephew.backends.redis.health import Ask, dangers
from nephew.errors import BackendError, ConfigError

#: What every one of them says besides, when it is used as it should be.
SOUND = "# Memory\r\nmaxmemory_policy:noeviction\r\n# Persistence\r\naof_enabled:1\r\n# Replication\r\nrole:master\r\n"

REDIS = "# Server\r\nredis_version:{}\r\nredis_git_sha1:00000000\r\nredis_mode:standalone\r\n" + SOUND
VALKEY = "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n" + SOUND


def saying(info: str) -> Ask:
    replies = {"INFO": info.encode(), "CONFIG": [b"save", b"3600 1 300 100 60 10000"]}
    return lambda command, *_: replies[command]


@pytest.mark.parametrize("version", ["2.8.24", "5.0.14", "6.0.16"])
def test_a_server_that_is_too_old_is_refused_with_what_to_do(version: str) -> None:
    with pytest.raises(ConfigError, match=f"expected Redis 6.2 or later, or Valkey, got Redis {version}; upgrade"):
        dangers(saying(REDIS.format(version)))


@pytest.mark.parametrize("info", [REDIS.format("6.2.14"), REDIS.format("7.0.15"), REDIS.format("10.0.0"), VALKEY])
def test_a_server_that_is_new_enough_and_well_configured_is_not_complained_about(info: str) -> None:
    assert dangers(saying(info)) == []


def test_what_a_server_does_not_tell_is_not_guessed() -> None:
    def refuse(*command: str) -> None:
        raise BackendError(f"NOPERM this user has no permissions to run the '{command[0]}' command")

    assert dangers(refuse) == []
    assert dangers(saying("")) == []
