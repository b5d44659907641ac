"""Faults that a user injects into requests: error statuses, delays, connections that break.

The kind of a request is its method and the pattern of its path, such as `POST /pubsub/v1/projects/{project}/topics`.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from local.errors import LocalError
from local.http.rest import REASONS, ApiResponse, error_response

DROP, CUT, SLOW = "drop", "cut", "slow"
SLOW_S = 20.0
MAX_TIMES = 999_999  # the largest number that SYNTAX accepts
SYNTAX = re.compile(r"(?P<what>\w+?)(?:@(?P<kinds>.+?))?(?:x(?P<times>[0-9]{1,6}))?", re.ASCII)


@dataclass(frozen=True)
class Fault:
    """A fault for the first `times` requests of each kind in which the regular expression `pattern` is found.

    `effect` is a status (`503`), `drop` (the connection breaks before the request is processed), `cut` (it breaks
    afterwards) or `slow` (the request is processed SLOW_S seconds later).
    """

    effect: str
    pattern: str = ""
    times: int = 1

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Parse `WHAT[@KINDS][xTIMES]`: `503`, `drop@POST /pubsub`, `403@topicsx9`. Raises LocalError."""
        match = SYNTAX.fullmatch(text)
        effect = match["what"] if match else text
        if match is None or not (
            effect in (DROP, CUT, SLOW) or (effect.isdecimal() and int(effect) in REASONS)
        ):
            statuses = ", ".join(map(str, REASONS))
            raise LocalError(
                f"FAULT: found {text!r}, accepted: WHAT[@KINDS][xTIMES] with WHAT one of {statuses}, "
                f"{DROP}, {CUT}, {SLOW}"
            )
        try:
            re.compile(match["kinds"] or "")
        except re.error as error:
            raise LocalError(f"FAULT: {match['kinds']!r} is not a regular expression: {error}") from None
        return cls(effect, match["kinds"] or "", int(match["times"] or 1))

    def __str__(self) -> str:
        return f"{self.effect}{f'@{self.pattern}' if self.pattern else ''}x{self.times}"


NO_RESPONSE = ApiResponse(0, b"")  # the connection breaks


class Faults:
    """Injects a fault into requests; safe to use from any thread. `counts` has the affected requests by kind."""

    def __init__(self) -> None:
        self._fault: Fault | None = None
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def set(self, fault: Fault | None) -> None:
        """Inject this fault from now on, or none."""
        with self._lock:
            self._fault = fault
            self.counts.clear()

    def apply(self, kind: str, work: Callable[[], ApiResponse]) -> ApiResponse:
        """Process a request of that kind with the current fault; return NO_RESPONSE where its connection breaks."""
        fault = self.take(kind)
        if fault is None:
            return work()
        if fault.effect == SLOW:
            time.sleep(SLOW_S)
            return work()
        if fault.effect == CUT:
            work()
        if fault.effect in (DROP, CUT):
            return NO_RESPONSE
        return error_response(int(fault.effect), f"{kind}: injected fault (FAULT={fault.effect})")

    def take(self, kind: str) -> Fault | None:
        """Return the fault that applies to a request of that kind, and count it; None where none applies."""
        with self._lock:
            fault = self._fault
            if fault is None or self.counts[kind] >= fault.times or not re.search(fault.pattern, kind):
                return None
            self.counts[kind] += 1
            return fault
