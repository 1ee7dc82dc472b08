"""`python -m nephew`: the command `nephew`, for where its script is not on the PATH."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    # Run by its file name, as a consumer does that restarts itself on SIGHUP: then Python puts this folder
    # on the path instead of the one that holds it.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from nephew.cli import main

if __name__ == "__main__":
    main()
