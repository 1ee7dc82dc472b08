"""Log records: their JSON line, the job they belong to, the consumer's start message."""

import json
import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from nephew.current import Running, running
from nephew.journal import Journal
from nephew.logs import JobContext, JsonFormatter, RecordMaker, follow_jobs, install, job_extra, start_line
from nephew.settings import Settings

JSON = Settings(log="json")
TEXT = Settings(log="text")


@dataclass
class Consumer:
    """The `huey` logger as the stock consumer sets it up: one handler, with its own format."""

    handler: logging.Handler
    stream: StringIO

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("[%(asctime)s] %(message)s"))
    huey = logging.getLogger("huey")
    level = huey.level
    huey.addHandler(handler)
    huey.setLevel(logging.INFO)
    yield Consumer(handler, stream)
    huey.removeHandler(handler)
    huey.setLevel(level)


@pytest.fixture
def job() -> Iterator[Running]:
    """A job that is running in the test's context."""
    job = Running("a1b2", "tasks.send_reminder", 2, "mail")
    token = running.set(job)
    yield job
    running.reset(token)


def record(message: str = "hello", **attributes: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "huey.nephew", "levelname": "INFO", "msg": message, **attributes})


def formatted(given: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(given)
    assert len(line.splitlines()) == 1
    return dict(json.loads(line))


def test_a_line_of_json_has_time_level_logger_and_message() -> None:
    line = formatted(record("%d jobs", args=(3,), created=1_735_689_600.25))

    assert line == {
        "time": "2025-01-01T00:00:00.250Z",
        "level": "INFO",
        "logger": "huey.nephew",
        "message": "3 jobs",
    }


def test_a_line_of_json_names_the_job_and_keeps_other_extras() -> None:
    line = formatted(record(job_id="a1", task="t", attempt=1, queue="mail", seconds=1.5, tags=["a", None]))

    assert (line["job_id"], line["task"]) == ("a1", "t")
    assert (line["attempt"], line["queue"]) == (1, "mail")
    assert (line["seconds"], line["tags"]) == (1.5, ["a", None])


def test_what_a_record_does_not_know_is_left_out() -> None:
    line = formatted(record(job_id=None, queue="mail"))

    assert "job_id" not in line
    assert "task" not in line
    assert line["queue"] == "mail"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Path("/a"), "/a"),
        ({"file": Path("/a")}, {"file": "/a"}),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (float("nan"), "nan"),
        ([float("inf")], "[inf]"),
        (b"\n", "b'\\n'"),
    ],
)
def test_a_value_that_json_does_not_know_is_given_as_its_text(value: object, expected: object) -> None:
    assert formatted(record(extra_value=value))["extra_value"] == expected


def test_a_value_that_contains_itself_is_given_as_its_text() -> None:
    endless: list[object] = []
    endless.append(endless)

    assert formatted(record(value=endless))["value"] == "[[...]]"


def test_a_value_whose_text_cannot_be_had_does_not_lose_the_line() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert "Broken object" in formatted(record(value=Broken()))["value"]


@pytest.mark.parametrize("message", ["two\nlines", "\r", "\u2028", "\x85", "\ud800", "Grüße"])
def test_any_message_stays_on_one_line_of_ascii_and_comes_back_whole(message: str) -> None:
    line = JsonFormatter().format(record(message))

    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == message


def test_an_exception_is_kept_with_its_traceback_on_the_same_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        line = formatted(record(exc_info=sys.exc_info()))

    assert line["exception"].startswith("Traceback (most recent call last):")
    assert line["exception"].endswith("ValueError: first\nsecond")


def test_an_exception_that_is_text_already_is_kept() -> None:
    assert formatted(record(exc_text="Traceback …"))["exception"] == "Traceback …"


def test_no_exception_is_shown_where_there_was_none() -> None:
    assert "exception" not in formatted(record(exc_info=(None, None, None)))


def test_a_stack_is_kept() -> None:
    assert formatted(record(stack_info="Stack …"))["stack"] == "Stack …"


def test_the_names_of_the_line_win_over_extras_called_the_same() -> None:
    line = formatted(record(level="mine", time="mine", logger="mine"))

    assert (line["level"], line["logger"]) == ("INFO", "huey.nephew")
    assert line["time"] != "mine"


def test_json_settings_put_the_json_format_on_the_consumers_handler(consumer: Consumer) -> None:
    install(JSON)

    logging.getLogger("huey.consumer").info("started")

    assert [(line["logger"], line["message"]) for line in consumer.lines()] == [("huey.consumer", "started")]


def test_text_settings_leave_the_consumers_format_alone(consumer: Consumer) -> None:
    format_before = consumer.handler.formatter

    install(TEXT)

    assert consumer.handler.formatter is format_before


