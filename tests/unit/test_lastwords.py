"""The newest log lines of a running job, where they outlive its process."""

from __future__ import annotations

import json
import os
import threading

from hypothesis import given
from hypothesis import strategies as st

from nephew.backends.records import LogLines
from nephew.journal import LONGEST, Journal, Line
from nephew.lastwords import LastWords, Words, completed, found_in
from nephew.presence import ROOM


class Slot:
    """Room in a worker's file, with what was there before."""

    def __init__(self) -> None:
        self.content = bytearray(b"x" * ROOM)

    def keep(self, words: bytes) -> None:
        assert len(words) <= ROOM
        self.content[: len(words)] = words

    def found(self) -> Words:
        found = found_in(bytes(self.content))
        assert found is not None
        return found


def line(number: int, text: str = "text") -> Line:
    return Line(number, 100.5, "INFO", "shop", text)


def texts(log: LogLines) -> list[str]:
    return [text for _, _, _, text in json.loads(log.lines)]


def test_what_was_said_is_found_with_who_said_it():
    slot = Slot()
    words = LastWords(slot.keep)

    words.add(11, 2, 1, line(1))
    words.add(11, 2, 1, line(2, "öh \ud800"))

    assert slot.found() == Words(11, 2, 1, (line(1), line(2, "öh \ud800")))


def test_the_words_of_another_job_and_of_another_try_take_the_place_of_those_before():
    slot = Slot()
    words = LastWords(slot.keep)

    words.add(11, 2, 1, line(1, "x" * 500))
    words.add(12, 2, 1, line(1, "another job"))
    words.add(12, 2, 1, line(1, "once more"))

    assert slot.found() == Words(12, 2, 1, (line(1, "once more"),))


@given(st.lists(st.text(max_size=3000), min_size=1, max_size=30))
def test_the_newest_lines_are_kept_as_far_as_there_is_room(said: list[str]):
    slot, journal = Slot(), Journal(1, 200)
    words = LastWords(slot.keep)

    added = [journal.add(100.5, "INFO", "shop", text) for text in said]
    for each in added:
        words.add(11, 2, 1, each)

    kept = slot.found().lines
    assert kept, "the very last line is kept in any case"
    assert [each.number for each in kept] == [each.number for each in added][-len(kept) :]
    assert all(each.text.endswith(short.text) for each, short in zip(added[-len(kept) :], kept, strict=True))


def test_a_line_for_which_there_is_no_room_loses_its_beginning():
    slot = Slot()

    LastWords(slot.keep).add(11, 2, 1, line(1, "\N{PILE OF POO}" * LONGEST + "end"))

    (kept,) = slot.found().lines
    assert kept.text.endswith("end") and len(kept.text) > 100


def test_a_line_with_an_endless_logger_is_left_out():
    slot = Slot()

    LastWords(slot.keep).add(11, 2, 1, Line(1, 1.0, "INFO", "x" * ROOM, "text"))

    assert slot.found().lines == ()


def test_what_was_being_written_when_the_process_died_is_read_as_far_as_it_is_whole():
    slot = Slot()
    words = LastWords(slot.keep)
    for number in (1, 2, 3):
        words.add(11, 2, 1, line(number))
    whole = bytes(slot.content).partition(b"\0")[0]

    for cut in range(len(whole)):
        found = found_in(whole[:cut] + bytes(ROOM - cut))
        assert found is None or found.lines == tuple(line(number) for number in (1, 2, 3))[: len(found.lines)]
    assert found_in(b"\xff" * ROOM) is None
    assert found_in(bytes(ROOM)) is None
    assert found_in(b"") is None


def test_threads_of_one_job_do_not_lose_each_others_lines():
    slot, journal = Slot(), Journal(1, 200)
    words = LastWords(slot.keep)
    words.add(11, 2, 1, journal.add(1.0, "INFO", "shop", "first"))

    def talk() -> None:
        for number in range(10):
            words.add(11, 2, 1, journal.add(1.0, "INFO", "shop", f"{threading.get_ident()} {number}"))

    threads = [threading.Thread(target=talk) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(slot.found().lines) == 31


def test_the_child_of_a_job_does_not_write_over_its_parents_words():
    read, write = os.pipe()

    def keep(said: bytes) -> None:
        os.write(write, said)

    words = LastWords(keep)
    pid = os.fork()
    if pid == 0:
        words.add(11, 2, 1, line(1))
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)

    assert os.read(read, ROOM) == b""
    os.close(read)


def test_a_log_is_completed_with_what_the_store_had_not_got_yet():
    words = Words(11, 2, 1, (line(3, "3"), line(4, "4")))
    stored = LogLines(1, json.dumps([[1.0, "INFO", "shop", str(number)] for number in (1, 2, 3)]), 0)

    whole = completed(stored, words, 200)

    assert (texts(whole), whole.attempt, whole.dropped) == (["1", "2", "3", "4"], 1, 0)
    assert completed(whole, words, 200) == whole, "whoever repeats it changes nothing"
    assert texts(completed(None, words, 200)) == ["3", "4"]


def test_lines_that_neither_the_store_nor_the_file_has_are_counted():
    words = Words(11, 2, 1, (line(8, "8"), line(9, "9")))
    stored = LogLines(1, json.dumps([[1.0, "INFO", "shop", "3"], [1.0, "INFO", "shop", "4"]]), 2)

    whole = completed(stored, words, 3)

    assert (texts(whole), whole.dropped) == (["4", "8", "9"], 6)
    assert completed(whole, words, 3) == whole
