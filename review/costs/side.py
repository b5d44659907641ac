"""One side of a plan, before or after, as what is paid for."""

from dataclasses import dataclass, field

from review.calls import World
from review.pricing import Book
from review.text import span
from review.values import Values, blocks
from review.workloads import variables

RUNS = (
    "google_cloudfunctions2_function",
    "google_cloudfunctions_function",
    "google_cloud_run_v2_service",
    "google_cloud_run_v2_job",
)
KIB_A_GIB = 1024.0**2


@dataclass(frozen=True)
class Line:
    """One thing that is paid for: dollars a month, and what they were counted from."""

    what: str
    month: float
    told: str


@dataclass(frozen=True)
class Side:
    """What is there, what it costs, and how often each thing is called in a month; `unknown` is what cannot be told."""

    world: World
    book: Book
    calls: dict[str, float]
    unknown: list[str] = field(default_factory=list)

    @property
    def hours(self) -> float:
        """Hours of a month."""
        return self.book.assumed("hours_a_month")

    def name(self, address: str) -> str:
        """Return the name of a resource as a span."""
        return span(self.world.context.names.of(address))


def mentions(values: Values, name: str) -> bool:
    """Tell whether an environment variable names a bucket or a table."""
    found = variables(values, "service_config.environment_variables", "environment_variables")
    for place in ("template.containers", "template.template.containers"):
        for container in blocks(values, place):
            found |= variables(container, "env")
    return bool(name) and any(
        each == name or each.endswith((f".{name}", f"/{name}")) for each in found.values()
    )
