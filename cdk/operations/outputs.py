"""The outputs of a stack: URLs, names and console links of what was deployed."""

from cdktf import TerraformOutput
from constructs import Construct

from cdk.resources.storage import Storage
from cdk.resources.views import Views
from cdk.resources.warehouse import Warehouse
from cdk.settings import Settings
from cdk.workloads.archiving import Archiving
from cdk.workloads.batch import Batch
from cdk.workloads.collection import Collection
from cdk.workloads.dashboard import Dashboard

CONSOLE = "https://console.cloud.google.com"


def declare_outputs(
    scope: Construct,
    settings: Settings,
    *,
    storage: Storage,
    warehouse: Warehouse,
    views: Views,
    dashboard: Dashboard | None,
    collection: Collection,
    archiving: Archiving,
    batch: Batch,
) -> None:
    """Declare the stack's outputs; each depends on its resource."""
    buckets = {
        "landing": storage.landing,
        "archive": storage.archive,
        "artifacts": storage.artifacts,
        "staging": storage.staging,
    }
    tables = {
        "station_table": warehouse.stations[settings.feed],
        "quarantine_table": warehouse.quarantine,
        "empty_responses_table": warehouse.empty_responses,
        "batch_runs_table": warehouse.batch_runs,
        "availability_view": warehouse.availability,
    }
    project = f"project={settings.project}"
    region = settings.region
    values: dict[str, object] = {
        "copier_url": archiving.service.uri,
        **({"dashboard_url": dashboard.service.uri} if dashboard else {}),
        "function_url": collection.function.service_config.uri,
        **{f"{purpose}_bucket_url": bucket.url for purpose, bucket in buckets.items()},
        "views_dataset": f"{settings.project}.{views.dataset.dataset_id}",
        **{name: f"{settings.dataset}.{table.table_id}" for name, table in tables.items()},
        "console_links": {
            "dataset": f"{CONSOLE}/bigquery?{project}&ws=!1m4!1m3!3m2!1s{settings.project}!2s"
            f"{warehouse.dataset.dataset_id}",
            "landing": f"{CONSOLE}/storage/browser/{storage.landing.name}?{project}",
            "archive": f"{CONSOLE}/storage/browser/{storage.archive.name}?{project}",
            "collector": f"{CONSOLE}/run/detail/{region}/{collection.function.name}/logs?{project}",
            "copier": f"{CONSOLE}/run/detail/{region}/{archiving.service.name}/logs?{project}",
            "scheduler": f"{CONSOLE}/cloudscheduler?{project}",
            "dead_letters": f"{CONSOLE}/cloudpubsub/subscription/detail/{collection.dead_letters.name}?{project}",
            "batch": f"{CONSOLE}/dataproc/workflows/templates/{region}/{batch.template.name}?{project}",
            "alerts": f"{CONSOLE}/monitoring/alerting?{project}",
        },
    }
    for name, value in values.items():
        TerraformOutput(scope, name, value=value)
