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
        return f"projects/{self.project}/locations/global/workloadIdentityPools/{CI_POOL}"

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
        return f"{self.project}.vlille"

    def bucket(self, purpose: str) -> str:
        """Name of the bucket for a purpose: landing, archive, artifacts, staging, tfstate."""
        return f"{self.project}-{purpose}"

    def service_account(self, workload: str) -> str:
        """E-mail address of a workload's service account."""
        return f"vlille-{workload}@{self.project}.iam.gserviceaccount.com"
