"""The Google Cloud APIs that a deploy and the workloads call. This module does not import the bindings."""

from collections.abc import Iterable

from feed import Feed
from gbfs.collection.systems import CollectedSystem, list_secrets

# Terraform calls these to enable the others, so a person has to enable them.
FIRST = ("cloudresourcemanager", "serviceusage")

_ENVIRONMENT = (
    "artifactregistry",
    "bigquery",
    "cloudbuild",  # builds the function and the copier's image
    "cloudfunctions",
    "cloudscheduler",
    "compute",
    "dataproc",
    "iam",
    "iamcredentials",  # the tokens of push and Scheduler, and CI's turn into a service account
    "logging",
    "monitoring",
    "pubsub",
    "run",
    "storage",
)

APIS = tuple(f"{name}.googleapis.com" for name in sorted((*FIRST, *_ENVIRONMENT)))
CI_APIS = ("sts.googleapis.com",)  # exchanges GitHub's token
BUDGET_APIS = ("billingbudgets.googleapis.com",)
SECRET_APIS = ("secretmanager.googleapis.com",)  # only where a request needs a secret


def list_needed_apis(*, ci: bool, budget: bool = False, secrets: bool = False) -> tuple[str, ...]:
    """Return host names of the APIs that a project needs, with or without CI, a budget and secrets."""
    more = (*(CI_APIS if ci else ()), *(BUDGET_APIS if budget else ()), *(SECRET_APIS if secrets else ()))
    return (*APIS, *more)


def needs_secrets(feed: Feed, systems: Iterable[CollectedSystem]) -> bool:
    """Return whether a request of the feed or of a GBFS system needs a secret."""
    return bool(feed.secrets or list_secrets(systems))
