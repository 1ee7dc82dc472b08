"""The one way to the server: commands and scripts, on connections of a pool, repeated when one was lost."""

from __future__ import annotations

import functools
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.connection import AbstractConnection
from redis.exceptions import DataError, RedisError, ResponseError

from nephew.backends.records import Schema
from nephew.backends.redis.health import dangers
from nephew.backends.redis.pool import Pool
from nephew.backends.redis.steps import Command, Evaluation, Step, Value
from nephew.backends.redis.trouble import Lost, Outage, explained, is_away, is_hopeless, is_late, is_of_a_cluster
from nephew.backends.redis.urls import place_of
from nephew.errors import BackendError, ConfigError, NephewError, Refused, SchemaError, Unanswered
from nephew.settings import Keep, Settings
from nephew.shield import my_shield

log = logging.getLogger("huey.nephew.redis")

#: The version of the keys' layout.
LATEST = 2

#: A lost connection is made again at once, then after these pauses (seconds), but no more after so many seconds.
PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.5, 0.75)
PATIENCE = 2.0

#: How often the server's clock is asked for when the answer took longer than this (seconds).
MEASUREMENTS, PROMPT = 3, 0.01
#: It is looked at again after this (seconds).
CLOCK_SECONDS = 60.0
HOUR = 3600.0

#: What may go wrong with a step on its way.
_ERRORS = (RedisError, UnicodeError, OverflowError)


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
        self._ensure_ready()
        return self._done(self.evaluation(name, *values, tells=tells), repeat)

    def run_ahead(self, name: str, *values: Value) -> Callable[[], Any]:
        """Send a script and do not wait: what is returned waits for its reply, once, on any thread.

        :raises BackendError: when the server refuses it; so does what is returned, also when it cannot be reached.
        """
        self._ensure_ready()
        step = self.evaluation(name, *values)
        try:
            return functools.partial(self._answer, self._sent(step), step)
        except Lost as lost:
            return functools.partial(self._repeated, step, lost)

    def evaluation(self, name: str, *values: Value, tells: bool = False, within: float = 0.0) -> Evaluation:
        """A script as a step; see `run`.

        :param within: seconds for which the server may leave it, beyond those that every step may take.
        """
        return Evaluation(name, self.tag, values, tells, lambda: self._time() + self._patience + within)

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
        return self._done(Command(command), repeat)

    def _done(self, step: Step, repeat: bool = True) -> Any:
        """The reply to a step, which is repeated on new connections while the server is away."""
        try:
            reply = self._tried(step, again=False, sound=not repeat)
        except Lost as lost:
            return self._repeated(step, lost, repeat)
        if self._outage.lasts:
            self._outage.end()
        return reply

    def _answer(self, connection: AbstractConnection, step: Step) -> Any:
        """The reply to a step that was sent."""
        try:
            reply = self._received(connection, step)
        except Lost as lost:
            return self._repeated(step, lost)
        if self._outage.lasts:
            self._outage.end()
        return reply

    def _repeated(self, step: Step, lost: Lost, repeat: bool = True) -> Any:
        begun, again = time.monotonic(), False
        if not self._outage.lasts:
            log.info("The connection to %s was lost (%s); connecting again.", self.description, lost)
        for pause in PAUSES:
            if lost.done and not repeat:
                raise Unanswered(f"{self.description} was lost ({lost}); it is not known whether {step.title} was done")
            again = again or lost.done
            time.sleep(pause * random.uniform(0.8, 1.2))  # not all threads at once
            if is_late(lost.error):
                self._asked_at = None  # the server's clock was set
            try:
                reply = self._tried(step, again, sound=False)
            except Lost as error:
                lost = error
                self._outage.begin(lost.error)
            else:
                self._outage.end()
                return reply
            if time.monotonic() - begun > PATIENCE:
                break
        raise self._outage.error(lost.error) from lost.error

    def _tried(self, step: Step, again: bool, sound: bool) -> Any:
        with my_shield():
            return self._received(self._sent(step, again, sound), step)

    def _sent(self, step: Step, again: bool = False, sound: bool = False) -> AbstractConnection:
        """The connection that a step was sent on."""
        sent = False
        try:
            with my_shield():
                connection = self._pool.take(sound)
                sent = True
                self._send(connection, step, again)
                return connection
        except _ERRORS as error:
            raise self._judged(error, step, sent) from error

    def _received(self, connection: AbstractConnection, step: Step) -> Any:
        """The reply to a step that was sent on a connection."""
        try:
            with my_shield():
                return self._receive(connection, step)
        except _ERRORS as error:
            raise self._judged(error, step, sent=True) from error

    def _judged(self, error: Exception, step: Step, sent: bool) -> Exception:
        """What is raised for an error: a `Lost`, where it helps to repeat the step."""
        if not is_away(error):
            return self._final(error, step.title)
        if is_of_a_cluster(error) and not self._pool.finds:
            return ConfigError(f"expected redis+cluster:// in the URL: {self.description} is of a cluster")
        self._pool.drop()
        return Lost(error, done=sent and not isinstance(error, ResponseError))

    def _send(self, connection: AbstractConnection, step: Step, again: bool) -> None:
        try:
            step.send(connection, again)
        except BaseException:
            connection.disconnect()  # a part of it may be on the way
            raise

    def _receive(self, connection: AbstractConnection, step: Step) -> Any:
        try:
            reply = step.read(connection)
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
        moment, asked_at = time.monotonic(), self._asked_at
        if asked_at is None:
            self.measure_clock()
        elif moment - asked_at > CLOCK_SECONDS:
            with suppress(BackendError):  # while the server is away, the last measurement will do
                self.measure_clock()
        else:
            return moment + self._ahead
        return time.monotonic() + self._ahead

    def measure_clock(self) -> None:
        """Look at the server's clock anew.

        What is now here is then past there, by the time that the answer took: what is to be done now is due.
        """
        for _ in range(MEASUREMENTS):
            asked = time.monotonic()
            seconds, micros = self._called("TIME")
            self._asked_at = time.monotonic()
            self._ahead = int(seconds) + int(micros) / 1e6 - self._asked_at
            if self._asked_at - asked < PROMPT:
                break

    # -- version ------------------------------------------------------------------------------------
    def migrate(self) -> tuple[int, int]:
        """Bring the keys' layout up to date; see the contract."""
        found = self._version()
        if found > LATEST:
            raise SchemaError(
                f"expected keys of version {LATEST} or older, got version {found}: "
                "this Nephew is older than the one that wrote them; upgrade it"
            )
        if found == 0:
            self._called("SETNX", self.key("version"), LATEST)
        elif found < LATEST:
            self._done(self.evaluation("migrate", LATEST))
        self._ready = True
        return found, LATEST

    def schema(self) -> Schema:
        """The version of the keys' layout; see the contract."""
        return Schema(self._version(), LATEST, self._auto_migrate)

    def _ensure_ready(self) -> None:
        if self._ready:
            return
        found = self._version()
        if found < LATEST and not self._auto_migrate:
            raise SchemaError(f"expected keys of version {LATEST}, got {found or 'none'}; run `nephew migrate`")
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


def _longest(*kept: Keep) -> float | str:
    """The longest of some times, as scripts take it."""
    seconds = [keep.seconds for keep in kept]
    return "" if None in seconds else max(second for second in seconds if second is not None)
