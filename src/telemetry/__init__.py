"""Structured log lines for Cloud Logging: one JSON object per line, with a severity.

https://cloud.google.com/logging/docs/structured-logging

Imports: nothing.
Imported by: bench, collector, copier, dashboard, delivery, gbfs_collector, spark.
"""

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

LOGGER = logging.getLogger("vlille")


class _JsonLines(logging.Formatter):
    redact: Callable[[str], str] = staticmethod(str)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "severity": record.levelname,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "message": self.redact(record.getMessage()),
        }
        if record.exc_info:
            line["stack_trace"] = self.redact(self.formatException(record.exc_info))
        line |= {name: self._redacted(value) for name, value in getattr(record, "fields", {}).items()}
        return json.dumps(line, ensure_ascii=False, default=str)

    def _redacted(self, value: object) -> object:
        match value:
            case str():
                return self.redact(value)
            case list() | tuple():
                return [self._redacted(each) for each in value]
            case dict():
                return {name: self._redacted(each) for name, each in value.items()}
            case None | bool() | int() | float():
                return value
            case _:
                return self.redact(str(value))


def log_as_json(stream: TextIO = sys.stdout) -> None:
    """Write our log entries to a stream as JSON lines; the logging of other libraries is not changed."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonLines())
    LOGGER.handlers = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


def redact_log(redact: Callable[[str], str]) -> None:
    """Pass every text of our JSON log lines, stack traces as well, through `redact`, which takes secrets out of it.

    An error of a library may quote an address or a row that nobody has looked through.
    """
    for handler in LOGGER.handlers:
        if isinstance(handler.formatter, _JsonLines):
            handler.formatter.redact = redact


def log(severity: int, message: str, *, exc_info: bool = False, **fields: object) -> None:
    """Log one sentence with fields that can be searched for; `exc_info` adds the current exception's trace."""
    LOGGER.log(severity, message, exc_info=exc_info, extra={"fields": fields})
