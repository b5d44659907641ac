"""The BigQuery views that users and the dashboard query, in a dataset of their own.

The dataset is authorized on the dataset of the tables, so that readers of a view need no role on its tables.
https://cloud.google.com/bigquery/docs/authorized-datasets
"""

from cdktf import TerraformResource
from cdktf_cdktf_provider_google.bigquery_dataset import BigqueryDataset
from cdktf_cdktf_provider_google.bigquery_dataset_access import (
    BigqueryDatasetAccessA,
    BigqueryDatasetAccessDatasetA,
    BigqueryDatasetAccessDatasetDatasetA,
)
from cdktf_cdktf_provider_google.bigquery_table import BigqueryTable, BigqueryTableView
from constructs import Construct

from cdk.resources.replacement import replaced_with
from cdk.resources.warehouse import Warehouse
from cdk.settings import Settings
from feed import Feed, data_views
from gbfs.views import format_views


class Views(Construct):
    """The dataset of the collected feed's views, and of those over GBFS systems if there are some.

    `views` has them by name; `authorization` lets them read the tables.
    """

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        feed: Feed,
        *,
        warehouse: Warehouse,
        table_editor: TerraformResource,
    ) -> None:
        """`table_editor` is the grant on the dataset of tables.

        The provider overwrites a dataset's authorizations when it writes grants, so the authorization is created again
        after each new grant.
        """
        super().__init__(scope, "views")
        self.dataset = BigqueryDataset(
            self,
            "dataset",
            dataset_id=settings.views_dataset_id,
            location=settings.region,
            description=f"Views over {feed.name} under common names (GBFS): availability, history, patterns, outages",
            # Views hold no data: the next deploy can create them again.
            delete_contents_on_destroy=True,
        )
        self.authorization = BigqueryDatasetAccessA(
            self,
            "authorization",
            dataset_id=warehouse.dataset.dataset_id,
            dataset=BigqueryDatasetAccessDatasetA(
                dataset=BigqueryDatasetAccessDatasetDatasetA(
                    project_id=settings.project, dataset_id=self.dataset.dataset_id
                ),
                target_types=["VIEWS"],
            ),
            depends_on=[table_editor],
            lifecycle=replaced_with(warehouse.dataset, self.dataset, table_editor),
        )
        tables = [
            *warehouse.stations.values(),
            *warehouse.gbfs.values(),
            warehouse.quarantine,
            warehouse.empty_responses,
            warehouse.batch_runs,
        ]
        queries = {
            view.name: (view.description, view.sql)
            for view in data_views(feed, settings.dataset, settings.schedule.time_zone)
        }
        if settings.gbfs is not None:
            queries |= format_views(settings.dataset, settings.gbfs.minutes_days)
        self.views = {
            name: BigqueryTable(
                self,
                name,
                dataset_id=self.dataset.dataset_id,
                table_id=name,
                description=description,
                deletion_protection=False,
                view=BigqueryTableView(query=sql, use_legacy_sql=False),
                depends_on=[*tables, self.authorization],
                lifecycle=replaced_with(self.dataset),
            )
            for name, (description, sql) in queries.items()
        }
