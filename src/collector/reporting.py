"""Log the outcome of a tick: one line for the tick, and one for each problem that has an alert.

The events are part of the stack: cdk/operations/monitoring.py declares alerts on them.
"""

import logging
from collections.abc import Callable, Iterator

from collector.api import ApiError
from collector.fetching import count_unusable_responses
from collector.landing import LandedObject
from collector.station_state import read_unchanged_since
from feed import Feed, Outcome, count_frozen_minutes, count_stale_minutes, find_newest_report
from telemetry import log

# Statuses that say that the API does not exist any more.
GONE_STATUSES = (404, 410)


def report_outcome(
    feed: Feed, outcome: Outcome, landed: LandedObject, seconds: float, redact: Callable[[str], str] = str
) -> None:
    """Log the counts of a response and its problems; `redact` removes secrets from the messages."""
    has_problems = bool(outcome.rejections or outcome.drifts)
    result = "collected with problems" if has_problems else "collected"
    newest, since = find_newest_report(feed, outcome), read_unchanged_since(landed.metadata)
    log(
        logging.WARNING if has_problems else logging.INFO,
        f"{result}: {landed.name}, {len(outcome.rows)} rows, {outcome.rejected_records} rejected records",
        event="collected",
        feed=outcome.feed,
        tick=outcome.collected_at.isoformat(),
        object=landed.name,
        is_new=landed.is_new,
        records=outcome.records,
        rows=len(outcome.rows),
        rejected=outcome.rejected_records,
        values_rejected=outcome.rejected_values,
        values_implausible=outcome.implausible_values,
        newest_report=None if newest is None else newest.isoformat(),
        unchanged_since=None if since is None else since.isoformat(),
        unmatched=outcome.unmatched,
        unused=outcome.unused,
        unusable_responses=count_unusable_responses(landed.metadata),
        reasons=sorted({rejection.reason for rejection in outcome.rejections}),
        drifts=[redact(drift.message) for drift in outcome.drifts],
        seconds=round(seconds, 3),
    )
    for event, problem in _find_problems(feed, outcome, landed):
        log(logging.ERROR, redact(problem), event=event, feed=outcome.feed, object=landed.name)


def report_failure(feed: Feed, error: ApiError) -> None:
    """Log that the API does not exist any more; any other error is in the log line of the delivery."""
    if error.status in GONE_STATUSES:
        message = (
            f"{error}: the API of {feed.name} has moved or was shut down; find its new address and change `url` in "
            f"sources/{feed.name}/source.toml"
        )
        log(logging.ERROR, message, event="moved_feed", feed=feed.name, status=error.status)


def _find_problems(feed: Feed, outcome: Outcome, landed: LandedObject) -> Iterator[tuple[str, str]]:
    """Yield the event and the message of each problem: what failed, and where to look."""
    if not outcome.is_usable:
        yield "unusable_response", f"{outcome.rejections[0].message}; the raw response is {landed.name}"
    elif not outcome.rows and (outcome.records or not feed.empty_is_ok):
        reason = outcome.rejections[0].message if outcome.rejections else "it has no records"
        yield "no_rows", f"{landed.name} has {outcome.records} records and produced no rows: {reason}"
    for drift in outcome.drifts:
        if drift.is_severe:
            event = "incomplete_response" if drift.kind == "incomplete" else "schema_drift"
            yield event, f"{drift.message}; adapt sources/{feed.name}, deploy, then rebuild the affected days"
    if (minutes := count_stale_minutes(feed, outcome)) is not None:
        found = f"no station of {feed.name} has reported for {minutes} minutes"
        yield "stale_feed", f"{found} (limit: {feed.stale_minutes}): the API probably repeats an old response"
    if (minutes := count_frozen_minutes(feed, outcome, read_unchanged_since(landed.metadata))) is not None:
        found = f"no station of {feed.name} has changed for {minutes} minutes"
        yield (
            "frozen_feed",
            f"{found} (limit: {feed.frozen_minutes}): the API probably repeats an old response",
        )
    if address := landed.metadata.get("moved_to"):
        yield (
            "moved_feed",
            f"the API of {feed.name} has moved to {address}: change `url` in sources/{feed.name} and deploy",
        )
