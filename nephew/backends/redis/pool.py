"""Connections that nobody uses just now: of this process, and safe to use from any thread."""

from __future__ import annotations

import os
from typing import Any

from redis.connection import AbstractConnection

from nephew.backends.redis.urls import Address, Place


class Pool:
    """Connections to the server that holds the key `tag`; the one that was used last is used next.

    redis-py's own pool looks at the socket before each use, which costs as much as a fifth of a step; here a
    connection that was lost is found out by using it.
    """

    def __init__(self, place: Place, tag: str) -> None:
        self._place, self._tag = place, tag
        self._pid = os.getpid()
        self._idle: list[AbstractConnection] = []
        self._address: Address | None = None
        #: Whether the server is asked for, and another one may be found.
        self.finds = place.locate is not None

    def take(self, sound: bool = False) -> AbstractConnection:
        """A connection, connected, for the caller alone.

        :param sound: look whether it was lost meanwhile.
        :raises RedisError: when there is none to be had; nothing was sent.
        """
        if self._pid != os.getpid():
            self.forget()
        try:
            connection = self._idle.pop()
        except IndexError:
            return self.connect()
        if sound and _is_lost(connection):
            connection.disconnect()
            return self.connect()
        return connection

    def give_back(self, connection: AbstractConnection) -> None:
        """For the next one, when every reply was read."""
        if connection.pid == self._pid:
            self._idle.append(connection)

    def connect(self) -> AbstractConnection:
        """A new connection, which the pool knows nothing of."""
        connection: Any = self._place.kind(**self._place.options)
        _spare_the_collector(connection)
        if self._place.locate is not None:
            address = self._address or self._place.locate(self._tag)
            connection.host, connection.port = self._address = address
        connection.connect()
        return connection  # type: ignore[no-any-return]

    def drop(self) -> None:
        """Close what is idle; the next connection goes to where the key is then."""
        self._address = None
        while self._idle:
            try:
                self._idle.pop().disconnect()
            except IndexError:
                return  # another thread was faster

    def forget(self) -> None:
        """In a fork's child: the parent's connections are the parent's."""
        self._idle, self._address = [], None
        self._pid = os.getpid()  # last: another thread of the child must not take one of the parent's


def _spare_the_collector(connection: Any) -> None:
    """Let a connection that is dropped be gone at once.

    redis-py's parser refers to itself, by what it does with pushed messages, and would keep its buffer until the
    garbage is collected.
    """
    handle = getattr(connection._parser, "set_pubsub_push_handler", None)
    if handle is not None:
        handle(_as_it_is)


def _as_it_is(message: object) -> object:
    return message


def _is_lost(connection: AbstractConnection) -> bool:
    """Whether it was closed by the server, or has something to read that nobody asked for."""
    try:
        return bool(connection.can_read())
    except Exception:
        return True
