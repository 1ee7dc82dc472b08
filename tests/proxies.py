"""What may stand between a consumer and its server: PgBouncer, and proxies that break, delay or lose something."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import threading
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, Self, TypeVar

from nephew.backends.redis.scripts import script
from tests.eventually import eventually
from tests.faults import Fault, Link
from tests.servers import DATABASE, USER, PostgresServer, RedisServer, Server, _free_port, find_program

PGBOUNCER_INI = """
[databases]
{database} = host=127.0.0.1 port={server} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""

#: Messages of PostgreSQL's protocol: what begins an answer's end, and what says that no transaction is open.
READY, IDLE = b"Z", b"I"

T = TypeVar("T")


@contextmanager
def pgbouncer(server: PostgresServer) -> Iterator[str]:
    """The URL of a PgBouncer that gives each transaction any of three connections to the server."""
    program, port = find_pgbouncer(), _free_port()
    settings = server.folder / "pgbouncer.ini"
    settings.write_text(PGBOUNCER_INI.format(database=DATABASE, server=server.port, user=USER, port=port))
    log = server.folder / "pgbouncer.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [program, settings], stdin=subprocess.DEVNULL, stdout=said, stderr=said, **server.options()
        )
    try:
        eventually(lambda: "process up" in log.read_text())
        yield f"postgresql://{USER}@127.0.0.1:{port}/{DATABASE}"
    finally:
        process.kill()
        process.wait()


def find_pgbouncer() -> str:
    """The system's PgBouncer, which is installed where that is possible."""
    return find_program("pgbouncer", f"{os.environ.get('PATH', '')}:/usr/sbin")


class Proxy:
    """Passes connections on to a server, on a thread of its own; with a fault while it suffers from one."""

    def __init__(self, server: Server) -> None:
        self._server, self.port = server, _free_port()
        self._fault = Fault()
        self._links: set[Link] = set()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._listening = self._do(self._listen())
        return self

    def __exit__(self, *error: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        url = self._server.url.replace(f":{self._server.port}/", f":{self.port}/")
        return f"{url}?sslmode=disable&gssencmode=disable" if url.startswith("postgres") else url

    @contextmanager
    def suffering(self, fault: Fault) -> Iterator[Fault]:
        """Let a fault befall all connections, for a while."""
        self._do(self._begin(fault))
        try:
            yield fault
        finally:
            self._do(self._begin(Fault()))

    async def _begin(self, fault: Fault) -> None:
        self._fault = fault
        for link in self._links:
            fault.begin(link)

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _end(self) -> None:
        self._listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, asking: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with closing(client), suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            link = Link(asking, client, *await asyncio.open_connection("127.0.0.1", self._server.port))
            self._links.add(link)
            try:
                self._fault.begin(link)
                await self._pass(link)
            finally:
                self._links.discard(link)
                link.close()

    async def _pass(self, link: Link) -> None:
        """Pass questions and answers on; when it returns, both connections are closed."""
        ways = [self._carry(link, link.asking, link.server), self._carry(link, link.answering, link.client)]
        await _first_of(ways)

    async def _carry(self, link: Link, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._fault.carry(link, target, data)
            target.close()


async def _first_of(ways: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Return when one of them does; the others end as well."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


class Cutter(Proxy):
    """A proxy that closes each connection when it has been idle so many times between two transactions.

    :param swallow: the last answer is not passed on, so that nobody knows whether its transaction was committed.
    :ivar cuts: how many connections it has closed.
    """

    def __init__(self, server: PostgresServer, every: int | None = None, swallow: bool = False) -> None:
        """:param every: None: only when asked to."""
        super().__init__(server)
        self._every, self._swallow, self.cuts = every, swallow, 0
        self._next = False

    def cut_next(self) -> None:
        """Close the connection on which a transaction ends next."""
        self._next = True

    async def _pass(self, link: Link) -> None:
        await _first_of([self._carry(link, link.asking, link.server), self._answer(link.answering, link.client)])

    async def _answer(self, answering: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        idle, answer, is_last = 0, b"", False
        while not is_last:
            head = await answering.readexactly(5)
            body = await answering.readexactly(int.from_bytes(head[1:], "big") - 4)
            answer += head + body
            if head[:1] == READY and body == IDLE:
                idle += 1
                is_last = self._is_last(idle)
            if head[:1] == READY or idle == 0:  # the login is a dialogue
                if not (is_last and self._swallow):
                    client.write(answer)
                    await client.drain()
                answer = b""
        self.cuts += 1

    def _is_last(self, idle: int) -> bool:
        """Whether a connection ends that is idle for this time; the first one is the end of the login."""
        if self._next and idle > 1:
            self._next = False
            return True
        return self._every is not None and idle > self._every


class Detour(Proxy):
    """A proxy on which replies of scripts to Redis that were executed are lost.

    :param losing: of these scripts every other reply is lost, the first included, and its connection with it.
    :ivar lost: of which scripts how many replies were not passed on.
    """

    def __init__(self, server: RedisServer, losing: Sequence[str]) -> None:
        super().__init__(server)
        self._names = {script(name).sha.encode(): name for name in losing}
        #: Whose next reply is passed on, since the last one was lost.
        self._passed: defaultdict[str | None, bool] = defaultdict(bool)
        self.lost: Counter[str] = Counter()

    async def _pass(self, link: Link) -> None:
        asking, client, answering, server = link.asking, link.client, link.answering, link.server
        answers = asyncio.create_task(self._carry(link, answering, client))
        try:
            while True:
                words, command = await _command(asking)
                name = self._script(words)
                if name is None or self._passed[name]:
                    self._passed[name] = False
                    server.write(command)
                    continue
                answers.cancel()
                await asyncio.gather(answers, return_exceptions=True)
                server.write(command)
                reply = await answering.read(65536)
                if not reply.startswith(b"-NOSCRIPT"):
                    self._passed[name] = True
                    self.lost[name] += 1
                    return
                client.write(reply)  # it was not executed yet: the reply to its source will be lost
                answers = asyncio.create_task(self._carry(link, answering, client))
        finally:
            answers.cancel()

    def _script(self, words: Sequence[bytes]) -> str | None:
        """Which of the scripts whose replies are lost this command runs."""
        if words[0] == b"EVAL":
            return self._names.get(hashlib.sha1(words[1]).hexdigest().encode())
        return self._names.get(words[1]) if words[0] == b"EVALSHA" else None


async def _command(asking: asyncio.StreamReader) -> tuple[list[bytes], bytes]:
    """The next command, its words and as it was sent."""
    sent = await asking.readuntil(b"\r\n")
    words = []
    for _ in range(int(sent[1:])):
        size = await asking.readuntil(b"\r\n")
        word = await asking.readexactly(int(size[1:]) + 2)
        words.append(word[:-2])
        sent += size + word
    return words, sent
