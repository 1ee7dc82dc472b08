"""The same application for greenlet workers: gevent patches the standard library before anything else."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

from tests.soak.app import huey  # noqa: E402

__all__ = ["huey"]
