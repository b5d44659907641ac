"""Respect Retry-After across deliveries, ticks and instances.

Instances share no memory, and the collector's service account cannot replace an object. So each minute in which nothing
may be requested gets an object of its own (a wait marker), created once. A delivery looks for the object of the
current minute before it sends a request. The reasons are in docs/decisions/0004-wait-markers.md.
"""

import logging
from datetime import datetime, timedelta

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Client as StorageClient

from collector.api import ApiError
from feed import wait_marker_name
from telemetry import log

CALL_SECONDS = 30.0
# A Retry-After of a year is probably a mistake of the API; after this time one request checks it.
MAX_WAIT = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


class WaitError(ApiError):
    """The API sent Retry-After, and the wait is not over; Pub/Sub redelivers the tick later."""


def check_wait_marker(client: StorageClient, bucket: str, feed_name: str, now: datetime) -> None:
    """Raise WaitError if nothing may be requested in the current minute."""
    name = wait_marker_name(feed_name, now)
    try:
        client.bucket(bucket).blob(name).reload(timeout=CALL_SECONDS)
    except NotFound:
        return
    message = f"no request for {feed_name} at {now:%H:%M} UTC: the API sent Retry-After (wait marker {name})"
    log(logging.WARNING, message, event="postponed", feed=feed_name, object=name)
    raise WaitError(message)


def create_wait_markers(
    client: StorageClient, bucket: str, feed_name: str, now: datetime, error: ApiError
) -> None:
    """Create a marker for each minute up to the end of the Retry-After; nothing for an error without one."""
    if not error.retry_after_s:
        return
    until = now + min(timedelta(seconds=error.retry_after_s), MAX_WAIT)
    message = f"{error}; no request for {feed_name} before {until.replace(second=0) + _MINUTE:%H:%M} UTC"
    log(logging.ERROR, message, event="retry_after_received", feed=feed_name, seconds=error.retry_after_s)
    minute = now.replace(second=0, microsecond=0)
    while minute <= until:
        blob = client.bucket(bucket).blob(wait_marker_name(feed_name, minute))
        minute += _MINUTE
        try:
            blob.upload_from_string(
                f"{message}\n", content_type="text/plain", if_generation_match=0, timeout=CALL_SECONDS
            )
        except PreconditionFailed:
            continue  # another delivery has created it
