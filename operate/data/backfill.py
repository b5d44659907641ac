"""Archive years of old files and rebuild their days: first the cost estimate, then the copier's code, then the batch.

A second run continues the first: archived objects are not read again, and rebuilt days are not rebuilt again.
"""

import time
from collections.abc import Callable, Sequence

from google.api_core.exceptions import GoogleAPICallError
from requests.adapters import HTTPAdapter
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cdk.settings import Settings
from copier.settings import Settings as Copying
from copier.sweep import Sweep, sweep_landing_bucket
from feed import Feed
from operate.cloud import Cloud
from operate.data.estimate import Survey, estimate, format_estimate
from operate.data.rebuild import BatchRebuild
from operate.errors import OperateError, raise_stopped_on_interrupt
from operate.state.state_files import RETRY
from operate.target import Target
from spark.settings import DAYS_AT_ONCE

FIELDS = "items(name,size),nextPageToken"
FOR_EVER_S = 10 * 365 * 86_400.0
RESUME_HINT = "run this again: it continues where it stopped"


def backfill(
    cloud: Cloud,
    settings: Settings,
    target: Target,
    feeds: Sequence[Feed],
    *,
    source: str,
    keep: bool,
    dry_run: bool,
    confirm: Callable[[str], bool],
    report: Callable[[str], None] = print,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Archive every response in the bucket `source`, then rebuild their days; return the exit status.

    `keep` leaves the source objects in place; otherwise they are deleted once every day is rebuilt. Raises
    OperateError; completed work is kept, and the next run does not repeat it.
    """
    old = [feed for feed in feeds if feed.legacy]
    with raise_stopped_on_interrupt("nothing was done"):
        survey = _survey_bucket(cloud, source, old)
        for line in format_estimate(survey, estimate(survey, settings.batch, DAYS_AT_ONCE, keep=keep)):
            report(line)
        if dry_run:
            return 0
        last = "" if keep else ", then delete each old file whose copy is verified"
        if not confirm(f"archive {survey.objects:,} objects, rebuild their days{last}?"):
            report("nothing was done")
            return 1
    total = survey.objects + survey.refused
    with raise_stopped_on_interrupt(f"what is archived stays, and no table was changed; {RESUME_HINT}"):
        done = _run_sweep(cloud, settings, source, old, total=total, keep=True)
        report(
            f"{done.moved:,} objects archived, {done.skipped + done.retained:,} were archived before, "
            f"{done.refused:,} skipped"
            + "".join(f"\n  {each['object']}: {each['reason']}" for each in done.refusals[:5])
        )
        _check_failures(done)
    known, left = {feed.name for feed in feeds}, []
    batch = BatchRebuild(cloud, settings, target, RESUME_HINT, report, pause)
    for feed_name, days in sorted(survey.days.items()):
        if feed_name in known:
            left.append(batch.rebuild(feed_name, days, survey.files))
        else:
            report(f"{feed_name}: archived, and no folder of sources/: its days are not rebuilt")
    if not keep:  # last, because another run finds the days from the old files
        with raise_stopped_on_interrupt(
            f"the days are rebuilt, and the remaining old files stay; {RESUME_HINT}"
        ):
            gone = _run_sweep(cloud, settings, source, old, total=total, keep=False)
            report(f"{gone.moved + gone.skipped:,} old files deleted, each copy verified")
            _check_failures(gone)
    if any(left):
        raise OperateError("\n".join(filter(None, left)))
    return 0


def _make_progress_bar(*columns: str) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        *((BarColumn(), MofNCompleteColumn()) if "bar" in columns else (TextColumn("{task.completed:,}"),)),
        TimeElapsedColumn(),
        *((TimeRemainingColumn(),) if "bar" in columns else ()),
        console=Console(stderr=True),
    )


def _survey_bucket(cloud: Cloud, bucket: str, feeds: Sequence[Feed]) -> Survey:
    """Count what the bucket holds. Raises OperateError if there is nothing to archive."""
    survey = Survey()
    try:
        with _make_progress_bar() as progress:
            listed = cloud.storage.list_blobs(bucket, fields=FIELDS, retry=RETRY)
            for blob in progress.track(listed, description=f"listing gs://{bucket}"):
                survey.add(blob.name, blob.size or 0, feeds)
    except GoogleAPICallError as error:
        raise OperateError(
            f"gs://{bucket} cannot be listed: {error.message}; fix the cause, then run this again"
        ) from None
    if not survey.objects:
        found = f", only {survey.refused:,} objects such as {survey.refusals[0]}" if survey.refused else ""
        raise OperateError(
            f"gs://{bucket} has nothing to archive{found}: check SOURCE, and [legacy] in source.toml"
        )
    return survey


def _run_sweep(
    cloud: Cloud,
    settings: Settings,
    bucket: str,
    feeds: Sequence[Feed],
    *,
    total: int,
    keep: bool,
) -> Sweep:
    """Run one sweep to its end, with a progress bar."""
    threads = settings.copier.threads
    for scheme in ("https://", "http://"):  # a connection for each thread
        cloud.storage._http.mount(scheme, HTTPAdapter(pool_maxsize=threads))
    copying = Copying(bucket, settings.bucket("archive"), FOR_EVER_S, threads, keep=keep)
    with _make_progress_bar("bar") as progress:
        task = progress.add_task("archiving" if keep else "deleting old files", total=total)
        return sweep_landing_bucket(
            cloud.storage, copying, feeds, time.monotonic, lambda _: progress.advance(task)
        )


def _check_failures(done: Sweep) -> None:
    """Raise OperateError if an object failed."""
    if done.failed:
        first = done.failures[0]
        raise OperateError(
            f"{done.failed:,} objects failed, the first is {first['object']}: {first['reason']}; {RESUME_HINT}"
        )
