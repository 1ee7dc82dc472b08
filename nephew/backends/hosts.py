"""What all workers of one host see."""

from __future__ import annotations

import os
import tempfile

from nephew.errors import BackendError


def run_dir() -> str:
    """A folder of this user's for the workers' files, made if need be.

    :raises BackendError: when it is somebody else's.
    """
    if not hasattr(os, "getuid"):
        return os.path.join(tempfile.gettempdir(), "nephew")
    folder = os.path.join(tempfile.gettempdir(), f"nephew-{os.getuid()}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if os.stat(folder).st_uid != os.getuid():
        raise BackendError(f"{folder} belongs to somebody else; set NEPHEW_RUN_DIR to a folder of your own")
    return folder
