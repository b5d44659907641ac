"""The BigQuery dataset: a table per feed, the tables that feeds share, those of GBFS systems, and their views."""

import json
from collections.abc import Mapping
from typing import Any

from cdktf import TerraformResourceLifecycle
from cdktf_cdktf_provider_google.bigquery_dataset import BigqueryDataset
from cdktf_cdktf_provider_google.bigquery_table import (
    BigqueryTable,
    BigqueryTableTimePartitioning,
    BigqueryTableView,
)
from constructs import Construct

from cdk.resources.replacement import replaced_with, replacement_triggers
from cdk.settings import Settings
from feed import (
    Feed,
    availability_sql,
    batch_runs_schema,
    empty_responses_schema,
    minutes_present_sql,
    quarantine_schema,
    station_schema,
)
from gbfs.tables import STATION_STATUS_TABLE, TABLES

DAY_MILLISECONDS = 86_400_000
CLUSTERABLE = frozenset({"STRING", "INTEGER", "BOOLEAN", "TIMESTAMP", "DATETIME", "DATE"})


class Warehouse(Construct):
    """The dataset and its tables, `stations` by feed name.

    Every feed has its table, not only the one that is collected, so that old archives can be rebuilt beside it. `gbfs`
    has the tables of GBFS systems by name; it is empty if no system is collected.
    """

    def __init__(self, scope: Construct, settings: Settings, feeds: Mapping[str, Feed]) -> None:
        super().__init__(scope, "warehouse")
        self._settings = settings
        self.dataset = BigqueryDataset(
            self,
            "dataset",
            dataset_id=settings.dataset_id,
            location=settings.region,
            description="Bike-share availability: one table per feed, one row per station and minute",
            delete_contents_on_destroy=not settings.protected,
            lifecycle=TerraformResourceLifecycle(prevent_destroy=True) if settings.protected else None,
        )
        self.stations = {
            name: self._table(
                name,
                feed.title,
                station_schema(feed),
                partition="collected_at",
                clustering=_clustering(feed),
            )
            for name, feed in feeds.items()
        }
        self.gbfs = {
            table.name: self._table(
                table.name,
                table.description,
                table.schema,
                partition=table.partition,
                clustering=list(table.clustering),
                expires_after_days=settings.gbfs.minutes_days if table is STATION_STATUS_TABLE else None,
            )
            for table in TABLES.values()
            if settings.gbfs is not None
        }
        self.quarantine = self._table(
            "quarantine",
            "Responses, records and values that could not be used, each with its reason",
            quarantine_schema(),
            partition="collected_at",
            clustering=["feed", "reason"],
        )
        self.empty_responses = self._table(
            "empty_responses",
            "Valid responses without records, of feeds that accept them: the API had nothing to list",
            empty_responses_schema(),
            partition="collected_at",
            clustering=["feed"],
        )
        self.batch_runs = self._table(
            "batch_runs",
            "Statistics of each batch run: objects listed and read, records quarantined, rows loaded",
            batch_runs_schema(),
        )
        self.availability = self._view(
            "availability",
            "All feeds under common names (GBFS); filter on collected_at to read few partitions",
            availability_sql(feeds.values(), settings.dataset),
        )
        self.minutes_present = self._view(
            "minutes_present",
            "Of the 1,440 minutes of each UTC day, how many have rows, or a valid response without records; filter on "
            "day to read few partitions",
            minutes_present_sql(feeds.values(), settings.dataset),
        )

    def _view(self, table_id: str, description: str, query: str) -> BigqueryTable:
        return BigqueryTable(
            self,
            table_id,
            dataset_id=self.dataset.dataset_id,
            table_id=table_id,
            description=description,
            # A view holds no data, and deletion protection would block its replacement.
            deletion_protection=False,
            view=BigqueryTableView(query=query, use_legacy_sql=False),
            depends_on=[*self.stations.values(), self.empty_responses],
            lifecycle=replaced_with(self.dataset),
        )

    def _table(
        self,
        table_id: str,
        description: str,
        schema: list[dict[str, Any]],
        *,
        partition: str | None = None,
        clustering: list[str] | None = None,
        expires_after_days: int | None = None,
    ) -> BigqueryTable:
        return BigqueryTable(
            self,
            table_id,
            dataset_id=self.dataset.dataset_id,
            table_id=table_id,
            description=description,
            schema=json.dumps(schema, ensure_ascii=False),
            time_partitioning=BigqueryTableTimePartitioning(
                type="DAY",
                field=partition,
                expiration_ms=expires_after_days * DAY_MILLISECONDS if expires_after_days else None,
            )
            if partition
            else None,
            clustering=clustering,
            deletion_protection=self._settings.protected,
            lifecycle=TerraformResourceLifecycle(
                prevent_destroy=self._settings.protected or None,
                replace_triggered_by=replacement_triggers(self.dataset),
            ),
        )


def _clustering(feed: Feed) -> list[str] | None:
    """Return the feed's key as clustering columns, if BigQuery can cluster by its type."""
    return [c.name for c in feed.columns if c.name == feed.key and c.type in CLUSTERABLE] or None
