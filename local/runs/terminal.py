"""Progress output: a spinner on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner


class Terminal:
    """Prints lines with the seconds since the start, and measures stages; safe to use from any thread."""

    def __init__(self, console: Console | None = None) -> None:
        # Without a terminal, tables may be as wide as lines of a log.
        width = None if sys.stdout.isatty() else 120
        self._console = console or Console(highlight=False, soft_wrap=True, width=width)
        self._began = time.monotonic()
        self._live: Live | None = None
        self._doing: list[str] = []
        self._lock = Lock()
        self.seconds: dict[str, float] = {}  # by stage

    @property
    def elapsed(self) -> float:
        """The seconds since the start."""
        return time.monotonic() - self._began

    def print_line(self, text: str) -> None:
        """Print a line."""
        with self._lock:
            self._console.print(f"{self.elapsed:6.1f} s  {text}", markup=False)

    def show(self, what: RenderableType) -> None:
        """Print a table or a text without a prefix."""
        with self._lock:
            self._console.print(what)

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[None]:
        """Show a stage during the `with` statement, and add its duration to the stage's seconds."""
        began = time.monotonic()
        self._stage_text(began=doing)
        try:
            yield
        finally:
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began
            self._stage_text(ended=doing)

    def _stage_text(self, began: str = "", ended: str = "") -> None:
        """Show the running stages on a terminal; elsewhere print a line when a stage begins."""
        with self._lock:
            if began:
                self._doing.append(began)
            else:
                self._doing.remove(ended)
            if not self._console.is_terminal:
                if began:
                    self._console.print(f"{self.elapsed:6.1f} s  {began} …", markup=False)
                return
            if self._live is not None:
                self._live.stop()
                self._live = None
            if self._doing:
                spinner = Spinner("dots", ", ".join(self._doing))
                self._live = Live(spinner, console=self._console, transient=True)
                self._live.start()
