"""`nephew import`: the jobs of a real plain Huey become jobs here, whatever happens on the way."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huey import (
    Huey,
    PostgresHuey,
    PriorityRedisHuey,
    RedisExpireHuey,
    RedisHuey,
    SqliteHuey,
)
from huey.api import chord
from huey.registry import Message
from huey.serializer import Serializer, SignedSerializer

from nephew import Nephew
from nephew.codec import Codec
from nephew.errors import BackendError, ConfigError, DecodeError
from nephew.importing import Import, Reader, Report
from nephew.sources import open_source
from tests.eventually import eventually
from tests.shop import declare

ROOT = Path(__file__).resolve().parents[2]

SOURCES = {
    "redis": RedisHuey,
    "redis-expire": RedisExpireHuey,
    "redis-priority": PriorityRedisHuey,
    "sqlite": SqliteHuey,
    "postgres": PostgresHuey,
}

#: Serializers that the command line is given by their path.
SIGNED = SignedSerializer("a secret of the shop")

Options = dict[str, Any]


class Move:
    """An old instance and a new one with the same tasks, and the ways from the one to the other."""

    def __init__(self, kind: str, old_url: str, new_url: str, name: str, folder: Path, **options: Any) -> None:
        self.kind, self.old_url, self.new_url, self.name, self.folder = kind, old_url, new_url, name, folder
        self.old = self._old_huey(**options)
        self.tasks = declare(self.old)
        self.huey = Nephew(name, new_url)
        declare(self.huey)

    def _old_huey(self, **options: Any) -> Huey:
        if self.kind == "sqlite":
            return SqliteHuey(self.name, filename=self.old_url.removeprefix("sqlite:///"), fsync=False, **options)
        if self.kind == "postgres":
            return PostgresHuey(self.name, dsn=self.old_url, blocking=False, **options)
        return SOURCES[self.kind](self.name, url=self.old_url, blocking=False, **options)

    def close(self) -> None:
        self.old.storage.close()
        if self.kind.startswith("redis"):
            self.old.storage.pool.disconnect()
        self.huey.sign_off()
        self.huey.backend.close()

    # -- moving -------------------------------------------------------------------------------------
    def move(self, look: bool = False, serializer: Any = None, trust_pickle: bool = True) -> Report:
        source = open_source(self.old_url, self.name)
        try:
            move = Import(self.huey, source, Reader(self.huey, serializer, trust_pickle))
            return move.look() if look else move.run()
        finally:
            source.close()

    def start(self, *options: str) -> subprocess.Popen[str]:
        """The command, as a user gives it."""
        ours = {"SHOP_NAME": self.name, "SHOP_URL": self.new_url, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [sys.executable, "-m", "nephew", "-A", "tests.shop.huey", "import", self.old_url, *options],
            cwd=self.folder,
            env=os.environ | ours,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *options: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*options)
        out, error = process.communicate(timeout=60)
        assert "Traceback (most recent call last)" not in error, error
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    # -- looking ------------------------------------------------------------------------------------
    def there(self) -> list[bytes]:
        """What the old queue and schedule hold."""
        storage = self.old.storage
        return [bytes(data) for data in [*storage.enqueued_items(), *storage.scheduled_items()]]

    def messages(self) -> list[Any]:
        return [self.old.serializer.deserialize(data) for data in self.there()]

    def here(self) -> list[Any]:
        """The messages of the jobs here, in the order in which they came."""
        rows = [self.huey.backend.row(job.id) for job in reversed(self.huey.jobs(limit=None))]
        return [self.huey.serializer.deserialize(row.payload) for row in rows if row is not None]

    def run_here(self) -> list[Any]:
        """Run all that waits here; what the jobs returned, in order."""
        values = []
        while (task := self.huey.dequeue()) is not None:
            values.append(self.huey.execute(task))
        return values


def make_move(request: pytest.FixtureRequest, kind: str, name: str, folder: Path, **options: Any) -> Move:
    new_url = f"sqlite:///{folder / 'nephew.db'}"
    if kind == "sqlite":
        return Move(kind, f"sqlite:///{folder / 'huey.db'}", new_url, name, folder, **options)
    if kind == "postgres":
        url = request.getfixturevalue("postgres").url
        return Move(kind, url, url, name, folder, **options)
    return Move(kind, request.getfixturevalue("redis").url, new_url, name, folder, **options)


@pytest.fixture(params=SOURCES)
def move(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> Iterator[Move]:
    """Once from every kind of queue."""
    moved = make_move(request, request.param, name, tmp_path)
    yield moved
    moved.close()


@pytest.fixture
def from_sqlite(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> Iterator[Move]:
    moved = make_move(request, "sqlite", name, tmp_path)
    yield moved
    moved.close()


@pytest.fixture
def make(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> Iterator[Callable[..., Move]]:
    """From SQLite, with options of the old instance."""
    made: list[Move] = []

    def make(**options: Any) -> Move:
        made.append(make_move(request, "sqlite", name, tmp_path, **options))
        return made[-1]

    yield make

    for each in made:
        each.close()


def later(hours: int = 1) -> dt.datetime:
    return dt.datetime.now() + dt.timedelta(hours=hours)


# -- what comes over -----------------------------------------------------------------------------------
def test_messages_become_jobs_as_they_were(move: Move) -> None:
    tasks = move.tasks
    for number in range(3):
        tasks.add(number, b=2)
    move.old.enqueue(tasks.add.s(1, expires=dt.timedelta(hours=2), timeout=30).then(tasks.say, "so").error(tasks.say))
    tasks.say.schedule((dt.date(2030, 1, 2), b"bytes", {"a": (1, 2)}), delay=3600)  # not seen by a consumer yet
    move.old.add_schedule(tasks.say.s("first", eta=later(2)))
    move.old.add_schedule(tasks.say.s("soon", eta=later(1)))
    messages = move.messages()

    report = move.move()

    assert (report.waiting, report.scheduled, report.left, report.known) == (4, 3, [], 0)
    assert move.here() == messages
    assert move.there() == []
    states = [job.state for job in reversed(move.huey.jobs())]
    assert states == ["queued"] * 4 + ["scheduled"] * 3
    etas = {job.id: job.eta for job in move.huey.jobs(state="scheduled")}
    assert etas == {message.id: message.eta.replace(tzinfo=dt.UTC) for message in messages[-3:]}


def test_jobs_run_in_their_order_and_by_their_priority(move: Move) -> None:
    with_priority = move.old.storage.priority
    for number in range(6):
        move.tasks.say.schedule((number,), eta=dt.datetime(2020, 1, 1), priority=number % 2 if with_priority else None)

    move.move()

    assert move.run_here() == (["1", "3", "5", "0", "2", "4"] if with_priority else list("012345"))


def test_a_pipeline_goes_on_here_and_its_results_are_found_by_their_old_ids(from_sqlite: Move) -> None:
    tasks = from_sqlite.tasks
    results = from_sqlite.old.enqueue(tasks.add.s(1).then(tasks.add, 10).then(tasks.say, "in all"))

    from_sqlite.move()

    from_sqlite.run_here()
    assert [from_sqlite.huey.result(result.id) for result in results] == [2, 12, "in all 12"]


def test_what_was_revoked_there_does_not_run_here(move: Move) -> None:
    revoked = move.tasks.say("revoked")
    revoked.revoke()
    move.tasks.fail("all of its kind")
    move.tasks.fail.revoke()
    move.tasks.say("runs")

    move.move()

    assert move.run_here() == [None, None, "runs"]
    assert [job.state for job in move.huey.jobs(state="cancelled")] == ["cancelled"] * 2


def test_jobs_of_unknown_tasks_are_kept_and_parked(from_sqlite: Move) -> None:
    @from_sqlite.old.task(priority=3)
    def gone(number: int) -> None: ...

    gone(1)
    from_sqlite.old.enqueue(from_sqlite.tasks.add.s(1).then(gone))
    messages = from_sqlite.messages()

    done = from_sqlite.command("--trust-pickle")

    assert done.returncode == 0, done.stderr
    assert f"2 of them need a task {__name__}.gone, unknown here: a consumer parks them" in done.stdout
    assert from_sqlite.here() == messages
    from_sqlite.run_here()
    assert [job.state for job in from_sqlite.huey.jobs()] == ["parked"] * 2


def test_one_job_stands_for_equal_calls_of_a_task_that_is_unique_now(from_sqlite: Move) -> None:
    from_sqlite.old.task(name="once")(declare)
    from_sqlite.huey.task(name="once", unique=True)(declare)
    once = from_sqlite.old._registry.string_to_task("tests.shop.once")
    for _ in range(2):
        from_sqlite.old.enqueue(once())

    report = from_sqlite.move()

    assert (report.waiting, report.known, from_sqlite.there()) == (1, 1, [])


# -- chords ----------------------------------------------------------------------------------------------
def test_a_chord_whose_members_all_wait_is_moved_and_calls_back(from_sqlite: Move) -> None:
    tasks = from_sqlite.tasks
    inner = chord([tasks.add.s(10), tasks.add.s(20)], tasks.say.s("inner"))
    result = from_sqlite.old.enqueue(chord([tasks.add.s(1), inner, tasks.add.s(2).then(tasks.add, 5)], tasks.say.s()))

    report = from_sqlite.move()

    assert (report.waiting, report.left) == (4, [])
    from_sqlite.run_here()
    assert from_sqlite.huey.result(result.callback.id) == "[2, 'inner [11, 21]', 8]"


def test_a_chord_of_which_a_member_has_run_there_stays_there(from_sqlite: Move) -> None:
    tasks, old = from_sqlite.tasks, from_sqlite.old
    inner = chord([tasks.add.s(10), tasks.add.s(20)], tasks.say.s("inner"))
    result = old.enqueue(chord([inner, tasks.add.s(1)], tasks.say.s()))
    old.execute(old.dequeue())
    tasks.add(7)

    report = from_sqlite.move()

    assert report.waiting == 1
    assert len(report.left) == 2
    assert all("not all members of its chord" in each.reason for each in report.left)
    while (task := old.dequeue()) is not None:
        old.execute(task)
    assert result.get() == "['inner [11, 21]', 2]"


def test_a_chord_with_a_member_that_cannot_be_moved_stays_whole(from_sqlite: Move) -> None:
    tasks = from_sqlite.tasks
    from_sqlite.old.enqueue(chord([tasks.add.s(1), tasks.add.s(object)], tasks.say.s()))
    before = from_sqlite.there()

    report = from_sqlite.move()

    assert (report.waiting, len(report.left)) == (0, 2)
    assert from_sqlite.there() == before


def test_the_rest_of_a_chord_whose_move_was_cut_off_is_recognised(from_sqlite: Move) -> None:
    tasks = from_sqlite.tasks
    result = from_sqlite.old.enqueue(chord([tasks.add.s(1), tasks.add.s(2), tasks.add.s(3)], tasks.say.s()))
    messages = from_sqlite.there()
    from_sqlite.move()
    from_sqlite.run_here()
    for data in messages[1:]:  # as a kill after the first was taken out had left them
        from_sqlite.old.storage.enqueue(data)

    report = from_sqlite.move()

    assert (report.known, report.left, from_sqlite.there()) == (2, [], [])
    assert from_sqlite.run_here() == []
    assert from_sqlite.huey.result(result.callback.id) == "[2, 3, 4]"


# -- what stays ------------------------------------------------------------------------------------------
def test_what_cannot_be_moved_stays_in_its_place_and_is_told(move: Move) -> None:
    storage, tasks = move.old.storage, move.tasks
    unkept = tasks.add(object)
    tasks.add(1)
    storage.enqueue(b"\x80 no pickle")
    tasks.add(2)
    storage.enqueue(pickle.dumps("no message"))
    storage.enqueue(pickle.dumps(Message("odd", "tests.shop.none", chord_config=5)))
    storage.add_to_schedule(b"neither", later())
    tasks.add(3)
    before = move.there()

    done = move.command("--trust-pickle")

    assert done.returncode == 1
    assert "3 waiting and 0 scheduled jobs were moved" in done.stdout
    assert "5 cannot be moved and stay there" in done.stderr
    assert f"{unkept.id}: args[0] of a call of tests.shop.add cannot be stored" in done.stderr
    assert "a message: expected a message of Huey, got a str" in done.stderr
    assert "begin with b'neither'" in done.stderr
    assert move.there() == [before[0], before[2], *before[4:6], before[7]]
    assert move.old.storage.read_schedule(dt.datetime.now()) == []
    assert [message.args for message in move.here()] == [(1,), (2,), (3,)]


def test_a_message_that_somebody_else_takes_meanwhile_is_told_of(from_sqlite: Move) -> None:
    @from_sqlite.huey.task(unique=lambda number: from_sqlite.old.storage.dequeue() and number)
    def snatched(number: int) -> int:
        return number

    @from_sqlite.old.task(name="snatched")
    def other(number: int) -> None: ...

    other(1)

    report = from_sqlite.move()

    assert (report.waiting, report.snatched) == (1, 1)


# -- pickles ---------------------------------------------------------------------------------------------
class Hostile:
    """Runs code wherever it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_runs_no_code_unless_pickles_are_trusted(move: Move, tmp_path: Path) -> None:
    mark = tmp_path / "was here"
    bomb = pickle.dumps(Hostile(mark))
    move.old.storage.enqueue(bomb)
    move.old.storage.add_to_schedule(bomb, later())
    move.old.storage.put_data("rt:tests.shop.add", bomb)
    move.tasks.add(1)
    before = move.there()

    for look in (True, False):
        with pytest.raises(ConfigError, match=r"3 of the 3 messages there are pickles.* with --trust-pickle"):
            move.move(look, trust_pickle=False)
    assert not mark.exists()
    assert move.there() == before
    with pytest.raises(DecodeError, match=r"the revocation rt:tests\.shop\.add there cannot be read"):
        move.move()
    assert mark.exists()  # it would have run


