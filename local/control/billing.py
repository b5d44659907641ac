"""Budgets of billing accounts. https://cloud.google.com/billing/docs/reference/budget/rest"""

from collections.abc import Iterator

from local.collection import Json
from local.control.http import Route
from local.control.kinds import Kind, by_number
from local.machine import Machine

ROOT = "/billingbudgets/v1/"


def _budget(machine: Machine, wanted: Json, _before: Json | None) -> Json:
    machine.collection("billing", "budgets").put(wanted["name"], wanted)
    return wanted


KIND = Kind(
    ROOT,
    "billingAccounts/{account}/budgets/{id}",
    "billing",
    "budgets",
    _budget,
    lambda machine, held: machine.collection("billing", "budgets").delete(held["name"]),
    identify=by_number,
)


def routes(machine: Machine) -> Iterator[Route]:
    """Yield what this service answers."""
    yield from KIND.routes(machine)
