"""What the user sees while the environment works: a spinner on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner


class Terminal:
    """Prints lines that begin with the seconds since the start, and measures stages; for any thread."""

    def __init__(self, console: Console | None = None) -> None:
        # Where there is no terminal to fit in, tables are as wide as a log's lines may be.
        width = None if sys.stdout.isatty() else 120
        self._console = console or Console(highlight=False, soft_wrap=True, width=width)
        self._began = time.monotonic()
        self._live: Live | None = None
        self._doing: list[str] = []
        self._lock = Lock()
        self.seconds: dict[str, float] = {}  # by stage

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def print_line(self, text: str) -> None:
        """Print a line."""
        with self._lock:
            self._console.print(f"{self.elapsed:6.1f} s  {text}", markup=False)

    def show(self, what: RenderableType) -> None:
        """Print a table or a text as it is."""
        with self._lock:
            self._console.print(what)

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[None]:
        """Show what is being done for the length of the body, and add its seconds to the stage's."""
        began = time.monotonic()
        self._stage_text(began=doing)
        try:
            yield
        finally:
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began
            self._stage_text(ended=doing)

    def _stage_text(self, began: str = "", ended: str = "") -> None:
        """Show all that is being done, on a terminal; elsewhere say what begins."""
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
