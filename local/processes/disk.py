"""SQLite files, and writes that are retried while the disk is full."""

import errno
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

from tenacity import RetryCallState, retry, retry_if_exception, stop_after_delay, wait_fixed

LOG = logging.getLogger(__name__)
RETRY_FOR_S = 60.0


def connect_sqlite(file: Path, synchronous: str) -> sqlite3.Connection:
    """Open an SQLite file in write-ahead mode for use from any thread; create its folder.

    `synchronous` is `FULL` where a commit must survive a power failure, else `OFF`.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(f"PRAGMA synchronous={synchronous}")
    return database


def retry_while_disk_full[**P, R](write: Callable[P, R]) -> Callable[P, R]:
    """Wrap a write so that it is retried each second while the disk is full; `write` must do all or nothing.

    The wrapped write raises OSError with ENOSPC where no space was freed for RETRY_FOR_S seconds.
    """
    return retry(
        retry=retry_if_exception(_is_disk_full),
        wait=wait_fixed(1),
        stop=stop_after_delay(RETRY_FOR_S),
        before_sleep=_log_retry,
        retry_error_callback=_give_up,
    )(write)


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _log_retry(state: RetryCallState) -> None:
    LOG.warning("no space left on the disk: retrying the write (attempt %d)", state.attempt_number)


def _give_up(state: RetryCallState) -> None:
    assert state.outcome is not None  # noqa: S101  (tenacity calls this after an attempt)
    error = state.outcome.exception()
    if isinstance(error, OSError):
        raise error
    raise OSError(errno.ENOSPC, "No space left on device") from error
