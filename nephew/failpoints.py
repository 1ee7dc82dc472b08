"""Named places where a test can hold the real process at an exact step, or have a reply lost there.

`NEPHEW_FAILPOINTS` names a folder; without it nothing is armed and each place costs one test of `armed`. A file in
that folder that is called like a place arms it, for whoever comes there first and for once. What it says is done:

* `hold`: the process waits there until the file is taken away. It is called `<place>.<pid>` by then, which says that
  the place was reached, and by whom: now the process can be killed, signalled or stopped.
* `lose`: the step ends as if the store had done it and its reply had been lost, with `BackendError`.

Places: `registered`, `claimed`, `before-run`, `mid-run` (inside a function, which has to call `reach` itself),
`after-run`, `begun-once`, `before-settle`, `before-requeue` (a settle that lets a job wait again),
`settled-unacknowledged`, `before-retire`, `enqueued`, `promoted`, `before-tick`, `tick-written`, `before-reap`,
`reaped`.
"""

from __future__ import annotations

import os
import time

from nephew.errors import BackendError
from nephew.settings import failpoints_from

#: The folder by which places are armed; empty: none are.
armed = failpoints_from(os.environ)

#: A process that nobody lets go goes on by itself after this (seconds).
LONGEST = 60.0


def reach(place: str) -> None:
    """Do what this place was armed with, if it was.

    :raises BackendError: when the reply of the step before is to be lost.
    """
    taken = os.path.join(armed, f"{place}.{os.getpid()}")
    try:
        os.rename(os.path.join(armed, place), taken)
        with open(taken) as file:
            action = file.read()
    except FileNotFoundError:  # it is not armed, or whoever was to be held has been let go by now
        return
    if action == "hold":
        _wait_without(taken)
    elif action == "lose":
        os.unlink(taken)
        raise BackendError(f"the reply was lost at the failpoint {place}")
    else:
        raise ValueError(f"expected the failpoint {place} to be armed with hold or lose, got {action!r}")


def _wait_without(path: str) -> None:
    until = time.monotonic() + LONGEST
    while os.path.exists(path) and time.monotonic() < until:
        time.sleep(0.002)
