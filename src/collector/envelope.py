"""The minute that the Scheduler meant, out of the message that Pub/Sub pushes."""

import re
from datetime import UTC, datetime

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


class EnvelopeError(ValueError):
    """The request is not a message that Pub/Sub pushed."""


def tick_of_envelope(envelope: object) -> datetime:
    """Return the message's publish time floored to its minute, in UTC.

    A redelivery keeps the publish time, so it means the same tick. The envelope's form:
    https://cloud.google.com/pubsub/docs/push#receive_push. Raises EnvelopeError.
    """
    message = envelope.get("message") if isinstance(envelope, dict) else None
    if not isinstance(message, dict):
        raise EnvelopeError("expected Pub/Sub's push envelope: a JSON object with a `message` object")
    published = message.get("publishTime", message.get("publish_time"))
    match = _RFC3339.fullmatch(published) if isinstance(published, str) else None
    if match is None:
        raise EnvelopeError(f"message.publishTime: found {str(published)[:100]!r}, expected an RFC 3339 time")
    try:
        moment = datetime.fromisoformat(match[1] + match[2])
        return moment.astimezone(UTC).replace(second=0, microsecond=0)
    except (ValueError, OverflowError) as error:
        raise EnvelopeError(f"message.publishTime: found {published!r}: {error}") from None
