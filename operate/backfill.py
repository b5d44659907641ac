"""Years of old files into the archive and the tables: what it will cost, then the copier's code, then the batch.

Started again it goes on: what is archived is not read again, days that were rebuilt are not rebuilt.
"""

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import date
from typing import Any

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
from operate.cloud import Cloud, RefusedError
from operate.errors import OperateError
from operate.estimate import Survey, estimate, told
from operate.place import Place, why
from spark.settings import DAYS_AT_ONCE

FIELDS = "items(name,size),nextPageToken"
FOR_EVER_S = 10 * 365 * 86_400.0
TEMPLATE = "rebuild-days"
ASK_AGAIN_SECONDS = 10.0
# What the API adds to a template that it is given, and does not take back.
_ADDED = ("id", "name", "version", "createTime", "updateTime", "parameters")


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
    survey = _survey(cloud, bucket, old)
    if not survey.objects:
        found = f", only {survey.refused:,} objects such as {survey.refusals[0]}" if survey.refused else ""
        raise OperateError(f"gs://{bucket} has nothing to archive{found}")
    for line in told(survey, estimate(survey, settings.batch, DAYS_AT_ONCE)):
        say(line)
    if dry_run:
        return 0
    goes = "the originals stay" if keep else "each original is deleted once its copy is verified"
    if not ask(f"archive {survey.objects:,} objects ({goes}), then rebuild their days?"):
        say("nothing was done")
        return 1
    _archive(cloud, settings, bucket, old, survey, keep=keep, say=say)
    known = {feed.name for feed in feeds}
    for feed_name, days in sorted(survey.days.items()):
        if feed_name in known:
            _rebuild(cloud, settings, place, feed_name, days, say=say, pause=pause)
        else:
            say(f"{feed_name}: archived, and no folder of sources/: its days are not rebuilt")
    return 0


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
    survey = Survey()
    try:
        with _progress() as progress:
            listed = cloud.storage.list_blobs(bucket, fields=FIELDS)
            for blob in progress.track(listed, description=f"listing gs://{bucket}"):
                survey.add(blob.name, blob.size or 0, feeds)
    except GoogleAPICallError as error:
        raise OperateError(f"gs://{bucket} cannot be listed: {error.message}") from None
    return survey


def _archive(
    cloud: Cloud,
    settings: Settings,
    bucket: str,
    feeds: Sequence[Feed],
    survey: Survey,
    *,
    keep: bool,
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
            f"{done.failed:,} objects failed, the first is {first['object']}: {first['reason']}; "
            "run this again: it goes on where it stopped"
        )


def _rebuild(
    cloud: Cloud,
    settings: Settings,
    place: Place,
    feed_name: str,
    days: set[date],
    *,
    say: Callable[[str], None],
    pause: Callable[[float], None],
) -> None:
    """Run the environment's batch for these days of the feed, and wait for its end."""
    root = (
        f"{cloud.endpoints.dataproc}projects/{settings.project}/regions/{settings.region}/workflowTemplates"
    )
    first, last = min(days), max(days)
    options = {"--feed": feed_name, "--from": first.isoformat(), "--to": last.isoformat()}
    again = "run this again: it goes on where it stopped"
    try:
        template = cloud.call("GET", f"{root}/{TEMPLATE}")
        begun = cloud.call("POST", f"{root}:instantiateInline", json=changed(template, options))
        with _progress() as progress:
            task = progress.add_task(f"rebuilding {feed_name}, {first} to {last}", total=None)
            while not begun.get("done"):
                pause(ASK_AGAIN_SECONDS)
                progress.advance(task, ASK_AGAIN_SECONDS)
                begun = cloud.call("GET", f"{cloud.endpoints.dataproc}{begun['name']}")
    except RefusedError as error:
        raise OperateError(
            f"{feed_name}, {first} to {last}, is archived and not rebuilt: {why(error, place)}"
        ) from None
    if "error" in begun:
        message = begun["error"].get("message", "no reason given")
        raise OperateError(
            f"the batch of {feed_name} failed ({message}): {place.make('logs', 'batch')}; {again}"
        )
    say(f"{feed_name}: {first} to {last} rebuilt; the table batch_runs has the account")


def changed(template: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    """The template as one to run once, with other options of its job."""
    once = {key: deepcopy(value) for key, value in template.items() if key not in _ADDED}
    for job in once["jobs"]:
        arguments = job["pysparkJob"]["args"]
        for option, value in options.items():
            arguments[arguments.index(option) + 1] = value
    return once
