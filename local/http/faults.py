"""What can go wrong between a deploy and Google, on demand: refusals, breakdowns, connections that end.

A kind of call is a method and the pattern of a path, such as `POST /pubsub/v1/projects/{project}/topics`.
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
MAX_TIMES = 999_999  # what FORM reads
SYNTAX = re.compile(r"(?P<what>\w+?)(?:@(?P<kinds>.+?))?(?:x(?P<times>[0-9]{1,6}))?", re.ASCII)


@dataclass(frozen=True)
class Fault:
    """`what` is a status (`503`), `drop` (the connection ends, nothing was done), `cut` (it was done, and ends) or
    `slow` (it is done SLOW_S later).

    It strikes the first `times` calls of each kind that the expression `kinds` is found in.
    """

    effect: str
    pattern: str = ""
    times: int = 1

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read `WHAT[@KINDS][xTIMES]`: `503`, `drop@POST /pubsub`, `403@topicsx9`. Raises LocalError."""
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
            raise LocalError(f"FAULT: {match['kinds']!r} is no regular expression: {error}") from None
        return cls(effect, match["kinds"] or "", int(match["times"] or 1))

    def __str__(self) -> str:
        return f"{self.effect}{f'@{self.pattern}' if self.pattern else ''}x{self.times}"


NO_RESPONSE = ApiResponse(0, b"")  # the connection ends


class Faults:
    """Strikes calls until it is told otherwise; safe to use from any thread. `struck` counts, by kind."""

    def __init__(self) -> None:
        self._fault: Fault | None = None
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def set(self, fault: Fault | None) -> None:
        """Let this happen from now on, and nothing else."""
        with self._lock:
            self._fault = fault
            self.counts.clear()

    def apply(self, kind: str, work: Callable[[], ApiResponse]) -> ApiResponse:
        """Return what a call of that kind gets, which may have done its work and get NO_REPLY."""
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
        return error_response(int(fault.effect), f"{kind}: refused on demand (FAULT={fault.effect})")

    def take(self, kind: str) -> Fault | None:
        """The fault that a call of that kind meets, which is counted, or None."""
        with self._lock:
            fault = self._fault
            if fault is None or self.counts[kind] >= fault.times or not re.search(fault.pattern, kind):
                return None
            self.counts[kind] += 1
            return fault
