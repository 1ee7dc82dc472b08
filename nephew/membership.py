"""This process as one of those that work for an instance: how it signs on and off, and what a fork leaves of it."""

from __future__ import annotations

import atexit
import logging
import os
import socket
import threading
import weakref
from typing import TYPE_CHECKING, cast

from nephew import presence
from nephew.errors import BackendError, ConfigError
from nephew.settings import Settings

if TYPE_CHECKING:
    from nephew.backends.contract import Backend
    from nephew.backends.sql.archive import Archive
    from nephew.instance import Nephew
    from nephew.worker import Worker

log = logging.getLogger("huey.nephew")


class Membership:
    """The part of `Nephew` that knows of processes."""

    if TYPE_CHECKING:  # what the instance has
        settings: Settings
        _backends: dict[bool, Backend]
        _store: Archive | None

        @property
        def backend(self) -> Backend: ...

        def _in_memory(self) -> bool: ...
        def stop_listening(self) -> None: ...

    @property
    def store(self) -> Archive | None:
        """Where the history goes when the queue is on Redis; None: it stays where the jobs are."""
        return None if self._in_memory() or self.backend.keeps is None else self._store

    def take_part(self) -> None:
        """Prepare for the end of this process, and for its children."""
        self._opening = threading.RLock()
        self._workers: dict[bool, Worker] = {}
        self._consuming = False
        #: The consumer ends, and interrupts what runs.
        self.interrupting = False
        _sign_off_at_exit(self)
        if hasattr(os, "register_at_fork"):
            _forget_in_children(self)

    @property
    def worker(self) -> Worker:
        """This process as a worker; registered when it first claims."""
        from nephew.worker import Worker

        memory = self._in_memory()
        worker = self._workers.get(memory)
        if worker is None:
            with self._opening:
                worker = self._workers.setdefault(memory, Worker(cast("Nephew", self)))
        return worker

    def adopt_worker(self, worker: Worker) -> None:
        """The consumer's worker stands for this process from now on."""
        earlier = self._workers.get(False)
        self._workers[False] = worker
        if earlier is not None and earlier is not worker:
            earlier.retire()

    def start_consuming(self) -> None:
        """A consumer begins in this process."""
        self._consuming, self.interrupting = True, False

    def stop_consuming(self) -> None:
        """The consumer has ended: sign off and close."""
        self._consuming = False
        self.close_before_fork()

    def sign_off(self) -> None:
        """Take this process's registration back, if the store can be reached."""
        workers, self._workers = self._workers, {}
        for worker in workers.values():
            try:
                worker.retire()
            except BackendError as error:
                log.warning("Could not sign off (%s); another consumer will.", error)

    def prepare_store(self) -> None:
        """Have the tables ready before workers start.

        :raises ConfigError: when the store can never be used as it is.
        :raises BackendError: when it cannot be reached now.
        """
        if self.store is not None:
            refuse_other_hosts(self.backend, self.store)
        self.backend.schema()
        if self.settings.auto_migrate or not self.backend.heartbeats:
            self.backend.migrate()

    def close_before_fork(self) -> None:
        """Hold nothing open that a child would share."""
        self.sign_off()
        self.close()

    def close(self) -> None:
        """Close what the calling thread holds open; the next call opens it again."""
        self.backend.close()
        if self.store is not None:
            self.store.close()

    def forked(self) -> None:
        """In a fork's child: what the parent holds is the parent's."""
        self._workers = {}
        self._opening = threading.RLock()
        presence.forget_inherited()
        self.stop_listening()
        for backend in self._backends.values():
            backend.forget_connections()
        if self._store is not None:
            self._store.forget_connections()


def refuse_other_hosts(backend: Backend, store: Archive) -> None:
    """Refuse a store that only this host sees, once workers of another host are there.

    :raises ConfigError: when there are.
    """
    if store.heartbeats:
        return
    here = presence.boot_id(), socket.gethostname()
    others = {worker.host for worker in backend.workers() if worker.boot != here[0] and worker.host != here[1]}
    if others:
        raise ConfigError(
            f"expected consumers on this host only, since the history goes to {store.description}, but there are "
            f"workers on {', '.join(sorted(others))}; several hosts need a store that all of them reach: set "
            "NEPHEW_DATABASE_URL (or database_url) to a PostgreSQL database"
        )


def _sign_off_at_exit(member: Membership) -> None:
    """A program that claimed jobs by hand leaves no registration behind."""
    reference = weakref.ref(member)

    def sign_off() -> None:
        instance = reference()
        if instance is not None:
            instance.sign_off()

    atexit.register(sign_off)


def _forget_in_children(member: Membership) -> None:
    """A child that a user's program forks must not use its parent's connections."""
    reference = weakref.ref(member)

    def forget() -> None:
        instance = reference()
        if instance is not None:
            instance.forked()

    os.register_at_fork(after_in_child=forget)
