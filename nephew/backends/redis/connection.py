"""The one way to the server: commands and scripts, on connections of a pool, repeated when one was lost."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.connection import AbstractConnection
from redis.exceptions import DataError, NoScriptError, RedisError, ResponseError

from nephew.backends.records import Schema
from nephew.backends.redis.health import dangers
from nephew.backends.redis.pool import Pool
from nephew.backends.redis.scripts import script
from nephew.backends.redis.trouble import Lost, Outage, explained, is_away, is_hopeless, is_late, is_of_a_cluster
from nephew.backends.redis.urls import place_of
from nephew.errors import BackendError, ConfigError, NephewError, Refused, SchemaError, Unanswered
from nephew.settings import Keep, Settings
from nephew.shield import my_shield

log = logging.getLogger("huey.nephew.redis")

#: The version of the keys' layout.
LATEST = 1

#: A lost connection is made again at once, then after these pauses (seconds), but no more after so many seconds.
PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.5, 0.75)
PATIENCE = 2.0

#: How often the server's clock is asked for when the answer took longer than this (seconds).
MEASUREMENTS, PROMPT = 3, 0.01
#: It is looked at again after this (seconds).
CLOCK_SECONDS = 60.0
HOUR = 3600.0

Value = bytes | str | int | float
#: Sends a step on a connection and reads its reply; told whether it may have been done before.
Step = Callable[[AbstractConnection, bool], Any]


class Connected:
    """Base of the backend's nouns: the server, and the instance's keys."""

    def __init__(self, name: str, url: str, settings: Settings) -> None:
        """Connects to nothing.

        :raises ConfigError: when the URL cannot be used.
        """
        self.name = name
        self.tag = "{" + name.replace("%", "%25").replace("{", "%7B").replace("}", "%7D") + "}"
        place = place_of(url)
        self.description = place.description
        self._pool, self._outage = Pool(place, self.tag), Outage(place.description)
        #: Seconds after which a step is given up that has no reply; it is not done later either.
        self._patience = float(place.options.get("socket_timeout") or HOUR)
        #: How many records of ended jobs and how many events are kept at most.
        self.most, self.keep_events = settings.keep_records, settings.keep_events
        #: Seconds that the ends of jobs that succeeded are kept with their results, and those of others; '': for ever.
        self.ttl = _longest(settings.keep_succeeded)
        self.ttl_others = _longest(settings.keep_failed, settings.keep_cancelled, settings.keep_expired)
        #: The queues that this process serves; empty: all.
        self.queues = settings.queues
        self._auto_migrate, self._ready = settings.auto_migrate, False
        #: By how much the server's clock is ahead of this process's monotonic one, and when that was measured.
        self._ahead, self._asked_at = 0.0, None  # type: float, float | None

    def key(self, word: str, more: str | None = None) -> str:
        """The name of one of the instance's keys; see `lua/lib`."""
        return f"{self.tag}:{word}" if more is None else f"{self.tag}:{word}:{more}"

    def run(self, name: str, *values: Value, tells: bool = False, repeat: bool = True) -> Any:
        """Run a script of `lua/` with these values as its ARGV; its reply, texts as bytes.

        It is run again when the connection was lost, which may have hidden that it was done.

        :param tells: whether the script's first value is to say whether it may have been done before ('1', else '').
        :param repeat: see `call`.
        :raises BackendError: when the server cannot be reached, or refuses it.
        """
        found = script(name)

        def step(connection: AbstractConnection, again: bool) -> Any:
            deadline = self._time() + self._patience
            given = ("1" if again else "", *values, deadline) if tells else (*values, deadline)
            try:
                return _ask(connection, "EVALSHA", found.sha, 1, self.tag, *given)
            except NoScriptError:
                return _ask(connection, "EVAL", found.source, 1, self.tag, *given)

        self._ensure_ready()
        return self._done(step, f"the script {name}", repeat)

    def call(self, *command: Value, repeat: bool = True) -> Any:
        """The reply to a command; keys in it by `key`.

        :param repeat: whether doing it twice does no harm; else a connection that is lost meanwhile is an error.
        :raises BackendError: when the server cannot be reached, or refuses it.
        """
        self._ensure_ready()
        return self._called(*command, repeat=repeat)

    def dedicated(self) -> AbstractConnection:
        """A new connection of the caller's own, which closes it; for what listens or blocks.

        :raises BackendError: when there is none to be had now; it is not tried again.
        """
        try:
            with my_shield():
                return self._pool.connect()
        except RedisError as error:
            self._pool.drop()
            raise (self._outage.error(error) if is_away(error) else self._final(error, "connecting")) from error

    def _called(self, *command: Value, repeat: bool = True) -> Any:
        return self._done(lambda connection, _: _ask(connection, *command), " ".join(map(str, command[:2])), repeat)

    def _done(self, step: Step, title: str, repeat: bool = True) -> Any:
        """The reply to a step, which is repeated on new connections while the server is away."""
        try:
            reply = self._tried(step, title, again=False, sound=not repeat)
        except Lost as lost:
            reply = self._repeated(step, title, lost, repeat)
        if self._outage.lasts:
            self._outage.end()
        return reply

    def _repeated(self, step: Step, title: str, lost: Lost, repeat: bool) -> Any:
        begun, again = time.monotonic(), False
        if not self._outage.lasts:
            log.info("The connection to %s was lost (%s); connecting again.", self.description, lost)
        for pause in PAUSES:
            if lost.done and not repeat:
                raise Unanswered(f"{self.description} was lost ({lost}); it is not known whether {title} was done")
            again = again or lost.done
            time.sleep(pause * random.uniform(0.8, 1.2))  # not all threads at once
            if is_late(lost.error):
                self._asked_at = None  # the server's clock was set
            try:
                return self._tried(step, title, again, sound=False)
            except Lost as error:
                lost = error
                self._outage.begin(lost.error)
            if time.monotonic() - begun > PATIENCE:
                break
        raise self._outage.error(lost.error) from lost.error

    def _tried(self, step: Step, title: str, again: bool, sound: bool) -> Any:
        sent = False
        try:
            with my_shield():
                connection = self._pool.take(sound)
                sent = True
                return self._exchanged(connection, step, again)
        except (RedisError, UnicodeError, OverflowError) as error:
            if not is_away(error):
                raise self._final(error, title) from error
            if is_of_a_cluster(error) and not self._pool.finds:
                raise ConfigError(
                    f"expected redis+cluster:// in the URL: {self.description} is of a cluster"
                ) from error
            self._pool.drop()
            raise Lost(error, done=sent and not isinstance(error, ResponseError)) from error

    def _exchanged(self, connection: AbstractConnection, step: Step, again: bool) -> Any:
        try:
            reply = step(connection, again)
        except ResponseError:
            self._pool.give_back(connection)
            raise
        except BaseException:
            connection.disconnect()  # its reply may still come, and would be taken for the next one's
            raise
        self._pool.give_back(connection)
        return reply

    def _final(self, error: Exception, title: str) -> NephewError:
        """What is raised for an error that repeating does not help against."""
        if not isinstance(error, RedisError) or isinstance(error, DataError):
            return Refused(f"{self.description} cannot store a value: {error}")
        # A consumer that runs already goes on trying: somebody may be changing the password.
        kind = ConfigError if is_hopeless(error) and not self._ready else BackendError
        return kind(f"{self.description}: {explained(error, title, self.tag)}")

    # -- clock --------------------------------------------------------------------------------------
    def now(self) -> float:
        """The server's clock. Between two looks at it, it is told by a clock that nobody sets."""
        return self._time()

    def _time(self) -> float:
        if self._asked_at is None:
            self.measure_clock()
        elif time.monotonic() - self._asked_at > CLOCK_SECONDS:
            with suppress(BackendError):  # while the server is away, the last measurement will do
                self.measure_clock()
        return time.monotonic() + self._ahead

    def measure_clock(self) -> None:
        """Look at the server's clock anew.

        What is now here is then past there, by the time that the answer took: what is to be done now is due.
        """
        for _ in range(MEASUREMENTS):
            asked = time.monotonic()
            seconds, micros = self.call("TIME")
            self._asked_at = time.monotonic()
            self._ahead = int(seconds) + int(micros) / 1e6 - self._asked_at
            if self._asked_at - asked < PROMPT:
                break

    # -- version ------------------------------------------------------------------------------------
    def migrate(self) -> tuple[int, int]:
        """Note the version of the keys' layout; see the contract."""
        found = self._version()
        if found > LATEST:
            raise SchemaError(
                f"expected keys of version {LATEST} or older, got version {found}: "
                "this Nephew is older than the one that wrote them; upgrade it"
            )
        if found == 0:
            self._called("SETNX", self.key("version"), LATEST)
        self._ready = True
        return found, LATEST

    def schema(self) -> Schema:
        """The version of the keys' layout; see the contract."""
        return Schema(self._version(), LATEST, self._auto_migrate)

    def _ensure_ready(self) -> None:
        if self._ready:
            return
        found = self._version()
        if found == 0 and not self._auto_migrate:
            raise SchemaError(f"expected keys of version {LATEST}, got none; run `nephew migrate`")
        self.migrate()

    def _version(self) -> int:
        found = self._called("GET", self.key("version")) or b"0"
        try:
            return int(found)
        except ValueError:
            raise SchemaError(f"expected a number in the key {self.key('version')}, got {found!r}; delete it") from None

    def warnings(self) -> list[str]:
        """What about the server may cost jobs; see the contract."""
        return dangers(self._called)

    # -- connections --------------------------------------------------------------------------------
    def close(self) -> None:
        """Close what is not in use; see the contract."""
        self._pool.drop()

    def leave(self) -> None:
        """Connections are no thread's own: another one may use them; see the contract."""

    def forget_connections(self) -> None:
        """In a fork's child; see the contract."""
        self._pool.forget()


def _ask(connection: AbstractConnection, *command: Value) -> Any:
    connection.send_command(*command)
    return connection.read_response()


def _longest(*kept: Keep) -> float | str:
    """The longest of some times, as scripts take it."""
    seconds = [keep.seconds for keep in kept]
    return "" if None in seconds else max(second for second in seconds if second is not None)
