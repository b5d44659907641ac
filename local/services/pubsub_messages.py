"""The messages that are not acknowledged yet, stored in SQLite."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.environment.clock import SimulatedClock
from local.environment.environment import LocalEnvironment
from local.processes.disk import connect_sqlite, retry_while_disk_full

SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    subscription TEXT NOT NULL,
    message_id TEXT NOT NULL,
    data BLOB NOT NULL,
    attributes TEXT NOT NULL,
    publish_time TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    leased_until TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (subscription, message_id)
)
"""


@dataclass(frozen=True)
class Message:
    """A message of one subscription; `attempts` counts the delivery attempts."""

    subscription: str
    message_id: str
    data: bytes
    attributes: dict[str, str]
    publish_time: datetime
    attempts: int = 0


class MessageStore:
    """The stored messages; safe to use from any thread."""

    def __init__(self, environment: LocalEnvironment) -> None:
        # A simulation does not continue after a power failure, so its messages need not survive one.
        synchronous = "OFF" if isinstance(environment.clock, SimulatedClock) else "FULL"
        self._database = connect_sqlite(environment.folder / "pubsub.sqlite", synchronous=synchronous)
        self._lock = threading.RLock()
        self._database.execute(SCHEMA)

    @retry_while_disk_full
    def add(self, messages: list[Message]) -> None:
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO messages (subscription, message_id, data, attributes, publish_time) "
                "VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        m.subscription,
                        m.message_id,
                        m.data,
                        json.dumps(m.attributes),
                        _sortable_time(m.publish_time),
                    )
                    for m in messages
                ],
            )

    def all(self) -> list[Message]:
        return self._select("SELECT * FROM messages ORDER BY publish_time, message_id")

    def count(self, subscription: str) -> int:
        with self._lock:
            row = self._database.execute(
                "SELECT count(*) FROM messages WHERE subscription = ?", [subscription]
            ).fetchone()
        return int(row[0])

    @retry_while_disk_full
    def count_attempt(self, message: Message) -> int:
        """Count another delivery attempt of a message, and return its number."""
        with self._transaction() as database:
            row = database.execute(
                "UPDATE messages SET attempts = attempts + 1 WHERE subscription = ? AND message_id = ? "
                "RETURNING attempts",
                [message.subscription, message.message_id],
            ).fetchone()
        return int(row[0]) if row else message.attempts + 1

    @retry_while_disk_full
    def lease(self, subscription: str, limit: int, now: datetime, until: datetime) -> list[Message]:
        with self._transaction() as database:
            found = self._select(
                "SELECT * FROM messages WHERE subscription = ? AND leased_until <= ? "
                "ORDER BY publish_time, message_id LIMIT ?",
                [subscription, _sortable_time(now), limit],
            )
            database.executemany(
                "UPDATE messages SET leased_until = ?, attempts = attempts + 1 "
                "WHERE subscription = ? AND message_id = ?",
                [(_sortable_time(until), subscription, m.message_id) for m in found],
            )
        return found

    @retry_while_disk_full
    def remove(self, subscription: str, message_ids: list[str]) -> int:
        with self._transaction() as database:
            return sum(
                database.execute(
                    "DELETE FROM messages WHERE subscription = ? AND message_id = ?", [subscription, each]
                ).rowcount
                for each in message_ids
            )

    @retry_while_disk_full
    def expire(self, subscription: str, oldest: datetime) -> int:
        with self._transaction() as database:
            return database.execute(
                "DELETE FROM messages WHERE subscription = ? AND publish_time < ?",
                [subscription, _sortable_time(oldest)],
            ).rowcount

    def _select(self, query: str, values: list[Any] | None = None) -> list[Message]:
        with self._lock:
            rows = self._database.execute(query, values or []).fetchall()
        return [
            Message(name, mid, data, json.loads(attributes), datetime.fromisoformat(published), attempts)
            for name, mid, data, attributes, published, attempts, _ in rows
        ]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # SQLite itself rolls back when the disk is full
                    self._database.execute("ROLLBACK")
                raise


def _sortable_time(when: datetime) -> str:
    """Return a time as text whose order is the order of time."""
    return when.astimezone(UTC).isoformat(timespec="microseconds")
