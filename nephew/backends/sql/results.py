"""Results, which live in the rows of their jobs, and data under keys of the user's and of Huey's."""

from __future__ import annotations

from collections.abc import Sequence

from nephew.backends.sql.connection import Connected, Run
from nephew.backends.sql.rows import marks

LIVE = "(expires_at IS NULL OR expires_at > ?)"


class Results(Connected):
    """Values that somebody may ask for."""

    def outcome(self, job_id: str) -> tuple[str, bytes | None, str | None] | None:
        """State, result and reason of a job; see the contract."""
        rows = self.read("SELECT state, result, reason FROM nephew_job WHERE name = ? AND id = ?", (self.name, job_id))
        if not rows:
            return None
        state, result, reason = rows[0]
        return state, None if result is None else bytes(result), reason

    def take_result(self, job_id: str) -> bytes | None:
        """Read a result and delete it; see the contract."""

        def step(run: Run) -> bytes | None:
            found = run(
                f"SELECT result FROM nephew_job WHERE name = ? AND id = ?{self.dialect.for_update}",
                (self.name, job_id),
            ).fetchone()
            if found is None or found[0] is None:
                return None
            run("UPDATE nephew_job SET result = NULL WHERE name = ? AND id = ?", (self.name, job_id))
            return bytes(found[0])

        return self.write(step)

    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Store data; see the contract."""
        now = self.now()
        self.write(
            lambda run: run(
                "INSERT INTO nephew_data (name, key, value, expires_at, revocation) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name, key) DO UPDATE SET value = excluded.value,"
                " expires_at = excluded.expires_at",
                (self.name, key, value, None if ttl is None else now + ttl, _revokes(key)),
            )
        )

    def put_new(self, key: str, value: bytes, ttl: float | None = None) -> bool:
        """Store data under a free key; see the contract."""
        now = self.now()
        rows = self.write_one(
            "INSERT INTO nephew_data (name, key, value, expires_at, revocation) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (name, key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at"
            " WHERE nephew_data.expires_at <= ? RETURNING 1",
            (self.name, key, value, None if ttl is None else now + ttl, _revokes(key), now),
        )
        return bool(rows)

    def peek(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Data under keys; see the contract."""
        if not keys:
            return {}
        rows = self.read(
            f"SELECT key, value FROM nephew_data WHERE name = ? AND key IN ({marks(keys)}) AND {LIVE}"
            " UNION ALL SELECT id, result FROM nephew_job"
            f" WHERE name = ? AND id IN ({marks(keys)}) AND result IS NOT NULL",
            (self.name, *keys, self.now(), self.name, *keys),
        )
        return {key: bytes(value) for key, value in rows}

    def pop(self, key: str) -> bytes | None:
        """Read data and delete it; see the contract."""

        def step(run: Run) -> bytes | None:
            found = run(
                f"DELETE FROM nephew_data WHERE name = ? AND key = ? AND {LIVE} RETURNING value",
                (self.name, key, self.now()),
            ).fetchone()
            return bytes(found[0]) if found else None

        taken = self.write(step)
        return self.take_result(key) if taken is None else taken

    def items(self) -> dict[str, bytes]:
        """All data and results; see the contract."""
        rows = self.read(
            f"SELECT key, value FROM nephew_data WHERE name = ? AND {LIVE}"
            " UNION ALL SELECT id, result FROM nephew_job WHERE name = ? AND result IS NOT NULL",
            (self.name, self.now(), self.name),
        )
        return {key: bytes(value) for key, value in rows}

    def add(self, key: str, amount: int) -> int:
        """Change a counter; see the contract."""
        rows = self.write_one(
            "INSERT INTO nephew_counter (name, key, value) VALUES (?, ?, ?)"
            " ON CONFLICT (name, key) DO UPDATE SET value = nephew_counter.value + excluded.value"
            " RETURNING value",
            (self.name, key, amount),
        )
        return int(rows[0][0])

    def drop_counter(self, key: str) -> None:
        """Forget a counter; see the contract."""
        self.write(lambda run: run("DELETE FROM nephew_counter WHERE name = ? AND key = ?", (self.name, key)))


def _revokes(key: str) -> bool:
    """Whether Huey keeps a revocation under this key (of a job, or of all jobs of a task)."""
    return key.startswith(("r:", "rt:"))
