"""Prices and assumptions: one dated file of data, and one of the user's that goes before it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from review.errors import ReviewError

PRICES = Path(__file__).with_name("prices.json")
MACHINE = re.compile(
    r"(?P<family>[a-z]\d[a-z]?)-(?:(?P<class>standard|highmem|highcpu)-(?P<vcpus>\d+)|custom-(?P<custom>\d+)-(?P<mib>\d+))"
)

WORDS = ("note", "as_of", "currency", "region")
# Where a user may add what the table does not have: shapes of machines, prices of kinds of machines and disks.
OPEN = (
    "machines.",
    "gib_a_vcpu.",
    "prices.vcpu_hour.",
    "prices.gib_hour.",
    "prices.disk_gib_month.",
    "prices.sql_",
    "prices.redis_",
)


@dataclass(frozen=True)
class Book:
    """A table of prices, free shares and assumptions, all in the units that their names say."""

    table: Mapping[str, Any]

    def price(self, name: str, kind: str = "") -> float:
        """Return a price; of a kind that is not in the table, the dearest."""
        found = self.table["prices"][name]
        return float(found.get(kind, max(found.values())) if isinstance(found, dict) else found)

    def free(self, name: str) -> float:
        """Return what costs nothing each month."""
        return float(self.table["free"].get(name, 0))

    def assumed(self, name: str) -> float:
        """Return what is assumed where the plan does not tell."""
        return float(self.table["assumptions"][name])

    def machine(self, type_: str) -> tuple[float, float, str] | None:
        """Return vCPUs, GiB and family of a machine type; None where it cannot be told."""
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

    def machine_hour(self, type_: str) -> float | None:
        """Return what a machine costs an hour; None where its type cannot be told."""
        found = self.machine(type_)
        if found is None:
            return None
        vcpus, gib, family = found
        return vcpus * self.price("vcpu_hour", family) + gib * self.price("gib_hour", family)


def load(override: bytes | None = None) -> Book:
    """Return the book of `prices.json`, with a user's table before it. Raises ReviewError for one that does not fit."""
    table = json.loads(PRICES.read_text("utf-8"))
    if override is None:
        return Book(table)
    try:
        given = json.loads(override)
    except (ValueError, RecursionError):
        raise ReviewError("the prices given are no JSON") from None
    if not isinstance(given, dict):
        raise ReviewError("the prices given are no JSON object")
    _put(table, given, "")
    return Book(table)


def _put(table: dict[str, Any], given: Mapping[str, Any], above: str) -> None:
    """Put a user's values over the table's. Raises ReviewError for names that are not used, values that do not fit."""
    for key, value in given.items():
        here, name = table.get(key), f"{above}{key}"
        if isinstance(here, dict) and isinstance(value, dict):
            _put(here, value, f"{name}.")
            continue
        if here is None and not name.startswith(OPEN):
            raise ReviewError(f"the prices given have {name}, which is not used here")
        if not _fits(value, name):
            raise ReviewError(f"the prices given have no {_wanted(name)} at {name}")
        table[key] = value


def _fits(value: Any, name: str) -> bool:
    if name in WORDS:
        return isinstance(value, str)
    if name.startswith("machines."):
        return isinstance(value, list) and len(value) == 2 and all(_is_amount(each) for each in value)
    return _is_amount(value) and "." in name


def _wanted(name: str) -> str:
    if name in WORDS:
        return "text"
    return "pair of vCPUs and GiB" if name.startswith("machines.") else "number of 0 or more"


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
