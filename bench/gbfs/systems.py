"""1,000 simulated GBFS systems with the versions, sizes, hosts and failures of public ones."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime

from local.feeds.gbfs_system import SimulatedSystem

SYSTEMS = 1_000
STATIONS = 130_000
MINUTE = datetime(2026, 5, 1, 10, tzinfo=UTC)
# Number of systems by newest published version, in the catalogue of July 2026.
VERSIONS = {"2.3": 722, "3.0": 558, "2.2": 190, "1.1": 29, "1.0": 15, "2.0": 4, "2.1": 1}
LARGEST = (14_221, 12_100, 2_406, 1_999, 1_511)
# Systems of the largest hosts; the other systems are distributed evenly over the other hosts.
HOSTS, LARGEST_HOSTS = 133, (228, 133)
# Outcomes of 1,000 requests: an audit of May 2026 found 15 % HTTP errors.
OUTCOMES = {"ok": 820, "error": 150, "too_many": 20, "hang": 10}


@dataclass(frozen=True)
class PublicSystem:
    """A simulated system, and the outcome of its requests: one of OUTCOMES."""

    system: SimulatedSystem
    outcome: str


def generate_systems(rng: random.Random) -> list[PublicSystem]:
    """Return the systems, in the order of their numbers."""
    versions = rng.choices(list(VERSIONS), list(VERSIONS.values()), k=SYSTEMS)
    outcomes = [outcome for outcome, count in OUTCOMES.items() for _ in range(count * SYSTEMS // 1_000)]
    rng.shuffle(outcomes)
    sizes = generate_sizes(rng)
    return [
        PublicSystem(SimulatedSystem(f"s{number}", f"System {number}", version, stations), outcome)
        for number, (version, stations, outcome) in enumerate(zip(versions, sizes, outcomes, strict=True))
    ]


def generate_sizes(rng: random.Random) -> list[int]:
    """Return the number of stations of each system: the largest as published, the others with a median of 60."""
    others = [round(rng.lognormvariate(4.1, 0.9)) for _ in range(SYSTEMS - len(LARGEST))]
    scale = (STATIONS - sum(LARGEST)) / sum(others)
    return [*LARGEST, *(max(1, round(each * scale)) for each in others)]


def assign_hosts() -> list[int]:
    """Return the index of the host of each system."""
    numbers = [host for host, count in enumerate(LARGEST_HOSTS) for _ in range(count)]
    rest = HOSTS - len(LARGEST_HOSTS)
    return numbers + [len(LARGEST_HOSTS) + number % rest for number in range(SYSTEMS - len(numbers))]
