"""What a tick gave, in the log: one line for the tick, and one for each thing that an alert is made from.

The events are part of the stack: cdk/operations/monitoring.py has alerts on them.
"""

import logging
from collections.abc import Callable, Iterator

from collector.api import ApiError
from collector.asking import unusable_responses
from collector.landing import Landed
from collector.unchanged import unchanged_since
from feed import Feed, Outcome, frozen_minutes, newest_report, stale_minutes
from telemetry import log

# Statuses of an API that is not there any more.
GONE = (404, 410)


def report_outcome(
    feed: Feed, outcome: Outcome, landed: Landed, seconds: float, redact: Callable[[str], str] = str
) -> None:
    """Log what the response gave, and what is wrong with it; `redact` takes secrets out of what it says."""
    is_odd = bool(outcome.rejections or outcome.drifts)
    words = "collected, not all as expected" if is_odd else "collected"
    newest, since = newest_report(feed, outcome), unchanged_since(landed.metadata)
    log(
        logging.WARNING if is_odd else logging.INFO,
        f"{words}: {landed.name}, {len(outcome.rows)} rows, {outcome.rejected_records} rejected",
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
        unusable_responses=unusable_responses(landed.metadata),
        reasons=sorted({rejection.reason for rejection in outcome.rejections}),
        drifts=[redact(drift.message) for drift in outcome.drifts],
        seconds=round(seconds, 3),
    )
    for event, problem in _problems(feed, outcome, landed):
        log(logging.ERROR, redact(problem), event=event, feed=outcome.feed, object=landed.name)


def report_failure(feed: Feed, error: ApiError) -> None:
    """Log that an API is gone; what fails otherwise is in the log of the delivery."""
    if error.status in GONE:
        words = (
            f"{error}: {feed.name} has moved or is gone; look for its new address, and change url in sources/"
        )
        log(logging.ERROR, f"{words}{feed.name}", event="moved_feed", feed=feed.name, status=error.status)


def _problems(feed: Feed, outcome: Outcome, landed: Landed) -> Iterator[tuple[str, str]]:
    """Each event with its sentence: what failed, and where to look."""
    if not outcome.is_usable:
        yield "unusable_response", f"{outcome.rejections[0].message}; {landed.name} has the response"
    elif not outcome.rows and (outcome.records or not feed.empty_is_ok):
        why = outcome.rejections[0].message if outcome.rejections else "it has no records"
        yield "no_rows", f"no row of {landed.name}, which has {outcome.records} records: {why}"
    for drift in outcome.drifts:
        if drift.is_severe:
            event = "incomplete_response" if drift.kind == "incomplete" else "schema_drift"
            yield event, f"{drift.message}; adapt sources/{feed.name}, then rebuild the days"
    if (minutes := stale_minutes(feed, outcome)) is not None:
        found = f"no station of {feed.name} has reported for {minutes} minutes"
        yield "stale_feed", f"{found}, fewer than {feed.stale_minutes} are expected: the API repeats itself"
    if (minutes := frozen_minutes(feed, outcome, unchanged_since(landed.metadata))) is not None:
        found = f"nothing has moved at any station of {feed.name} for {minutes} minutes"
        yield "frozen_feed", f"{found}, fewer than {feed.frozen_minutes} are expected: the API repeats itself"
    if address := landed.metadata.get("moved_to"):
        yield (
            "moved_feed",
            f"{feed.name} has moved to {address}: change url in sources/{feed.name}, then deploy",
        )
