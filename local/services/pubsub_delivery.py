"""The push request of a Pub/Sub message, its acknowledgement deadline, and the delay before a redelivery."""

import base64
import json
from datetime import UTC, datetime

from local.environment.clock import parse_duration
from local.environment.resources import Json
from local.services.pubsub_messages import Message

ACK_DEADLINE_S = 10
# Backoff of a push subscription: declared limits default to 10 and 600 s; without a policy 0.1 to 60 s.
DECLARED_BACKOFF_S = (10.0, 600.0)
PUSH_BACKOFF_S = (0.1, 60.0)
# Statuses that acknowledge: https://cloud.google.com/pubsub/docs/push#receive_push
ACKNOWLEDGING = frozenset({102, 200, 201, 202, 204})


def format_rfc3339(when: datetime) -> str:
    """Format a time as Pub/Sub does: UTC, milliseconds, Z."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def push_body(config: Json, message: Message, attempt: int) -> bytes:
    """Return the body of a push request: https://cloud.google.com/pubsub/docs/push#receive_push."""
    published = format_rfc3339(message.publish_time)
    envelope: Json = {
        "message": {
            "data": base64.b64encode(message.data).decode(),
            "attributes": message.attributes,
            "messageId": message.message_id,
            "message_id": message.message_id,
            "publishTime": published,
            "publish_time": published,
        },
        "subscription": config["name"],
    }
    if config.get("deadLetterPolicy"):
        envelope["deliveryAttempt"] = attempt
    return json.dumps(envelope).encode()


def dead_letter_attributes(config: Json, message: Message, attempt: int) -> dict[str, str]:
    """Return the attributes that name the source of a dead letter."""
    project, name = config["name"].split("/")[1::2]
    return message.attributes | {
        "CloudPubSubDeadLetterSourceDeliveryCount": str(attempt),
        "CloudPubSubDeadLetterSourceSubscription": name,
        "CloudPubSubDeadLetterSourceSubscriptionProject": project,
        "CloudPubSubDeadLetterSourceTopicPublishTime": format_rfc3339(message.publish_time),
    }


def ack_deadline_s(config: Json) -> float:
    """Return the seconds within which a subscriber must acknowledge a message."""
    return float(config.get("ackDeadlineSeconds") or ACK_DEADLINE_S)


def backoff_s(config: Json, attempt: int) -> float:
    """Return the seconds to wait after that failed attempt: doubled each time, between two limits."""
    policy = config.get("retryPolicy")
    minimum, maximum = PUSH_BACKOFF_S
    if policy:
        minimum = parse_duration(policy.get("minimumBackoff", f"{DECLARED_BACKOFF_S[0]}s"))
        maximum = parse_duration(policy.get("maximumBackoff", f"{DECLARED_BACKOFF_S[1]}s"))
    return min(maximum, minimum * 2.0 ** min(attempt - 1, 30))
