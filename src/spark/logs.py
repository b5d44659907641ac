"""Log lines as Cloud Logging reads them: one JSON object a line, with its severity, on standard error."""

import json
import logging
import sys
from datetime import UTC, datetime

LOGGER = logging.getLogger("vlille.batch")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "severity": record.levelname,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "message": record.getMessage(),
        }
        return json.dumps(line | getattr(record, "fields", {}), ensure_ascii=False, default=str)


def log_as_json() -> None:
    """Send the batch's log lines to standard error as JSON; other libraries' logging stays as it is."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    LOGGER.handlers = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


def log(severity: int, message: str, **fields: object) -> None:
    """Log one sentence with fields that can be searched for."""
    LOGGER.log(severity, message, extra={"fields": fields})