@pytest.mark.parametrize("disguise", [gzip.compress, zlib.compress, lambda data: data], ids=["gzip", "zlib", "ascii"])
def test_a_pickle_in_disguise_runs_no_code_either(
    from_sqlite: Move, tmp_path: Path, disguise: Callable[[bytes], bytes]
) -> None:
    mark = tmp_path / "was here"
    from_sqlite.old.storage.enqueue(disguise(pickle.dumps(Hostile(mark), protocol=0)))

    done = from_sqlite.command()

    assert (done.returncode, mark.exists()) == (1, False)
    assert len(from_sqlite.there()) == 1


def test_a_serializer_that_unpickles_needs_trust_as_well(from_sqlite: Move) -> None:
    from_sqlite.tasks.add(1)

    with pytest.raises(ConfigError, match="1 of the 1 messages there are pickles"):
        from_sqlite.move(serializer=Serializer(), trust_pickle=False)


@pytest.mark.parametrize(
    ("options", "trusted", "serializer"),
    [
        ({"compression": True}, ["--trust-pickle"], None),
        ({"compression": True, "use_zlib": True}, ["--trust-pickle"], None),
        ({"serializer": SIGNED}, ["--serializer", f"{__name__}.SIGNED"], SIGNED),
        ({"serializer": SIGNED}, ["--trust-pickle"], None),
        ({"serializer": Codec()}, [], None),
    ],
    ids=["gzip", "zlib", "signed", "signature unread", "codec"],
)
def test_messages_of_other_serializers_are_read(
    make: Callable[..., Move], options: Options, trusted: list[str], serializer: Any
) -> None:
    move = make(**options)
    move.tasks.add(1)
    move.tasks.say("old").revoke()

    report = move.move(serializer=serializer, trust_pickle="--trust-pickle" in trusted)

    assert (report.waiting, report.left, move.there()) == (2, [], [])
    assert move.run_here() == [2, None]


