"""When a sweep ends, and what each of its calls may take of the time until then."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.cloud.storage.retry import DEFAULT_RETRY

CALL_SECONDS = 10.0  # that one attempt of a call may wait
RETRY_SECONDS = 10.0  # during which a call is attempted again
# What is begun before the deadline ends within this. The stack keeps 30 s of a request for it.
FINISH_SECONDS = CALL_SECONDS + RETRY_SECONDS
RETRY = DEFAULT_RETRY.with_timeout(RETRY_SECONDS)


class OutOfTimeError(Exception):
    """A call was not begun; the next sweep makes it."""


@dataclass(frozen=True)
class Deadline:
    """Until `ends_at`, in seconds of `clock`, objects are begun; their calls end FINISH_SECONDS later."""

    clock: Callable[[], float]
    ends_at: float

    def is_over(self) -> bool:
        """Whether nothing may be begun any more."""
        return self.clock() >= self.ends_at

    def halfway(self) -> "Deadline":
        """The deadline for work that may take half of the time that is left."""
        return Deadline(self.clock, (self.clock() + self.ends_at) / 2)

    def limits(self) -> dict[str, Any]:
        """`timeout` and `retry` of the next call of an object at work; raises OutOfTimeError."""
        left = self.ends_at + FINISH_SECONDS - self.clock()
        if left <= 0:
            raise OutOfTimeError
        timeout = min(CALL_SECONDS, left)
        return {"timeout": timeout, "retry": RETRY.with_timeout(min(RETRY_SECONDS, left - timeout))}
