"""The BigQuery emulator's program: local-bigquery, with jobs that change rows serialized within a project.

BigQuery lets load jobs append to a table that a transaction changes, and queues or retries conflicting jobs:
https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency. DuckLake, in which the emulator stores
its tables, fails the commit of a transaction during which a load job ended. So jobs wait for one another: a tick's
load job for the second that the nightly batch takes, and the batch for a load job.

It is run by its path (`python -P local/data_plane/bigquery_emulator.py`), with local-bigquery's own options.
"""

import re
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = re.compile(r"\b(BEGIN\s+TRANSACTION|DELETE|INSERT|MERGE|TRUNCATE|UPDATE)\b", re.IGNORECASE)
CHANGING = ("load", "copy")  # types of jobs beside queries
_projects: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def changes_rows(job: Any) -> bool:
    """Whether a job may change rows of a table. A SELECT that contains such a keyword waits needlessly, which does no
    harm.
    """
    query = job.configuration.query
    if query is None:
        return any(getattr(job.configuration, name, None) is not None for name in (*CHANGING, "copy_"))
    return CHANGES.search(query.query or "") is not None


def serialize_changes(run: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `run`, whose first argument is a job, so that a job waits for other jobs of its project that change rows."""

    def wait_and_run(job: Any, *arguments: Any) -> Any:
        import duckdb  # noqa: PLC0415 - as in main()
        from local_bigquery.jobs import runner  # noqa: PLC0415

        if not changes_rows(job):
            return run(job, *arguments)
        with _projects[job.jobReference.projectId]:
            running = next(each for each in arguments if isinstance(each, runner.Running))
            if running.cancelled:  # while it was waiting
                raise duckdb.InterruptException
            return run(job, *arguments)

    return wait_and_run


def main() -> None:
    """Serve until a signal ends the process."""
    # Only the emulator's own process needs the server: its imports take seconds.
    from local_bigquery import cli  # noqa: PLC0415
    from local_bigquery.jobs import runner  # noqa: PLC0415

    # The folder of the package `local`, because this file is run by its path.
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from local.data_plane import bigquery_jobs  # noqa: PLC0415

    bigquery_jobs.install()
    runner._query = serialize_changes(runner._query)
    runner._handle = serialize_changes(runner._handle)
    cli.main()


if __name__ == "__main__":
    main()