def test_the_command_takes_the_path_of_a_serializer(make: Callable[..., Move]) -> None:
    move = make(serializer=SIGNED)
    move.tasks.add(1)

    assert "expected a path such as" in move.command("--serializer", "tests.nowhere.it").stderr
    assert "to be a serializer, got" in move.command("--serializer", "tests.shop.declare").stderr
    done = move.command("--serializer", f"{__name__}.SIGNED")

    assert done.returncode == 0, done.stderr
    assert move.run_here() == [2]


# -- again and again ---------------------------------------------------------------------------------------
def test_a_dry_run_tells_and_changes_nothing(from_sqlite: Move) -> None:
    from_sqlite.tasks.add(1)
    from_sqlite.tasks.add(object)
    from_sqlite.tasks.add.schedule((2,), delay=60)
    before = from_sqlite.there()

    done = from_sqlite.command("--trust-pickle", "--dry-run")

    assert done.returncode == 1
    assert "1 waiting and 1 scheduled jobs would be moved" in done.stdout
    assert "1 cannot be moved" in done.stderr
    assert from_sqlite.there() == before
    assert not (from_sqlite.folder / "nephew.db").exists()


@pytest.mark.parametrize("kind", ["redis", "redis-priority", "sqlite", "postgres"])
def test_a_move_that_is_killed_and_repeated_loses_nothing_and_doubles_nothing(
    request: pytest.FixtureRequest, kind: str, name: str, tmp_path: Path, long: bool
) -> None:
    move = make_move(request, kind, name, tmp_path)
    jobs = 8_000 if long else 1_500
    _fill(move, jobs)
    ids = {message.id for message in move.messages()}
    ran: list[Any] = []
    ends: list[int] = []

    try:
        for reached in (_is_stored(move, 1), _is_stored(move, jobs * 2 // 3), _is_taken_out(move, 1)):
            ends.append(_kill_when(move, reached))
            stored = {job.id for job in move.huey.jobs(limit=None)}
            assert stored | {message.id for message in move.messages()} == ids
            ran += _run_some(move)  # they end here while their messages are still there
        done = move.command("--trust-pickle")
        ran += move.run_here()

        assert ends[0] == -signal.SIGKILL  # a later one may just have come through
        assert (done.returncode, move.there()) == (0, [])
        scheduled = [job.args for job in move.huey.jobs("scheduled", limit=None)]
        assert sorted(int(value) for value in ran) == list(range(0, jobs, 2))
        assert sorted(number for (number,) in scheduled) == list(range(1, jobs, 2))
        assert {job.id for job in move.huey.jobs(limit=None)} == ids
    finally:
        move.close()


def _fill(move: Move, jobs: int) -> None:
    """Every other job waits, the others are scheduled."""
    storage = move.old.storage
    for number in range(jobs):
        task = move.tasks.say.s(number) if number % 2 == 0 else move.tasks.say.s(number, eta=later(24))
        data = move.old.serialize_task(task)
        if task.eta is None:
            storage.enqueue(data)
        else:
            storage.add_to_schedule(data, task.eta)


def _is_stored(move: Move, count: int) -> Callable[[], bool]:
    return lambda: sum(move.huey.backend.counts().values()) >= count


def _is_taken_out(move: Move, count: int) -> Callable[[], bool]:
    before = move.old.pending_count()
    return lambda: move.old.pending_count() <= before - count


def _kill_when(move: Move, reached: Callable[[], bool]) -> int:
    """How the command ended."""
    process = move.start("--trust-pickle")
    deadline = time.monotonic() + 30
    while not reached() and process.poll() is None:  # without a pause: what is waited for is soon over
        assert time.monotonic() < deadline
    process.kill()
    process.communicate()
    return process.returncode


def _run_some(move: Move) -> list[Any]:
    tasks = [task for _ in range(50) if (task := move.huey.dequeue()) is not None]
    return [move.huey.execute(task) for task in tasks]


@pytest.mark.parametrize("kind", ["redis", "redis-priority", "sqlite", "postgres"])
def test_what_a_program_on_plain_huey_adds_meanwhile_is_moved_as_well(
    request: pytest.FixtureRequest, kind: str, name: str, tmp_path: Path
) -> None:
    move = make_move(request, kind, name, tmp_path)
    over = threading.Event()
    added: list[str] = []

    def add() -> None:
        while not over.is_set() and len(added) < 3_000:
            added.append(move.tasks.say(len(added), priority=len(added) % 3 if kind != "redis" else None).id)

    producer = threading.Thread(target=add)
    producer.start()
    try:
        eventually(lambda: len(added) > 100)
        with move.start("--trust-pickle") as first:
            eventually(lambda: len(move.huey.jobs(limit=None)) > 150 or first.poll() is not None, 30)
            over.set()
            out, error = first.communicate(timeout=60)
        producer.join()
        last = move.command("--trust-pickle")

        assert (first.returncode, last.returncode) == (0, 0), f"{out}{error}{last.stderr}"
        assert move.there() == []
        assert sorted(job.id for job in move.huey.jobs(limit=None)) == sorted(added)
    finally:
        over.set()
        producer.join()
        move.close()


# -- what cannot be ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("mysql://localhost/huey", ConfigError, r"expected the URL of a queue of plain Huey \(redis://…"),
        ("sqlite:///nowhere.db", ConfigError, "there is no 'nowhere.db'"),
        ("redis://127.0.0.1:1/0", BackendError, "expected a queue of plain Huey in redis://127.0.0.1:1/0, got Conn"),
        ("postgresql://127.0.0.1:1/none", BackendError, "expected a queue of plain Huey in postgresql"),
    ],
)
def test_a_queue_that_is_not_there_is_told_of(from_sqlite: Move, url: str, error: type[Exception], said: str) -> None:
    from_sqlite.old_url = url

    with pytest.raises(error, match=said):
        from_sqlite.move()


