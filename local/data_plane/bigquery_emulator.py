"""local-bigquery, whose jobs that change rows run one after the other within a project.

BigQuery lets load jobs append while a transaction changes the same table, and queues or retries what does conflict:
https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency. DuckLake, which keeps the emulator's
tables, fails the commit of the transaction instead, each time a load job ended meanwhile. So jobs wait for one another
here: a tick's load job for the second that the nightly batch takes, and the batch for a load job.

Run by its path (`python -P local/data_plane/bigquery_emulator.py`), with local-bigquery's own options.
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
    """Tell whether a job may change a table's rows; a SELECT that names such a word waits in vain, no more."""
    query = job.configuration.query
    if query is None:
        return any(getattr(job.configuration, name, None) is not None for name in (*CHANGING, "copy_"))
    return CHANGES.search(query.query or "") is not None


def serialize_changes(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return `run`, whose first argument is a job, waiting for other jobs of its project that change rows."""

    def wait_and_run(job: Any, *arguments: Any) -> Any:
        import duckdb  # noqa: PLC0415 - as in main()
        from local_bigquery.jobs import runner  # noqa: PLC0415

        if not changes_rows(job):
            return run(job, *arguments)
        with _projects[job.jobReference.projectId]:
            running = next(each for each in arguments if isinstance(each, runner.Running))
            if running.cancelled:  # while it waited
                raise duckdb.InterruptException
            return run(job, *arguments)

    return wait_and_run


def main() -> None:
    """Serve until a signal ends it."""
    # Only the emulator's own process needs the server: its imports take seconds.
    from local_bigquery import cli  # noqa: PLC0415
    from local_bigquery.jobs import runner  # noqa: PLC0415

    # Where `local` is: this file is run by its path.
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from local.data_plane import bigquery_jobs  # noqa: PLC0415

    bigquery_jobs.install()
    runner._query = serialize_changes(runner._query)
    runner._handle = serialize_changes(runner._handle)
    cli.main()


if __name__ == "__main__":
    main()
