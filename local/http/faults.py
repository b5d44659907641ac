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
from local.http.rest import REASONS, Reply, error_reply

DROP, CUT, SLOW = "drop", "cut", "slow"
SLOW_S = 20.0
MOST_TIMES = 999_999  # what FORM reads
FORM = re.compile(r"(?P<what>\w+?)(?:@(?P<kinds>.+?))?(?:x(?P<times>[0-9]{1,6}))?", re.ASCII)


@dataclass(frozen=True)
class Fault:
    """`what` is a status (`503`), `drop` (the connection ends, nothing was done), `cut` (it was done, and ends) or
    `slow` (it is done SLOW_S later).

    It strikes the first `times` calls of each kind that the expression `kinds` is found in.
    """

    what: str
    kinds: str = ""
    times: int = 1

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read `WHAT[@KINDS][xTIMES]`: `503`, `drop@POST /pubsub`, `403@topicsx9`. Raises LocalError."""
        match = FORM.fullmatch(text)
        what = match["what"] if match else text
        if match is None or not (what in (DROP, CUT, SLOW) or (what.isdecimal() and int(what) in REASONS)):
            statuses = ", ".join(map(str, REASONS))
            raise LocalError(
                f"FAULT: found {text!r}, accepted: WHAT[@KINDS][xTIMES] with WHAT one of {statuses}, "
                f"{DROP}, {CUT}, {SLOW}"
            )
        try:
            re.compile(match["kinds"] or "")
        except re.error as error:
            raise LocalError(f"FAULT: {match['kinds']!r} is no regular expression: {error}") from None
        return cls(what, match["kinds"] or "", int(match["times"] or 1))

    def __str__(self) -> str:
        return f"{self.what}{f'@{self.kinds}' if self.kinds else ''}x{self.times}"


NO_REPLY = Reply(0, b"")  # the connection ends


class Faults:
    """Strikes calls until it is told otherwise; safe to use from any thread. `struck` counts, by kind."""

    def __init__(self) -> None:
        self._fault: Fault | None = None
        self.struck: Counter[str] = Counter()
        self._lock = threading.Lock()

    def set(self, fault: Fault | None) -> None:
        """Let this happen from now on, and nothing else."""
        with self._lock:
            self._fault = fault
            self.struck.clear()

    def around(self, kind: str, work: Callable[[], Reply]) -> Reply:
        """Return what a call of that kind gets, which may have done its work and get NO_REPLY."""
        fault = self.strike(kind)
        if fault is None:
            return work()
        if fault.what == SLOW:
            time.sleep(SLOW_S)
            return work()
        if fault.what == CUT:
            work()
        if fault.what in (DROP, CUT):
            return NO_REPLY
        return error_reply(int(fault.what), f"{kind}: refused on demand (FAULT={fault.what})")

    def strike(self, kind: str) -> Fault | None:
        """The fault that a call of that kind meets, which is counted, or None."""
        with self._lock:
            fault = self._fault
            if fault is None or self.struck[kind] >= fault.times or not re.search(fault.kinds, kind):
                return None
            self.struck[kind] += 1
            return fault
