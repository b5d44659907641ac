"""No request before the time that the API has named in Retry-After, by any delivery, tick or instance.

An instance knows nothing of the others, and an object cannot be replaced by the collector's account. So each minute in
which nothing may be requested gets an object of its own, created once; a delivery looks for that of its own minute
before it asks. The reasons are in docs/decisions/0004-notes-of-waiting.md.
"""

import logging
from datetime import datetime, timedelta

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Client as StorageClient

from collector.api import ApiError
from feed import wait_name
from telemetry import log

CALL_SECONDS = 30.0
# A Retry-After of a year is a mistake of the API; after this time one request finds out.
LONGEST_WAIT = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


class WaitError(ApiError):
    """The API has asked not to be asked now: the tick is delivered again later."""


def refuse_early_request(client: StorageClient, bucket: str, feed_name: str, now: datetime) -> None:
    """Raise WaitError where nothing may be requested in this minute."""
    name = wait_name(feed_name, now)
    try:
        client.bucket(bucket).blob(name).reload(timeout=CALL_SECONDS)
    except NotFound:
        return
    words = f"no request of {feed_name} in the minute {now:%H:%M} UTC: the API has asked to wait ({name})"
    log(logging.WARNING, words, event="postponed", feed=feed_name, object=name)
    raise WaitError(words)


def note_wait(client: StorageClient, bucket: str, feed_name: str, now: datetime, error: ApiError) -> None:
    """Keep what the API said of waiting, for the minutes up to the one in which the wait ends; none for no time."""
    if not error.retry_after_s:
        return
    until = now + min(timedelta(seconds=error.retry_after_s), LONGEST_WAIT)
    words = f"{error}; no request of {feed_name} before {until.replace(second=0) + _MINUTE:%H:%M} UTC"
    log(logging.ERROR, words, event="asked_to_wait", feed=feed_name, seconds=error.retry_after_s)
    minute = now.replace(second=0, microsecond=0)
    while minute <= until:
        blob = client.bucket(bucket).blob(wait_name(feed_name, minute))
        minute += _MINUTE
        try:
            blob.upload_from_string(
                f"{words}\n", content_type="text/plain", if_generation_match=0, timeout=CALL_SECONDS
            )
        except PreconditionFailed:
            continue  # another delivery was told the same
