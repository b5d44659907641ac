"""One service account per workload, without keys, so that none has the roles of another."""

from cdktf_cdktf_provider_google.data_google_project import DataGoogleProject
from cdktf_cdktf_provider_google.service_account import ServiceAccount
from constructs import Construct

from cdk.settings import WORKLOADS, Settings

OPTIONAL = {"dashboard": "dashboard", "gbfs": "gbfs", "gbfs-push": "gbfs"}  # → the table of the settings


class Identities(Construct):
    """The service accounts; attributes are named after the workloads, with _ for -.

    `project` is the data source of the project, which has its number.
    """

    collector: ServiceAccount
    copier: ServiceAccount
    batch: ServiceAccount
    push: ServiceAccount
    scheduler: ServiceAccount
    dashboard: ServiceAccount
    gbfs: ServiceAccount
    gbfs_push: ServiceAccount
    build: ServiceAccount

    def __init__(self, scope: Construct, settings: Settings) -> None:
        super().__init__(scope, "identity")
        self.project = DataGoogleProject(self, "project", project_id=settings.project)
        for workload, description in WORKLOADS.items():
            if workload in OPTIONAL and getattr(settings, OPTIONAL[workload]) is None:
                continue
            name = workload.replace("-", "_")
            account = ServiceAccount(
                self,
                name,
                account_id=settings.name(f"vlille-{workload}"),
                display_name=f"vlille {workload} ({settings.environment})",
                description=description,
            )
            setattr(self, name, account)
