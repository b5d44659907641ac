"""Years of old files into the archive and the tables: what it will cost, then the copier's code, then the batch.

Started again it goes on: what is archived is not read again, days that were rebuilt are not rebuilt.
"""

import time
from collections.abc import Callable, Sequence
from datetime import date

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
from copier.sweep import sweep
from feed import Feed
from operate.cloud import Cloud
from operate.errors import OperateError, when_stopped
from operate.estimate import Survey, estimate, told
from operate.place import Place
from operate.rebuild import TEMPLATE, Batch
from spark.settings import DAYS_AT_ONCE

FIELDS = "items(name,size),nextPageToken"
FOR_EVER_S = 10 * 365 * 86_400.0


def backfill(
    cloud: Cloud,
    settings: Settings,
    place: Place,
    feeds: Sequence[Feed],
    *,
    source: str,
    keep: bool,
    dry_run: bool,
    ask: Callable[[str], bool],
    say: Callable[[str], None] = print,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Archive everything of the bucket `source` that is an answer, then rebuild its days; an exit status.

    `keep` leaves the originals where they are. Raises OperateError; whatever was done stays, and is not done
    again by the next run.
    """
    bucket = source.removeprefix("gs://").rstrip("/")
    if "/" in bucket:
        raise OperateError(f"{source}: expected a whole bucket, such as gs://old-answers")
    old = [feed for feed in feeds if feed.legacy]
    with when_stopped("nothing was done"):
        survey = _survey(cloud, bucket, old)
        for line in told(survey, estimate(survey, settings.batch, DAYS_AT_ONCE)):
            say(line)
        if dry_run:
            return 0
        goes = "the originals stay" if keep else "each original is deleted once its copy is verified"
        if not ask(f"archive {survey.objects:,} objects ({goes}), then rebuild their days?"):
            say("nothing was done")
            return 1
    again = "run this again: it goes on where it stopped" if keep else _after_a_move(survey)
    with when_stopped(f"what is archived stays, and no table was changed; {again}"):
        _archive(cloud, settings, bucket, old, survey, keep=keep, again=again, say=say)
    known, batch = {feed.name for feed in feeds}, Batch(cloud, settings, place, again, say, pause)
    for feed_name, days in sorted(survey.days.items()):
        if feed_name in known:
            batch.rebuild(feed_name, days, survey.files)
        else:
            say(f"{feed_name}: archived, and no folder of sources/: its days are not rebuilt")
    return 0


def _after_a_move(survey: Survey) -> str:
    """What to do where originals are gone: another run would not find their days."""
    days = set[date]().union(*survey.days.values())
    return (
        f"run this again for what is left, and the template {TEMPLATE} with FROM={min(days)} and TO={max(days)} "
        "for the originals that are gone"
    )


def _progress(*columns: str) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        *((BarColumn(), MofNCompleteColumn()) if "bar" in columns else (TextColumn("{task.completed:,}"),)),
        TimeElapsedColumn(),
        *((TimeRemainingColumn(),) if "bar" in columns else ()),
        console=Console(stderr=True),
    )


def _survey(cloud: Cloud, bucket: str, feeds: Sequence[Feed]) -> Survey:
    """Raises OperateError where there is nothing to archive."""
    survey = Survey()
    try:
        with _progress() as progress:
            listed = cloud.storage.list_blobs(bucket, fields=FIELDS)
            for blob in progress.track(listed, description=f"listing gs://{bucket}"):
                survey.add(blob.name, blob.size or 0, feeds)
    except GoogleAPICallError as error:
        raise OperateError(f"gs://{bucket} cannot be listed: {error.message}") from None
    if not survey.objects:
        found = f", only {survey.refused:,} objects such as {survey.refusals[0]}" if survey.refused else ""
        raise OperateError(f"gs://{bucket} has nothing to archive{found}")
    return survey


def _archive(
    cloud: Cloud,
    settings: Settings,
    bucket: str,
    feeds: Sequence[Feed],
    survey: Survey,
    *,
    keep: bool,
    again: str,
    say: Callable[[str], None],
) -> None:
    threads = settings.copier.threads
    for scheme in ("https://", "http://"):  # a connection for each thread
        cloud.storage._http.mount(scheme, HTTPAdapter(pool_maxsize=threads))
    copying = Copying(bucket, settings.bucket("archive"), FOR_EVER_S, threads, keep)
    with _progress("bar") as progress:
        task = progress.add_task("archiving", total=survey.objects + survey.refused)
        done = sweep(cloud.storage, copying, feeds, time.monotonic, lambda _: progress.advance(task))
    say(
        f"{done.moved:,} objects archived, {done.skipped:,} were already, {done.refused:,} are left alone"
        + "".join(f"\n  {each['object']}: {each['reason']}" for each in done.refusals[:5])
    )
    if done.failed:
        first = done.failures[0]
        raise OperateError(
            f"{done.failed:,} objects failed, the first is {first['object']}: {first['reason']}; {again}"
        )
