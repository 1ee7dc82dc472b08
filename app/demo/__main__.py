"""Starts the demonstration in a workspace of its own, so that no setting or data of the user is touched."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from app.demo import WORKSPACE_PREFIX

#: Settings of the user's that would lead the demonstration to other places. To a Redis it is led by REDIS_URL only.
FOREIGN = ("DATABASE_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "SMTP_URL", "NEPHEW_")


def environment(workspace: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The settings for a demonstration in `workspace`: one SQLite file, a data folder, and a queue of that name."""
    kept = {name: value for name, value in environ.items() if not name.startswith(FOREIGN)}
    return kept | {
        "DATABASE_URL": f"sqlite:///{workspace / 'todo.db'}",
        "DATA_DIR": str(workspace),
        # On a Redis that others use, nobody else runs its jobs, and it runs nobody else's.
        "QUEUE_NAME": workspace.name,
        "MAIL_FROM": "To-do <todo@example.org>",
        "DOWNLOAD_MAX_BYTES": str(64 << 20),
        "EXPORT_TTL": "3600",
        "TIME_ZONE": "UTC",
        # The local server is reached directly, also where the way out leads through a proxy.
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "APP_DEMO": "yes",
    }


def main() -> None:
    """Replace this process by the demonstration; the settings are read before the application is imported."""
    # A Ctrl-C from here on is obeyed by the demonstration once it can clear the workspace away.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    workspace = Path(tempfile.mkdtemp(prefix=WORKSPACE_PREFIX))
    command = [sys.executable, "-m", "app.demo.show", *sys.argv[1:]]
    os.execve(sys.executable, command, environment(workspace, os.environ))


if __name__ == "__main__":
    main()
