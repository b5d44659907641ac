"""What exists before or after the apply, how often each part is called in a month, and at which prices."""

import functools
from dataclasses import dataclass, field

from review.code.workloads import read_variables
from review.cost.calls import Inventory
from review.cost.price_book import PriceBook, region_of
from review.findings.text import span
from review.plan.values import Values, get_blocks, get_text

CALLABLE_TYPES = (
    "google_cloudfunctions2_function",
    "google_cloudfunctions_function",
    "google_cloud_run_v2_service",
    "google_cloud_run_v2_job",
)
KIB_A_GIB = 1024.0**2


@dataclass(frozen=True)
class CostLine:
    """One part of the cost: dollars a month, and what they were computed from."""

    what: str
    month: float
    basis: str


@dataclass(frozen=True)
class Usage:
    """The resources before or after the apply, the calls of each in a month, and the prices.

    The modules that count costs add what they cannot count: `unknown` is address → reason, `regions_without_prices`
    the regions without a file of prices, `not_counted` is address → what is not counted of a resource: its type where
    only a user's own prices would count it, or a part of its cost that a plan does not contain, such as stored data;
    `at_most` has the highest amounts of lines whose amount is assumed.
    """

    inventory: Inventory
    book: PriceBook
    calls: dict[str, float]
    unknown: dict[str, str] = field(default_factory=dict)
    regions_without_prices: set[str] = field(default_factory=set)
    not_counted: dict[str, str] = field(default_factory=dict)
    at_most: list[CostLine] = field(default_factory=list)

    @property
    def hours_a_month(self) -> float:
        """Hours of a month."""
        return self.book.assumption("hours_a_month")

    def prices_of(self, values: Values) -> PriceBook:
        """Return the prices of a resource's region; those of the table if that region has no file."""
        place = next(
            (get_text(values, each) for each in ("region", "zone", "location") if get_text(values, each)), ""
        )
        region = region_of(place)
        found = self.book.for_region(region)
        if found is None:
            self.regions_without_prices.add(region)
        return found or self.book

    def leave_out(self, address: str, part: str = "") -> None:
        """Add a resource, or a part of its cost such as `stored data`, to `not_counted`."""
        type_ = span(self.inventory.changes[address].type)
        self.not_counted[address] = f"{part} of {type_}" if part else type_

    def name(self, address: str) -> str:
        """Return the name of a resource as a span."""
        return span(self.inventory.context.names.of(address))

    @functools.cached_property
    def calls_by_name(self) -> dict[str, float]:
        """Calls a month by each value of an environment variable, of the workload with the most calls."""
        found: dict[str, float] = {}
        for address, values in self.inventory.of_type(*CALLABLE_TYPES):
            often = self.calls.get(address, 0.0)
            for name in _list_named_resources(values):
                found[name] = max(often, found.get(name, 0.0))
        return found

    @functools.cached_property
    def storage_calls(self) -> float:
        """Calls a month of all workloads that have a bucket's name in their environment."""
        names = {get_text(values, "name") for _, values in self.inventory.of_type("google_storage_bucket")}
        return sum(
            self.calls.get(address, 0.0)
            for address, values in self.inventory.of_type(*CALLABLE_TYPES)
            if names & _list_named_resources(values)
        )


def _list_named_resources(values: Values) -> set[str]:
    """Return the values of environment variables, and what they end in: `dataset.table`, `projects/p/topics/t`."""
    found = read_variables(values, "service_config.environment_variables", "environment_variables")
    for place in ("template.containers", "template.template.containers"):
        for container in get_blocks(values, place):
            found |= read_variables(container, "env")
    whole = {each for each in found.values() if each}
    return whole | {each.rpartition(sign)[2] for each in whole for sign in "./"}
