"""How the code of a running job is stopped from outside: a way for each kind of worker.

Each function here is called by the thread that runs jobs, and returns what stops the job that it runs then.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from nephew.shield import my_shield

#: Stops a job: raises the error in the code of that job, and in no other.
Stop = Callable[[object, BaseException], None]


def by_exception() -> Stop:
    """For threads: an asynchronous exception. A call into C ends when it returns."""
    shield, ident = my_shield(), threading.get_ident()
    return lambda job, error: shield.strike_thread(ident, job, error)


def by_signal() -> Stop:
    """For the main thread of a process: a signal, which ends waiting system calls as well.

    SIGTERM, since its handler is the worker's own (`heed_signal`); others are left to the user's code.
    """
    shield, ident = my_shield(), threading.get_ident()

    def stop(job: object, error: BaseException) -> None:
        shield.aim(job, error)
        signal.pthread_kill(ident, signal.SIGTERM)

    return stop


def by_throwing() -> Stop:
    """For greenlets: thrown by the hub, where the greenlet waits. One that never waits is not stopped."""
    import gevent

    shield, greenlet, hub = my_shield(), gevent.getcurrent(), gevent.get_hub()

    def throw(job: object, error: BaseException) -> None:
        if shield.exposed is job and not shield.hold(error):
            greenlet.throw(error)

    return lambda job, error: hub.loop.run_callback(throw, job, error)


def spare_children() -> None:
    """From now on a process that a job forks ends on SIGTERM as any other: this one's handler is not meant for it."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
