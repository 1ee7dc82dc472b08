"""What may stand between a consumer and its PostgreSQL: PgBouncer, and a proxy that breaks connections."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.eventually import eventually
from tests.servers import DATABASE, USER, PostgresServer, ServerError, _free_port

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
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if not shutil.which("pgbouncer", path=path) and os.geteuid() == 0 and shutil.which("apt-get"):
        # At runlevel 1 a package's service is not started.
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", "pgbouncer"]):
            subprocess.run(["apt-get", "-qq", *command], env=environment, capture_output=True)
    if found := shutil.which("pgbouncer", path=path):
        return found
    raise ServerError("found no pgbouncer: install the system's package of that name")


class Cutter:
    """A proxy that closes each connection when it has been idle so many times between two transactions.

    :param swallow: the last answer is not passed on, so that nobody knows whether its transaction was committed.
    """

    def __init__(self, server: PostgresServer, every: int, swallow: bool = False) -> None:
        self._server, self._every, self._swallow = server, every, swallow
        self.port, self.cuts = _free_port(), 0

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}?sslmode=disable&gssencmode=disable"

    def __enter__(self) -> Cutter:
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
        answering, server = await asyncio.open_connection("127.0.0.1", self._server.port)
        questions = asyncio.create_task(_pass_on(asking, server))
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._pass_answers(answering, client)
        questions.cancel()
        client.close()
        server.close()

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


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.close()
