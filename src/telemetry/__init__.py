"""Log lines as Cloud Logging reads them: one JSON object a line, with its severity.

https://cloud.google.com/logging/docs/structured-logging

Imports: nothing.
Imported by: bench, collector, copier, dashboard, gbfs_collector, spark.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

LOGGER = logging.getLogger("vlille")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "severity": record.levelname,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["stack_trace"] = self.formatException(record.exc_info)
        return json.dumps(line | getattr(record, "fields", {}), ensure_ascii=False, default=str)


def log_as_json(stream: TextIO = sys.stdout) -> None:
    """Send our log lines to a stream as JSON; other libraries' logging stays as it is."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonLines())
    LOGGER.handlers = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


def log(severity: int, message: str, *, exc_info: bool = False, **fields: object) -> None:
    """Log one sentence with fields that can be searched for; `exc_info` adds the current exception's trace."""
    LOGGER.log(severity, message, exc_info=exc_info, extra={"fields": fields})
