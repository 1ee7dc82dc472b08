"""Connections to a PostgreSQL that may be behind a pooler, may freeze, and may be lost without a word."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from peewee import PostgresqlDatabase

from nephew.errors import ConfigError

try:
    import psycopg
    from psycopg import Connection
except ImportError:  # the extra `postgres` is not installed
    psycopg = None  # type: ignore[assignment]
    Connection = object  # type: ignore[assignment, misc]

#: What libpq is told unless the URL or the environment says otherwise: seconds to connect; milliseconds until bytes
#: that were sent must be acknowledged, and until the server must answer or say that it is still at work; seconds
#: after which a connection that nobody uses is tried, between two tries, and how many of them may fail.
PATIENCE = {
    "connect_timeout": 5,
    "tcp_user_timeout": 5000,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
#: Seconds after which a server ends a transaction of ours that it hears no more of, unless it was told another time:
#: a process that is stopped in the middle of a step, or cut off, would keep everybody from what it has locked.
IDLE_SECONDS = 10
#: The longest time (seconds) between two questions whether it is still at work.
LONGEST_SILENCE = 60.0
#: What is in a server's refusal to let somebody in, behind a word of its own language, and in nothing that libpq says
#: for itself. Of a connection that fails psycopg gives no SQLSTATE, which libpq keeps to itself.
REFUSAL = ":  "


class PoolerAwareDatabase(PostgresqlDatabase):
    """A PostgreSQL that may be behind a pooler, which gives each transaction another connection to the server.

    A statement that was prepared on one of them is unknown to the next, or another statement of that name is run.
    """

    def __init__(self, url: str) -> None:
        """:raises psycopg.ProgrammingError: when it is no URI that libpq knows.
        :raises ConfigError: when its `tcp_user_timeout` is not a whole number.
        """
        given = psycopg.conninfo.conninfo_to_dict(url)
        unsaid = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults() if option.val is None}
        ours: dict[str, Any] = {name: value for name, value in PATIENCE.items() if name in unsaid and name not in given}
        super().__init__(url, prefer_psycopg3=True, **ours)
        self._silence = _seconds({**PATIENCE, **given}["tcp_user_timeout"])

    def connect_apart(self, seconds: int | None = None) -> PatientConnection:
        """A connection that is no thread's; the caller closes it.

        :param seconds: the most that opening it may take; None: as the URL says.
        """
        connection = self._connect_once(**({} if seconds is None else {"connect_timeout": seconds}))
        server, idle = connection.execute(
            "SELECT pg_backend_pid(), current_setting('idle_in_transaction_session_timeout')"
        ).fetchone()
        if server != connection.info.backend_pid:  # a pooler's answer names no process of the server
            connection.prepare_threshold = None
        elif idle == "0":
            connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        connection.again = self._connect_once
        return connection

    def _connect(self) -> Any:
        return self.connect_apart()

    def _connect_once(self, **more: Any) -> PatientConnection:
        params = {**self.connect_params, **more}
        connection: PatientConnection = PatientConnection.connect(self.database, autocommit=True, **params)
        connection.silence = self._silence
        return connection


class PatientConnection(Connection[Any] if psycopg else object):  # type: ignore[misc]
    """Waits for an answer for as long as the server works on it.

    What the network has lost, or what a frozen server was asked, is never answered, and libpq would wait for ever:
    its own limits end with the last byte that the other side's kernel has acknowledged.

    :ivar silence: seconds without a word after which the server is asked whether it is still at work; 0: never.
    :ivar again: makes the connection to ask on; None: it is not asked, and counts as lost.
    """

    silence = 0.0
    again: Callable[[], PatientConnection] | None = None
    #: Whether what is asked is only sent just now, and what is left to be done for it then.
    _only_sends, _rest = False, None  # type: bool, Any

    def send(self, sql: str, params: Sequence[Any]) -> Callable[[], list[Any]]:
        """Send a statement and do not wait: what is returned does, and has its rows.

        Nothing else may be asked on this connection before that.
        """
        cursor = self.cursor()
        self._only_sends = True
        try:
            cursor.execute(sql, params, binary=True)
        finally:
            self._only_sends = False

        def rows() -> list[Any]:
            self.wait(self._rest)
            return list(cursor.fetchall())

        return rows

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        if self._only_sends:  # up to where psycopg waits for the first time, and goes on when it is waited for again
            self._rest = gen
            return next(gen)
        return super().wait(_Answer(self, gen) if self.silence else gen, *args, **options)

    def is_served(self) -> bool:
        """Whether the server still works on what was asked here, as it says on another connection."""
        if self.again is None:
            return False
        asked = "SELECT state FROM pg_stat_activity WHERE pid = %s"
        try:
            with closing(self.again()) as other:
                if self.prepare_threshold is None:
                    return True  # only the pooler knows which of the server's connections this is
                found: Any = other.execute(asked, (self.info.backend_pid,)).fetchone()
        except psycopg.Error as error:
            return error.sqlstate is not None or REFUSAL in str(error)  # it is there, and lets nobody in just now
        return found is not None and not str(found[0]).startswith("idle")

    def allow_idling(self) -> None:
        """Let the transaction that is open go on, for however long nothing is said in it."""
        name = "idle_in_transaction_session_timeout"
        self.execute(f"SELECT set_config('{name}', '0', TRUE) WHERE current_setting('{name}') = '{IDLE_SECONDS}s'")

    def give_up(self) -> None:
        """:raises psycopg.OperationalError: after having closed what nothing will come through any more."""
        self.pgconn.finish()
        raise psycopg.OperationalError("the server does not answer, and does not say that it is still at work")


def _seconds(milliseconds: Any) -> float:
    """A time as libpq takes it: what is negative means none."""
    try:
        return max(0, int(milliseconds or 0)) / 1000
    except ValueError:
        raise ConfigError(
            f"expected tcp_user_timeout to be a whole number of milliseconds, got {milliseconds!r}"
        ) from None


class _Answer:
    """A generator of psycopg's that is sent what has happened on the connection, and waits for more.

    Not a generator itself: one that Ctrl-C ends in the middle could not be gone on with, as psycopg does.
    """

    def __init__(self, connection: PatientConnection, gen: Any) -> None:
        self._connection, self._gen = connection, gen
        self._silence = connection.silence
        self._until: float | None = None
        self._lost = False

    def __next__(self) -> Any:
        return next(self._gen)

    def send(self, ready: int) -> Any:
        if ready:
            self._until, self._lost = None, False
        else:
            self._wait_on()
        return self._gen.send(ready)

    def _wait_on(self) -> None:
        """Nothing has happened for a moment."""
        now = time.monotonic()
        if self._lost:
            self._connection.give_up()  # nor while it was asked
        elif self._until is None:
            self._until = now + self._silence
        elif now > self._until:
            self._lost = not self._connection.is_served()
            self._silence = min(self._silence * 2, LONGEST_SILENCE)
            self._until = time.monotonic() + self._silence
