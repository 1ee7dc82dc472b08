"""What it takes to turn a job into bytes and back: with Nephew's codec, and with pickle, as Huey does it."""

from __future__ import annotations

import time

from huey import MemoryHuey
from huey.serializer import Serializer

from nephew.codec import Codec

_JOBS = 1_000
_RESULT = 42


def measure(times: int) -> list[tuple[float, float]]:
    """Microseconds of processor time per job, the codec's and pickle's in turn."""
    huey, pickle = MemoryHuey("benchmark"), Serializer()
    task = huey.task()(_job)
    message = pickle.deserialize(huey.serialize_task(task.s(1, "somebody@example.com", urgent=True)))
    return [(_micros(Codec(), message), _micros(pickle, message)) for _ in range(times)]


def _micros(serializer: Codec | Serializer, message: object) -> float:
    """Of one job: its message and its result, written and read."""
    started = time.process_time()
    for _ in range(_JOBS):
        serializer.deserialize(serializer.serialize(message))
        serializer.deserialize(serializer.serialize(_RESULT))
    return (time.process_time() - started) / _JOBS * 1e6


def _job(number: int, text: str, urgent: bool = False) -> int:
    return number
