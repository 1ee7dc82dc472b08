"""How much the store holds of an instance, by what it is: for tests that nothing is left of what is over."""

from __future__ import annotations

from collections import Counter

from nephew import Nephew
from nephew.backends.sql.tables import TABLES

#: What tells how many entries a key has, by its type; a string counts as one, and what has just gone as none.
SIZES = {
    b"none": "EXISTS",
    b"string": "EXISTS",
    b"hash": "HLEN",
    b"set": "SCARD",
    b"zset": "ZCARD",
    b"list": "LLEN",
    b"stream": "XLEN",
}

#: What is called alike on all backends: its table, and the word in its keys.
CALLED = {
    "chord values": ("nephew_chord_member", "chord"),
    "data": ("nephew_data", "data"),
    "ticks": ("nephew_tick", "ticks"),
}


def stored(huey: Nephew) -> Counter[str]:
    """Rows by table, or keys and their entries by the word behind the instance's tag."""
    backend = huey.backend
    if hasattr(backend, "read"):
        names = [table._meta.table_name for table in TABLES]
        counts = {name: backend.read(f"SELECT count(*) FROM {name} WHERE name = ?", (huey.name,)) for name in names}
        return Counter({name: count[0][0] for name, count in counts.items()})
    entries: Counter[str] = Counter()
    for key in backend.call("KEYS", f"{{{huey.name}}}:*"):
        entries["keys"] += 1
        entries[key.decode().split(":")[1]] += backend.call(SIZES[backend.call("TYPE", key)], key)
    return +entries


def count(huey: Nephew, what: str) -> int:
    """How many `chord values`, `data` or `ticks` there are."""
    counts = stored(huey)
    return sum(counts[word] for word in CALLED[what])
