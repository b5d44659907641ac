"""The deadline of a sweep, and the timeouts that it leaves to each call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.cloud.storage.retry import DEFAULT_RETRY

CALL_SECONDS = 10.0  # timeout of one attempt of a call
RETRY_SECONDS = 10.0  # how long a call is retried
# What starts before the deadline ends within this time. The stack reserves 30 s of a request's timeout for it.
FINISH_SECONDS = CALL_SECONDS + RETRY_SECONDS
RETRY = DEFAULT_RETRY.with_timeout(RETRY_SECONDS)


class OutOfTimeError(Exception):
    """No time was left for a call; the next sweep makes it."""


@dataclass(frozen=True)
class Deadline:
    """Until `ends_at`, in seconds of `clock`, objects may be started; their calls end FINISH_SECONDS later."""

    clock: Callable[[], float]
    ends_at: float

    def is_over(self) -> bool:
        """Return whether no further object may be started."""
        return self.clock() >= self.ends_at

    def halfway(self) -> "Deadline":
        """Return the deadline of work that may take half of the remaining time."""
        return Deadline(self.clock, (self.clock() + self.ends_at) / 2)

    def limits(self) -> dict[str, Any]:
        """Return `timeout` and `retry` for the next call of a started object. Raises OutOfTimeError."""
        left = self.ends_at + FINISH_SECONDS - self.clock()
        if left <= 0:
            raise OutOfTimeError
        timeout = min(CALL_SECONDS, left)
        return {"timeout": timeout, "retry": RETRY.with_timeout(min(RETRY_SECONDS, left - timeout))}
