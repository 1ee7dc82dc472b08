"""What is asked of the server in one step: a command, or a script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from redis.connection import AbstractConnection
from redis.exceptions import NoScriptError

from nephew.backends.redis.scripts import Script, script

Value = bytes | str | int | float


class Step(Protocol):
    """Sent on a connection, and its reply read from there."""

    @property
    def title(self) -> str:
        """What it is called in errors."""

    def send(self, connection: AbstractConnection, again: bool) -> None:
        """Ask for it; `again`: it may have been done before."""

    def read(self, connection: AbstractConnection) -> Any:
        """The reply."""


class Command:
    """A command and its values."""

    __slots__ = ("_words",)

    def __init__(self, words: Sequence[Value]) -> None:
        self._words = words

    @property
    def title(self) -> str:
        return " ".join(map(str, self._words[:2]))

    def send(self, connection: AbstractConnection, again: bool) -> None:
        connection.send_command(*self._words)

    def read(self, connection: AbstractConnection) -> Any:
        return connection.read_response()


class Evaluation:
    """A script of `lua/` and its values, done no later than a deadline; a server that does not know it learns it."""

    __slots__ = ("_deadline", "_given", "_script", "_tag", "_tells", "_values")

    def __init__(
        self, name: str, tag: str, values: Sequence[Value], tells: bool, deadline: Callable[[], float]
    ) -> None:
        """
        :param tells: whether its first value is to say whether it may have been done before ('1', else '').
        :param deadline: asked for each time that it is sent.
        """
        self._script: Script = script(name)
        self._tag, self._values, self._tells, self._deadline = tag, values, tells, deadline
        self._given: tuple[Value, ...] = ()

    @property
    def title(self) -> str:
        return f"the script {self._script.name}"

    def send(self, connection: AbstractConnection, again: bool) -> None:
        told = ("1" if again else "",) if self._tells else ()
        self._given = (1, self._tag, *told, *self._values, self._deadline())
        connection.send_command("EVALSHA", self._script.sha, *self._given)

    def read(self, connection: AbstractConnection) -> Any:
        try:
            return connection.read_response()
        except NoScriptError:
            connection.send_command("EVAL", self._script.source, *self._given)
            return connection.read_response()
