"""The tasks of a shop that moves from plain Huey to Nephew, declared alike on its old instance and its new one."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from huey import Huey

from nephew import Nephew


def declare(huey: Huey) -> SimpleNamespace:
    """Make its functions tasks of an instance."""

    @huey.task(retries=3, retry_delay=7, retry_backoff=2)
    def add(a: Any, b: Any = 1) -> Any:
        return a + b

    @huey.task()
    def fail(text: str) -> None:
        raise ValueError(text)

    @huey.task()
    def say(*words: Any) -> str:
        return " ".join(map(str, words))

    return SimpleNamespace(add=add, fail=fail, say=say)


if "SHOP_URL" in os.environ:  # read by the command line
    huey = Nephew(os.environ["SHOP_NAME"], os.environ["SHOP_URL"])
    declare(huey)
