"""Job ids: UUIDs of version 7, made many at once, and never one twice."""

from __future__ import annotations

import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from nephew.job import AT_ONCE, new_id, new_ids


def test_an_id_is_a_uuid_of_version_7_that_tells_when_it_was_made():
    before = time.time_ns() // 1_000_000
    ids = [new_id() for _ in range(AT_ONCE * 2 + 1)]
    after = time.time_ns() // 1_000_000

    made = [uuid.UUID(each) for each in ids]

    assert [str(each) for each in made] == ids
    assert {(each.version, each.variant) for each in made} == {(7, uuid.RFC_4122)}
    assert all(before <= each.int >> 80 <= after for each in made)
    assert sorted(each[:13] for each in ids) == [each[:13] for each in ids]


def test_ids_that_are_made_together_are_of_the_same_kind_and_in_order():
    before = new_id()
    ids = new_ids(1000)

    made = [uuid.UUID(each) for each in ids]

    assert {(each.version, each.variant) for each in made} == {(7, uuid.RFC_4122)}
    assert ids == sorted(set(map(str, made)))
    assert ids[0][:13] >= before[:13]


def test_threads_make_no_id_twice():
    start = threading.Barrier(4)

    def some(_: int) -> list[str]:
        start.wait()
        return [new_id() for _ in range(1000)]

    with ThreadPoolExecutor(4) as pool:
        ids = [each for made in pool.map(some, range(4)) for each in made]

    assert len(set(ids)) == 4000


def test_a_forked_process_makes_none_of_its_parents_ids():
    new_id()  # of those made at once, the others are the parent's
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "".join(new_id()[14:] for _ in range(AT_ONCE)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)

    theirs = {text[start : start + 22] for start in range(0, len(text), 22)}
    ours = {new_id()[14:] for _ in range(AT_ONCE)}

    assert len(theirs) == len(ours) == AT_ONCE
    assert not theirs & ours
