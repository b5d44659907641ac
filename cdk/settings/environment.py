"""The checked settings of one environment, and the names that derive from them."""

from collections.abc import Mapping
from dataclasses import dataclass

from cdk.settings.gbfs import Gbfs
from cdk.settings.sections import (
    Alerts,
    Batch,
    Budget,
    Ci,
    Collector,
    Copier,
    Dashboard,
    Messages,
    Retention,
    Schedule,
)
from gbfs.collection.systems import CollectedSystem

CI_POOL, CI_PROVIDER = "vlille-github", "github"
# What has a service account of its own: a name, and what it does.
WORKLOADS = {
    "collector": "requests the API each minute, stores the response and loads its rows",
    "copier": "moves landed objects to the archive",
    "batch": "rebuilds days from the archive, on the cluster VMs",
    "gbfs": "requests GBFS systems each minute, keeps their packs and loads their rows",
    "gbfs-push": "delivers ticks to the collector of GBFS systems",
    "push": "delivers ticks to the collector",
    "scheduler": "starts the copier and the nightly batch",
    "dashboard": "reads the views, to show the data",
    "build": "builds the collector, and the images of the copier and the dashboard",
}


@dataclass(frozen=True)
class Settings:
    """One environment, checked: whatever is read from here can be applied."""

    environment: str
    project: str
    region: str
    feed: str
    protected: bool
    schedule: Schedule
    collector: Collector
    copier: Copier
    messages: Messages
    batch: Batch
    retention: Retention
    alerts: Alerts
    shared_project: bool  # whether names have the environment in them, for other environments in the project
    labels: Mapping[str, str]
    ci: Ci | None
    budget: Budget | None
    dashboard: Dashboard | None
    gbfs: Gbfs | None
    gbfs_systems: tuple[CollectedSystem, ...]  # of [gbfs], as the environments' catalogue has them

    @property
    def stack(self) -> str:
        """Name of the environment's stack, and prefix of its state."""
        return f"vlille-{self.environment}"

    @property
    def bootstrap_stack(self) -> str:
        """Name of the stack that is deployed once per project, and prefix of its state."""
        return f"{self.stack}-bootstrap"

    @property
    def ci_pool_path(self) -> str:
        """The pool that takes GitHub's tokens, as Terraform and the REST API name it."""
        return f"projects/{self.project}/locations/global/workloadIdentityPools/{self.name(CI_POOL)}"

    @property
    def ci_provider_path(self) -> str:
        """The provider in that pool."""
        return f"{self.ci_pool_path}/providers/{CI_PROVIDER}"

    @property
    def resource_labels(self) -> dict[str, str]:
        """Labels of everything that can have some."""
        return {"app": "vlille", "environment": self.environment, **self.labels}

    @property
    def dataset(self) -> str:
        """`project.dataset`, as SQL and the clients name it."""
        return f"{self.project}.{self.dataset_id}"

    @property
    def dataset_id(self) -> str:
        """The dataset of the tables."""
        return self.name("vlille", "_")

    @property
    def views_dataset_id(self) -> str:
        """The dataset of the views."""
        return self.name("vlille_views", "_")

    @property
    def title(self) -> str:
        """The first words of display names, by which resources without a name of their own are found again."""
        return self.name("vlille", " ")

    def name(self, base: str, separator: str = "-") -> str:
        """Return a resource's name: `base`, in a shared project with the environment's name at its end."""
        return f"{base}{separator}{self.environment}" if self.shared_project else base

    def bucket(self, purpose: str) -> str:
        """Name of the bucket for a purpose: landing, archive, artifacts, staging, tfstate."""
        return self.name(f"{self.project}-{purpose}")

    def service_account(self, workload: str) -> str:
        """E-mail address of a workload's service account."""
        return f"{self.name(f'vlille-{workload}')}@{self.project}.iam.gserviceaccount.com"