def test_a_file_without_a_queue_is_told_of(from_sqlite: Move) -> None:
    (from_sqlite.folder / "empty.db").touch()
    from_sqlite.old_url = f"sqlite:///{from_sqlite.folder}/empty.db"

    with pytest.raises(BackendError, match="got OperationalError: no such table: task"):
        from_sqlite.move()


def test_an_empty_queue_may_be_that_of_another_name(from_sqlite: Move) -> None:
    done = from_sqlite.command("--name", "nobody")

    assert done.returncode == 0
    assert "Nothing waits there for a Huey named nobody; --name tells another name." in done.stderr


def test_a_password_is_not_shown(from_sqlite: Move) -> None:
    from_sqlite.old_url = "redis://shop:secret@127.0.0.1:1/0"

    done = from_sqlite.command()

    assert done.returncode == 1
    assert "in redis://shop:…@127.0.0.1:1/0" in done.stderr
    assert "secret" not in done.stderr


def test_jobs_are_not_moved_into_memory(from_sqlite: Move) -> None:
    from_sqlite.tasks.add(1)
    from_sqlite.huey = Nephew(from_sqlite.name, "memory://")

    with pytest.raises(ConfigError, match="those in memory would end with this command"):
        from_sqlite.move()
    assert len(from_sqlite.there()) == 1


def test_another_instance_is_named(from_sqlite: Move) -> None:
    from_sqlite.tasks.add(1)
    from_sqlite.old.storage.name = "elsewhere"
    from_sqlite.tasks.add(2)

    done = from_sqlite.command("--name", "elsewhere", "--trust-pickle")

    assert done.stdout.startswith("1 waiting and 0 scheduled jobs were moved to ")
    assert from_sqlite.run_here() == [3]
