"""Results, which are kept with the ends of their jobs, and data under keys of the user's and of Huey's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nephew.backends.redis import packing
from nephew.backends.redis.connection import Connected


class Results(Connected):
    """Values that somebody may ask for."""

    def outcome(self, job_id: str) -> tuple[str, bytes | None, str | None] | None:
        """State, result and reason of a job; see the contract. Known for as long as its result would be kept."""
        kept, state, reason = self.run("outcome", job_id)
        told, result = packing.ending(kept)
        if state is None:
            return (told["state"], result, told.get("reason")) if "state" in told else None
        return state.decode(), result, None if reason is None else reason.decode()

    def take_result(self, job_id: str) -> bytes | None:
        """Read a result and delete it; see the contract."""
        result: bytes | None = self.run("take_results", job_id, repeat=False)[0]
        return result

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Store data; see the contract."""
        self._put(key, value, ttl, new=False)

    def put_new(self, key: str, value: bytes, ttl: float | None = None) -> bool:
        """Store data under a free key; see the contract."""
        return self._put(key, value, ttl, new=True)

    def _put(self, key: str, value: bytes, ttl: float | None, new: bool) -> bool:
        kept, only = "" if ttl is None else ttl, "1" if new else ""
        return bool(self.run("put", key, value, kept, only, repeat=not new))

    def peek(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Data under keys; see the contract."""
        found = self.run("peek", *keys) if keys else []
        return {key: value for key, value in zip(keys, found, strict=True) if value is not None}

    def pop(self, key: str) -> bytes | None:
        """Read data and delete it; see the contract."""
        value: bytes | None = self.run("pop", key, repeat=False)
        return value

    def items(self) -> dict[str, bytes]:
        """All data and results; see the contract."""
        over = set(self.call("ZRANGEBYSCORE", self.key("data_until"), "-inf", self.now()))
        data = (pair for word in ("data", "revoked") for pair in self.scan(self.key(word)))
        found = {key.decode(): value for key, value in data if key not in over}
        for slot in self.call("ZRANGE", self.key("slots"), 0, -1):
            for job_id, kept in self.scan(slot):
                result = packing.ending(kept)[1]
                if result is not None:
                    found[job_id.decode()] = result
        return found

    def scan(self, key: str | bytes) -> Iterator[tuple[bytes, bytes]]:
        """The fields and values of a hash, read a little at a time; one that is changed meanwhile may come twice."""
        at = b"0"
        while True:
            at, found = self.call("HSCAN", key, at, "COUNT", 500)
            yield from zip(found[::2], found[1::2], strict=True)
            if at == b"0":
                return

    def add(self, key: str, amount: int) -> int:
        """Change a counter; see the contract."""
        return int(self.call("HINCRBY", self.key("counters"), key, amount, repeat=False))

    def drop_counter(self, key: str) -> None:
        """Forget a counter; see the contract."""
        self.call("HDEL", self.key("counters"), key)
