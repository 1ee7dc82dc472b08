"""Texts for people, as every backend takes them."""

from __future__ import annotations

#: Why a job that had begun waits again: its worker ended in peace, or is not known any more.
RETIRED, ORPHANED = "its worker was shut down", "its worker is not registered any more"


def storable(text: str | None) -> str | None:
    """A text for people as every database takes it: PostgreSQL refuses NUL, no UTF-8 has lone surrogates.

    What a function raised or reported must not keep its job from ending.
    """
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
