"""What may befall a connection on its way through a proxy; see `tests.proxies`."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Literal

#: SO_LINGER: what was not sent is thrown away, and the other end is told so by a reset.
AT_ONCE = struct.pack("ii", 1, 0)


class Link:
    """A client's connection, and the one to the server that it is passed on to.

    :ivar asking: what the client says, which goes to `server`; `answering` and `client`: the way back.
    """

    def __init__(
        self,
        asking: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        answering: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        self.asking, self.client, self.answering, self.server = asking, client, answering, server
        self._shut: set[asyncio.StreamWriter] = set()

    async def pass_on(self, target: asyncio.StreamWriter, data: bytes) -> None:
        if target not in self._shut:
            target.write(data)
            await target.drain()

    def shut(self, target: asyncio.StreamWriter) -> None:
        """Nothing is written there any more, and the other end knows."""
        if target not in self._shut:
            self._shut.add(target)
            target.write_eof()

    def close(self) -> None:
        self.client.close()
        self.server.close()

    def reset(self) -> None:
        """Break it off as a firewall does, or a process that is killed."""
        for end in (self.client, self.server):
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            end.transport.abort()


class Fault:
    """Befalls all connections of a proxy while it lasts.

    :ivar hits: how often it did.
    """

    def __init__(self) -> None:
        self.hits = 0

    def begin(self, link: Link) -> None:
        """It befalls a connection that was open before, or has just been made."""

    async def carry(self, link: Link, target: asyncio.StreamWriter, data: bytes) -> None:
        """Pass on what is to go to one of the ends, or do not."""
        await link.pass_on(target, data)


class Drop(Fault):
    """A black hole: bytes of either direction vanish, the connections stay."""

    async def carry(self, link: Link, target: asyncio.StreamWriter, data: bytes) -> None:
        self.hits += 1


class Delay(Fault):
    """Whatever is said takes this long (seconds)."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def carry(self, link: Link, target: asyncio.StreamWriter, data: bytes) -> None:
        self.hits += 1
        await asyncio.sleep(self._seconds)
        await link.pass_on(target, data)


class Cut(Fault):
    """Each connection ends after so many bytes more in both directions together, be it in the middle of a reply."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after
        self._left: dict[Link, int] = {}

    def begin(self, link: Link) -> None:
        self._left[link] = self._after

    async def carry(self, link: Link, target: asyncio.StreamWriter, data: bytes) -> None:
        left = self._left[link]
        self._left[link] = left - len(data)
        await link.pass_on(target, data[: max(left, 0)])
        if left <= len(data):
            self.hits += 1
            link.close()


class HalfClose(Fault):
    """The proxy says to one end that nothing more will come, and still listens to it."""

    def __init__(self, end: Literal["client", "server"]) -> None:
        super().__init__()
        self._end = end

    def begin(self, link: Link) -> None:
        self.hits += 1
        link.shut(link.client if self._end == "client" else link.server)


class Refuse(Fault):
    """All connections are reset, and every new one."""

    def begin(self, link: Link) -> None:
        self.hits += 1
        link.reset()
