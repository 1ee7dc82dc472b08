"""What may stand between a consumer and its server: PgBouncer, and proxies that break, delay or lose something."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import threading
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Self

from nephew.backends.redis.scripts import script
from tests.eventually import eventually
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


class Proxy(ABC):
    """Passes connections on to a server, on a thread of its own."""

    def __init__(self, server: Server) -> None:
        self._server, self.port = server, _free_port()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._listening = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _end(self) -> None:
        self._listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, asking: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        server: asyncio.StreamWriter | None = None
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            answering, server = await asyncio.open_connection("127.0.0.1", self._server.port)
            await self._pass(asking, server, answering, client)
        client.close()
        if server is not None:
            server.close()

    @abstractmethod
    async def _pass(
        self,
        asking: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        answering: asyncio.StreamReader,
        client: asyncio.StreamWriter,
    ) -> None:
        """Pass questions and answers on; when it returns, both connections are closed."""


class Cutter(Proxy):
    """A proxy that closes each connection when it has been idle so many times between two transactions.

    :param swallow: the last answer is not passed on, so that nobody knows whether its transaction was committed.
    """

    def __init__(self, server: PostgresServer, every: int, swallow: bool = False) -> None:
        super().__init__(server)
        self._every, self._swallow, self.cuts = every, swallow, 0

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}?sslmode=disable&gssencmode=disable"

    async def _pass(
        self,
        asking: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        answering: asyncio.StreamReader,
        client: asyncio.StreamWriter,
    ) -> None:
        questions = asyncio.create_task(_pass_on(asking, server))
        try:
            await self._pass_answers(answering, client)
        finally:
            questions.cancel()

    async def _pass_answers(self, answering: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        idle, answer = 0, b""
        while idle <= self._every:  # the first time is the end of the login
            head = await answering.readexactly(5)
            body = await answering.readexactly(int.from_bytes(head[1:], "big") - 4)
            answer += head + body
            if head[:1] == READY:
                idle += body == IDLE
                if idle <= self._every or not self._swallow:
                    client.write(answer)
                answer = b""
            elif idle == 0:  # the login is a dialogue
                client.write(answer)
                answer = b""
            await client.drain()
        self.cuts += 1


class Detour(Proxy):
    """A proxy on which commands to Redis take their time, and replies of scripts that were executed are lost.

    :param losing: of these scripts every other reply is lost, the first included, and its connection with it.
    :ivar delay: seconds that each command takes on its way.
    :ivar commands: how many were passed on; `lost`: of which scripts how many replies were not.
    """

    def __init__(self, server: RedisServer, losing: Sequence[str] = ()) -> None:
        super().__init__(server)
        self.delay, self.commands = 0.0, 0
        self._names = {script(name).sha.encode(): name for name in losing}
        #: Whose next reply is passed on, since the last one was lost.
        self._passed: defaultdict[str | None, bool] = defaultdict(bool)
        self.lost: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def _pass(
        self,
        asking: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        answering: asyncio.StreamReader,
        client: asyncio.StreamWriter,
    ) -> None:
        answers = asyncio.create_task(_pass_on(answering, client))
        try:
            while True:
                words, command = await _command(asking)
                self.commands += 1
                await asyncio.sleep(self.delay)
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
                answers = asyncio.create_task(_pass_on(answering, client))
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


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.close()