def test_installing_twice_is_the_same_as_once(consumer: Consumer) -> None:
    install(JSON)
    install(JSON)

    assert len([f for f in consumer.handler.filters if isinstance(f, JobContext)]) == 1


def test_what_a_running_job_logs_names_the_job(consumer: Consumer, job: Running) -> None:
    install(JSON)

    logging.getLogger("huey.tasks.mail").info("sent")

    (line,) = consumer.lines()
    assert (line["job_id"], line["task"]) == ("a1b2", "tasks.send_reminder")
    assert (line["attempt"], line["queue"]) == (2, "mail")


def test_the_applications_own_records_name_the_job_too(consumer: Consumer, job: Running) -> None:
    root, stream = logging.getLogger(), StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(job_id)s %(message)s"))
    root.addHandler(handler)
    try:
        install(TEXT)

        logging.getLogger("shop.mail").warning("sent")
    finally:
        root.removeHandler(handler)

    assert stream.getvalue() == "a1b2 sent\n"


def test_what_is_logged_outside_of_a_job_names_none(consumer: Consumer) -> None:
    install(JSON)

    logging.getLogger("huey.consumer").info("idle")

    assert "job_id" not in consumer.lines()[0]


def test_a_record_about_another_job_keeps_that_one_alone(consumer: Consumer, job: Running) -> None:
    install(JSON)

    logging.getLogger("huey.nephew").info("enqueued", extra={"job_id": "other"})

    (line,) = consumer.lines()
    assert line["job_id"] == "other"
    assert "task" not in line


def test_the_extra_of_a_job_has_what_the_job_has(job: Running) -> None:
    class Unstarted:
        id, task, attempt, queue = "c3", "t", None, "default"

    assert job_extra(job) == {"job_id": "a1b2", "task": "tasks.send_reminder", "attempt": 2, "queue": "mail"}
    assert job_extra(Unstarted()) == {"job_id": "c3", "task": "t", "queue": "default"}
    assert job_extra(None) == {}


def test_the_start_message_tells_version_workers_queues_schedules_and_backend() -> None:
    message = start_line(
        version="0.1",
        backend="SQLite /srv/shop/nephew.db",
        workers=2,
        worker_type="process",
        queues=["mail", "default"],
        schedules={"daily_cleanup": 'cron("0 2 * * *")', "overdue": "every(hours=1)"},
    )

    assert message.splitlines() == [
        "Nephew 0.1 started: 2 process workers, queues mail, default, 2 schedules, jobs in SQLite /srv/shop/nephew.db",
        '  daily_cleanup: cron("0 2 * * *")',
        "  overdue: every(hours=1)",
    ]


def test_the_start_message_of_the_smallest_consumer_reads_well() -> None:
    message = start_line(version="0.1", backend="memory", workers=1, worker_type="thread", queues=(), schedules={})

    assert message == "Nephew 0.1 started: 1 thread worker, all queues, no schedules, jobs in memory"


# -- what jobs keep of their records ------------------------------------------------------------------
class Marked(logging.LogRecord):
    """A record of the application's own kind."""


@pytest.fixture
def maker() -> Iterator[None]:
    """Records are made by a `RecordMaker`, over the application's own factory."""
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(RecordMaker(Marked))
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("maker")
def test_records_are_still_made_by_the_applications_own_factory(caplog: pytest.LogCaptureFixture):
    logging.getLogger("shop").warning("hello")

    assert [type(found) for found in caplog.records] == [Marked]


@pytest.mark.usefixtures("maker")
def test_a_job_keeps_what_its_code_logs_but_not_what_we_log(job: Running):
    job.log_lines = 10

    for name in ("shop", "huey", "huey.shop", "huey.nephew", "huey.nephew.lane", "huey.nephews"):
        logging.getLogger(name).warning("from %s", name)

    assert job.log is not None
    lines = json.loads(job.log.lines().lines)
    assert [text for _, _, _, text in lines] == ["from shop", "from huey", "from huey.shop", "from huey.nephews"]


def test_jobs_are_followed_without_a_handler_that_would_change_the_applications_logging():
    handlers = list(logging.getLogger().handlers)

    follow_jobs()
    followed = logging.getLogRecordFactory()
    follow_jobs()

    assert logging.getLogger().handlers == handlers
    assert logging.getLogRecordFactory() is followed


def test_a_journal_that_is_written_while_it_is_read_loses_no_count():
    journal = Journal(1, 100)
    writer = threading.Thread(target=lambda: [journal.add(0.0, "INFO", "shop", str(n)) for n in range(50_000)])

    writer.start()
    while writer.is_alive():
        assert len(json.loads(journal.lines().lines)) <= 100
    writer.join()

    kept = journal.lines()
    assert len(json.loads(kept.lines)) + kept.dropped == 50_000
    assert not journal.dirty
