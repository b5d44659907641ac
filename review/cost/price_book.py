"""Read prices and assumptions: a dated file per region, and a user's file that overrides them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from review.errors import ReviewError

FOLDER = Path(__file__).with_name("prices")
BASE_REGION = "europe-west1"  # the region whose file has every price; the other files have the differences
MACHINE = re.compile(
    r"(?P<family>[a-z]\d[a-z]?)-(?:(?P<class>standard|highmem|highcpu)-(?P<vcpus>\d+)|custom-(?P<custom>\d+)-(?P<mib>\d+))"
)
LOCATION = re.compile(r"([a-z]+-[a-z]+\d+)(?:-[a-z])?")

TEXT_KEYS = ("note", "as_of", "currency", "region")
# Keys that a user's file may add to: machine types, kinds of VMs and disks, services.
EXTENSIBLE_KEYS = (
    "machines.",
    "gib_a_vcpu.",
    "sources.",
    "prices.alert_condition_month",
    "prices.alloydb_",
    "prices.bigquery_slot_hour.",
    "prices.bigtable_",
    "prices.composer_",
    "prices.disk_gib_month.",
    "prices.filestore_",
    "prices.gib_hour.",
    "prices.gpu_hour.",
    "prices.local_ssd_",
    "prices.redis_",
    "prices.spanner_",
    "prices.sql_",
    "prices.vcpu_hour.",
)


@dataclass(frozen=True)
class PriceBook:
    """A table of prices, free tiers and assumptions; the name of each has its unit.

    `regions` has the prices of other regions that differ from the table's.
    """

    table: Mapping[str, Any]
    regions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def region(self) -> str:
        """The region of the table's prices."""
        return str(self.table["region"])

    def for_region(self, region: str) -> "PriceBook | None":
        """Return the prices of a region; None if there is no file of them."""
        if region in ("", self.region):
            return self
        if region not in self.regions:
            return None
        prices = {**self.table["prices"]}
        for name, price in self.regions[region].get("prices", {}).items():
            prices[name] = {**prices.get(name, {}), **price} if isinstance(price, dict) else price
        return PriceBook({**self.table, "prices": prices, "region": region})

    def price(self, name: str) -> float:
        """Return a price that every table has."""
        return float(self.table["prices"][name])

    def find_price(self, name: str, kind: str = "") -> float | None:
        """Return a price, of a kind if it is given by kind; None if the table does not have it."""
        found = self.table["prices"].get(name)
        if isinstance(found, dict):
            found = found.get(kind)
        return None if found is None else float(found)

    def free_tier(self, name: str) -> float:
        """Return the amount of a free tier in a month."""
        return float(self.table["free"].get(name, 0))

    def assumption(self, name: str) -> float:
        """Return an assumption, for what a plan does not contain."""
        return float(self.table["assumptions"][name])

    def find_machine(self, type_: str) -> tuple[float, float, str] | None:
        """Return vCPUs, GiB and family of a machine type; None if it is not known."""
        name = type_.rpartition("/")[2]
        if name in self.table["machines"]:
            vcpus, gib = self.table["machines"][name]
            return float(vcpus), float(gib), name.partition("-")[0]
        found = MACHINE.fullmatch(name) or MACHINE.fullmatch(f"n1-{name}")
        if not found or found["family"] not in self.table["prices"]["vcpu_hour"]:
            return None
        if found["custom"]:
            return float(found["custom"]), float(found["mib"]) / 1024, found["family"]
        each = self.table["gib_a_vcpu"]
        gib = each.get(f"{found['family']}-{found['class']}", each[found["class"]])
        return float(found["vcpus"]), float(found["vcpus"]) * float(gib), found["family"]

    def price_machine_hour(self, type_: str) -> float | None:
        """Return what a VM of a machine type costs an hour; None where its type or its price is not in the table."""
        found = self.find_machine(type_)
        if found is None:
            return None
        vcpus, gib, family = found
        each = self.find_price("vcpu_hour", "n1" if family in ("f1", "g1") else family)
        memory = self.find_price("gib_hour", "n1" if family in ("f1", "g1") else family)
        return None if each is None or memory is None else vcpus * each + gib * memory


def region_of(place: str) -> str:
    """Return the region of a zone, a region or a path to one; empty for `EU`, `global` and unknown locations."""
    found = LOCATION.fullmatch(place.rpartition("/")[2])
    return found[1] if found else ""


def load_price_book(override: bytes | None = None) -> PriceBook:
    """Return the prices of the files in `review/cost/prices`, overridden by a user's file.

    If the user's file has a `region`, its prices are used for resources without a region. Raises ReviewError for a file
    that does not fit.
    """
    table = {**_read_file(BASE_REGION), **_read_file("assumptions")}
    regions = {
        file.stem: _read_file(file.stem)
        for file in sorted(FOLDER.glob("*.json"))
        if file.stem not in (BASE_REGION, "assumptions")
    }
    if override is None:
        return PriceBook(table, regions)
    try:
        given = json.loads(override)
    except (ValueError, RecursionError):
        raise ReviewError("--prices: the file is not JSON") from None
    if not isinstance(given, dict):
        raise ReviewError("--prices: the file is not a JSON object")
    if (region := given.get("region")) and isinstance(region, str) and region != BASE_REGION:
        regions[BASE_REGION] = {"prices": table["prices"]}
        own = PriceBook(table, regions).for_region(region)
        table = json.loads(json.dumps(own.table if own else table))
    _merge(table, given, "")
    return PriceBook(table, regions)


def _read_file(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{name}.json").read_text("utf-8")))


def _merge(table: dict[str, Any], given: Mapping[str, Any], above: str) -> None:
    """Override the table with a user's values. Raises ReviewError for unknown names and invalid values."""
    for key, value in given.items():
        here, name = table.get(key), f"{above}{key}"
        if isinstance(value, dict) and (
            isinstance(here, dict) or (here is None and f"{name}.".startswith(EXTENSIBLE_KEYS))
        ):
            _merge(table.setdefault(key, {}), value, f"{name}.")
            continue
        if here is None and not name.startswith(EXTENSIBLE_KEYS):
            raise ReviewError(f"--prices: {name}: unknown key")
        if not _is_valid(value, name):
            raise ReviewError(f"--prices: {name}: expected a {_describe_expected(name)}")
        table[key] = value


def _is_valid(value: Any, name: str) -> bool:
    if name in TEXT_KEYS or name.startswith("sources."):
        return isinstance(value, str)
    if name.startswith("machines."):
        return isinstance(value, list) and len(value) == 2 and all(_is_amount(each) for each in value)
    return _is_amount(value) and "." in name


def _describe_expected(name: str) -> str:
    if name in TEXT_KEYS or name.startswith("sources."):
        return "text"
    return "pair of vCPUs and GiB" if name.startswith("machines.") else "number of 0 or more"


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
