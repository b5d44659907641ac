"""Pub/Sub in the simulated world: pushes, redelivery with backoff, duplicates, expiry and dead letters."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.simulation.world import World

# As environments/dev.toml has them.
RETENTION = timedelta(minutes=60)
ACK_DEADLINE = timedelta(seconds=120)
FUNCTION_TIMEOUT = timedelta(seconds=100)
BACKOFF_S = 10.0, 300.0
MAX_ATTEMPTS = 10


@dataclass
class Message:
    """The message of a tick, for one shard if there are several, and its deliveries."""

    published: datetime
    shard: int = 0
    attempts: int = 0
    state: str = "waiting"  # acknowledged, dead-lettered, expired
    unexcused: list[str] = field(default_factory=list)  # attempts that failed without a simulated fault

    @property
    def tick(self) -> datetime:
        """The tick of the message."""
        return self.published.replace(second=0, microsecond=0)


Push = Callable[[Message, int, bool], None]


@dataclass
class Subscription:
    """A push subscription. `push` starts a delivery: of a message, with its attempt, and whether it is a duplicate."""

    world: World
    push: Push
    duplicate_rate: float = 0.0
    lost_ack_rate: float = 0.0
    has_late_duplicates: bool = False  # whether a duplicate may have the number of the next attempt

    def deliver(self, message: Message) -> None:
        """Deliver a message that waits, and perhaps a duplicate; let it expire after its retention."""
        if message.state != "waiting":
            return
        if self.world.now > message.published + RETENTION:
            message.state = "expired"
            return
        message.attempts += 1
        self.push(message, message.attempts, False)
        if self.world.rng.random() < self.duplicate_rate:
            attempt = message.attempts + (self.world.rng.randrange(2) if self.has_late_duplicates else 0)
            self.world.after(self.world.rng.uniform(0, 30), lambda: self.push(message, attempt, True))

    def loses_acknowledgement(self) -> bool:
        """Return whether the acknowledgement of a delivery is lost."""
        return self.world.rng.random() < self.lost_ack_rate

    def retry(self, message: Message) -> None:
        """Deliver a message again after its backoff, or dead-letter it after its last attempt."""
        if message.state != "waiting":
            return
        if message.attempts >= MAX_ATTEMPTS:
            message.state = "dead-lettered"
            self.world.log("Pub/Sub", f"dead-lettered the tick {message.tick:%H:%M}")
            return
        low, high = BACKOFF_S
        self.world.after(min(low * 2 ** (message.attempts - 1), high), lambda: self.deliver(message))
