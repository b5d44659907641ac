"""Read the tick and the delivery attempt from the message that Pub/Sub pushes."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


class EnvelopeError(ValueError):
    """The request body is not a Pub/Sub push message.

    What to do: publish to the topic and let Pub/Sub push; do not call the function directly.
    """


@dataclass(frozen=True)
class Delivery:
    """One delivery of a tick's message; `is_first` if Pub/Sub reports it as the first attempt.

    Pub/Sub counts attempts on a best-effort basis and may deliver twice at once. So `is_first` only saves a look for a
    stored object; correctness must not depend on it.
    """

    tick: datetime  # UTC, a whole minute
    is_first: bool


def read_delivery(envelope: object) -> Delivery:
    """Return the tick (the message's publish time, floored to the minute) and whether this is the first attempt.

    A redelivery keeps the publish time, so it has the same tick. The format, including `deliveryAttempt`:
    https://cloud.google.com/pubsub/docs/push#receive_push and
    https://cloud.google.com/pubsub/docs/handling-failures#track_delivery_attempts. Raises EnvelopeError.
    """
    tick = _read_tick(envelope)
    attempt = envelope.get("deliveryAttempt") if isinstance(envelope, dict) else None
    return Delivery(tick, is_first=type(attempt) is int and attempt == 1)


def _read_tick(envelope: object) -> datetime:
    message = envelope.get("message") if isinstance(envelope, dict) else None
    if not isinstance(message, dict):
        raise EnvelopeError("expected a Pub/Sub push message: a JSON object with a `message` object")
    published = message.get("publishTime", message.get("publish_time"))
    match = _RFC3339.fullmatch(published) if isinstance(published, str) else None
    if match is None:
        raise EnvelopeError(f"message.publishTime: found {str(published)[:100]!r}, expected an RFC 3339 time")
    try:
        moment = datetime.fromisoformat(match[1] + match[2])
        return moment.astimezone(UTC).replace(second=0, microsecond=0)
    except (ValueError, OverflowError) as error:
        raise EnvelopeError(f"message.publishTime: found {published!r}: {error}") from None
