"""Entry point of the PySpark job. The last line on stdout is the run as JSON."""

import json
import logging
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import spark
from feed import FeedError
from spark.packages import PackagesError, activate_packages
from spark.settings import Settings, SettingsError, read_feed, read_settings
from telemetry import log, log_as_json


def main(arguments: list[str]) -> int:
    """Run the batch. Return 0 if the days were replaced and the run was recorded, 1 if not, 2 for invalid arguments."""
    log_as_json(sys.stderr)
    code = Path(spark.__file__).parents[1]  # a folder, or the zip
    try:
        activate_packages()
        settings = read_settings(arguments, os.environ, datetime.now(UTC).date(), code=code.name)
        with tempfile.TemporaryDirectory(prefix="vlille-batch-") as scratch:
            feed = None if settings.has_packs else read_feed(settings.feed, code, Path(scratch))
    except (FeedError, PackagesError, SettingsError) as error:
        log(logging.ERROR, str(error))
        return 2
    from spark.cluster import start_spark  # noqa: PLC0415 - after activate_packages()

    packs: Any = _import_packs() if settings.has_packs else None
    with ThreadPoolExecutor(1, "clients") as executor:
        clients = executor.submit(_make_clients, settings)  # imports take a second, while Spark starts
        run_hours = start_spark(f"vlille batch {settings.feed}")
        gcs, bq = clients.result()
    from spark.rebuild.day_batches import SUCCEEDED  # noqa: PLC0415 - imported by then
    from spark.rebuild.job import rebuild_days  # noqa: PLC0415

    pack_options = {} if packs is None else {"batch_type": packs.PackDayBatches}
    run = rebuild_days(settings, feed or packs.PACKS, gcs=gcs, bq=bq, run_hours=run_hours, **pack_options)
    if run.message:
        log(logging.WARNING if run.status == SUCCEEDED else logging.ERROR, run.message, status=run.status)
    sys.stdout.write(json.dumps({"event": "batch_finished", **run.row()}, ensure_ascii=False) + "\n")
    return 0 if run.is_done else 1


def _import_packs() -> Any:
    """Return the module for packs.

    It must be imported before the Spark context puts the packages' zip on the path again, because compiled modules
    cannot be imported from a zip.
    """
    from spark.packs import job  # noqa: PLC0415

    return job


def _make_clients(settings: Settings) -> tuple[Any, Any]:
    from google.cloud import bigquery  # noqa: PLC0415

    import spark.rebuild.job  # noqa: F401, PLC0415 - what it imports takes most of the time
    from spark.archive import load_credentials, make_storage_client  # noqa: PLC0415

    credentials = load_credentials()
    gcs = make_storage_client(settings.project, credentials)
    return gcs, bigquery.Client(project=settings.project, credentials=credentials, location=settings.location)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
