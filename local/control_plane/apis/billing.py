"""Cloud Billing: budgets. https://cloud.google.com/billing/docs/reference/budget/rest"""

from collections.abc import Iterator

from local.control_plane.resource_types import ResourceType, generated_id
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import Route

ROOT = "/billingbudgets/v1/"


def _budget(environment: LocalEnvironment, wanted: Json, _before: Json | None) -> Json:
    environment.collection("billing", "budgets").put(wanted["name"], wanted)
    return wanted


KIND = ResourceType(
    ROOT,
    "billingAccounts/{account}/budgets/{id}",
    "billing",
    "budgets",
    _budget,
    lambda environment, resource: environment.collection("billing", "budgets").delete(resource["name"]),
    id_of=generated_id,
)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API."""
    yield from KIND.routes(environment)
