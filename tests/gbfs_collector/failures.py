"""Failures of the collector's load jobs."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from collector.loading import load_lines_once


@contextmanager
def failing_load_job(module: str, number: int) -> Iterator[None]:
    """Raise in place of a module's load job with this number, from 0, and expect that the block raises it."""
    jobs = itertools.count()

    def load_or_fail(*arguments: Any) -> bool:
        if next(jobs) == number:
            raise ConnectionError("the instance was killed")
        return load_lines_once(*arguments)

    with patch(f"{module}.load_lines_once", load_or_fail), pytest.raises(ConnectionError):
        yield
