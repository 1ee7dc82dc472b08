"""The command `nephew` under gevent's patches: a script, run by its file name, so that nothing of Huey or of the
application is imported before the patches. It is never imported."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts a script's folder first on the path. Ours must not be there: its modules have everyday names.
    # Where Nephew is not installed, it is found beside this file.
    sys.path[:1] = []
    sys.path.append(str(Path(__file__).resolve().parents[2]))

    from gevent import monkey

    monkey.patch_all()

    from nephew.cli import main

    main()
