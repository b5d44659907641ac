"""Alerts by e-mail: no new objects, a failing function, dead letters, failed load jobs, unusable responses, a failed
batch, an error budget that burns too fast.

They use only metrics that Google Cloud itself writes: for up to ten minutes, the API rejects an alert on a log-based
metric that was created in the same apply.
"""

import re

from cdktf_cdktf_provider_google.monitoring_alert_policy import (
    MonitoringAlertPolicy,
    MonitoringAlertPolicyAlertStrategy,
    MonitoringAlertPolicyAlertStrategyNotificationRateLimit,
    MonitoringAlertPolicyConditions,
    MonitoringAlertPolicyConditionsConditionMatchedLog,
    MonitoringAlertPolicyConditionsConditionThreshold,
    MonitoringAlertPolicyConditionsConditionThresholdAggregations,
    MonitoringAlertPolicyDocumentation,
)
from cdktf_cdktf_provider_google.monitoring_notification_channel import MonitoringNotificationChannel
from constructs import Construct

from cdk.operations.service_level import ServiceLevel
from cdk.resources.storage import Storage
from cdk.settings import Settings
from cdk.workloads.collection import Collection
from cdk.workloads.gbfs_collection import GbfsCollection

IN_BACKTICKS = re.compile(r"`((?:gbfs-)?collect(?:or|-push|-dead)?|rebuild-days)(|-N)`")


class Monitoring(Construct):
    """A notification channel and alert policies, whose texts say what to do."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        *,
        storage: Storage,
        collection: Collection,
        gbfs: GbfsCollection | None = None,
    ) -> None:
        super().__init__(scope, "monitoring")
        self._settings = settings
        self.channel = MonitoringNotificationChannel(
            self,
            "email",
            type="email",
            display_name=f"vlille {settings.environment}",
            labels={"email_address": settings.alerts.email},
        )
        silent = settings.alerts.silent_minutes
        written_objects = (
            'resource.type = "gcs_bucket"'
            f' AND resource.labels.bucket_name = "{storage.landing.name}"'
            ' AND metric.type = "storage.googleapis.com/api/request_count"'
            ' AND metric.labels.method = "WriteObject" AND metric.labels.response_code = "OK"'
        )
        self._policy(
            "silent",
            f"No new object for {silent} minutes",
            "The collector stores no objects. Check the function's log, the Scheduler job `collect` (is it paused?) "
            "and the subscription `collect-push`. A missed minute cannot be requested later.",
            MonitoringAlertPolicyConditionsConditionThreshold(
                filter=written_objects,
                comparison="COMPARISON_LT",
                threshold_value=1,
                duration=f"{silent * 60}s",
                aggregations=[_sum_over(60)],
                # A counter without writes is a metric without points, not one of zeros.
                evaluation_missing_data="EVALUATION_MISSING_DATA_ACTIVE",
            ),
        )
        self._policy(
            "errors",
            "The collector returns errors",
            "Pub/Sub redelivers the tick; after the last attempt it goes to the dead-letter topic. The function's log "
            "has the cause: the API, the bucket or BigQuery.",
            MonitoringAlertPolicyConditionsConditionThreshold(
                filter=(
                    'resource.type = "cloud_run_revision"'
                    f' AND resource.labels.service_name = "{collection.function.name}"'
                    ' AND metric.type = "run.googleapis.com/request_count"'
                    ' AND metric.labels.response_code_class = "5xx"'
                ),
                comparison="COMPARISON_GT",
                threshold_value=2,
                duration="0s",
                aggregations=[_sum_over(300)],
            ),
        )
        self._policy(
            "dead_letters",
            "Ticks were not delivered",
            "These ticks are in the dead-letter topic. Fix the cause, then acknowledge them in the subscription "
            "`collect-dead`. Do not publish them again: a message collects the minute in which it is published. The "
            "nightly rebuild loads the rows of the responses that were stored.",
            _undelivered(collection.dead_letters.name),
        )
        self._burn_rates(ServiceLevel(self, settings, written_objects=written_objects))
        self._on_logs(
            "load_jobs",
            "Load jobs fail",
            "A failed job counts towards BigQuery's limit of 1,500 load jobs per table and day. One tick a minute "
            "uses 1,440 of them, so 60 failures exhaust the limit. The function's log names table and reason "
            "(`load_job_failed`, `quota_exceeded`); `make smoke` counts the day's jobs. The raw responses are stored: "
            "the nightly rebuild loads the rows that are missing.",
            'resource.type="cloud_run_revision"'
            f' AND resource.labels.service_name="{collection.function.name}"'
            ' AND jsonPayload.event=("load_job_failed" OR "quota_exceeded")',
        )
        self._on_logs(
            "responses",
            "Responses are unusable, incomplete or outdated",
            "The API responds, but the response cannot be parsed (`unusable_response`), gives no rows (`no_rows`), "
            "has fewer records than it announces (`incomplete_response`), or its fields, their types or its GBFS "
            "version changed (`schema_drift`); or no station has reported for `stale_minutes` (`stale_feed`), no "
            "station has changed for `frozen_minutes` (`frozen_feed`), the API redirects to another URL "
            "(`moved_feed`), or it sent Retry-After (`retry_after_received`). The function's log and `make smoke` have "
            "the details. The raw responses are stored: adapt the feed's folder, deploy, and rebuild the days.",
            'resource.type="cloud_run_revision"'
            f' AND resource.labels.service_name="{collection.function.name}"'
            ' AND jsonPayload.event=("unusable_response" OR "no_rows" OR "incomplete_response" OR "schema_drift" OR '
            '"stale_feed" OR "frozen_feed" OR "moved_feed" OR "retry_after_received")',
        )
        self._on_logs(
            "batch_failed",
            "The nightly batch failed",
            "A day is replaced as a whole or not at all; days before the failure may be replaced already. The table "
            "`batch_runs` and the job's log have the cause; run the template `rebuild-days` again with FROM and TO.",
            '(resource.type="cloud_dataproc_job" AND severity>=ERROR) OR '
            '(protoPayload.methodName=~"InstantiateWorkflowTemplate" AND severity>=ERROR) OR '
            f'(resource.type="cloud_scheduler_job" AND resource.labels.job_id="{settings.name("batch")}" '
            "AND severity>=ERROR)",
        )

        if gbfs is not None:
            self._watch_gbfs(gbfs, silent)

    def _watch_gbfs(self, gbfs: GbfsCollection, silent: int) -> None:
        service = (
            'resource.type = "cloud_run_revision"'
            f' AND resource.labels.service_name = "{gbfs.function.name}"'
            ' AND metric.type = "run.googleapis.com/request_count"'
            " AND metric.labels.response_code_class = "
        )
        self._policy(
            "gbfs_silent",
            f"No shard of GBFS systems is collected for {silent} minutes",
            "Check the log of the function `gbfs-collector`, the Scheduler job `gbfs-collect` (is it paused?) and "
            "the subscriptions `gbfs-collect-N`. A missed minute cannot be requested later.",
            MonitoringAlertPolicyConditionsConditionThreshold(
                filter=f'{service}"2xx"',
                comparison="COMPARISON_LT",
                threshold_value=1,
                duration=f"{silent * 60}s",
                aggregations=[_sum_over(60)],
                evaluation_missing_data="EVALUATION_MISSING_DATA_ACTIVE",
            ),
        )
        self._policy(
            "gbfs_errors",
            "The collector of GBFS systems returns errors",
            "Pub/Sub redelivers the shard's tick; after the last attempt it goes to the dead-letter topic. The log of "
            "`gbfs-collector` has the cause: the bucket or BigQuery. A system that fails is no error: `make smoke` "
            "names it.",
            MonitoringAlertPolicyConditionsConditionThreshold(
                filter=f'{service}"5xx"',
                comparison="COMPARISON_GT",
                threshold_value=2,
                duration="0s",
                aggregations=[_sum_over(300)],
            ),
        )
        self._policy(
            "gbfs_dead_letters",
            "Ticks of GBFS systems were not delivered",
            "These ticks are in the dead-letter topic: pull them from the subscription `gbfs-collect-dead` to see "
            "their minutes and shards. After 20 minutes these minutes are loaded without the missing packs, so do not "
            "publish the messages again.",
            _undelivered(gbfs.dead_letters.name),
        )
        self._on_logs(
            "gbfs_systems",
            "GBFS systems changed, or their rows could not be loaded",
            "A system moved, changed its version, could not be reached or is no longer listed (`system_changed`), a "
            "shard stored no pack (`shard_missing`), or load jobs failed (`load_job_failed`, `quota_exceeded`). "
            "The table `systems` has the previous state; the raw responses are stored.",
            'resource.type="cloud_run_revision"'
            f' AND resource.labels.service_name="{gbfs.function.name}"'
            ' AND jsonPayload.event=("system_changed" OR "shard_missing" OR "load_job_failed" OR "quota_exceeded")',
        )

    def _burn_rates(self, level: ServiceLevel) -> None:
        for id_, condition in level.burn_rates.items():
            words = "within days" if id_ == "burns_fast" else "before the 28 days are over"
            self._policy(
                id_,
                f"Too many minutes are missing: the error budget will be spent {words}",
                "Minutes without an object: the API, the function or Pub/Sub failed. `make smoke` lists yesterday's "
                "missing minutes, the view `minutes_present` counts those of every day. A missed minute cannot be "
                "requested later.",
                condition,
            )

    def _name_resources(self, text: str) -> str:
        """Return a text with the names that its resources have in this environment; N is the number of a shard."""
        return IN_BACKTICKS.sub(lambda found: f"`{self._settings.name(found[1])}{found[2]}`", text)

    def _policy(
        self,
        id_: str,
        title: str,
        what_to_do: str,
        condition: MonitoringAlertPolicyConditionsConditionThreshold,
    ) -> None:
        MonitoringAlertPolicy(
            self,
            id_,
            display_name=f"{self._settings.title}: {title}",
            combiner="OR",
            severity="ERROR",
            conditions=[MonitoringAlertPolicyConditions(display_name=title, condition_threshold=condition)],
            notification_channels=[self.channel.id],
            documentation=MonitoringAlertPolicyDocumentation(
                content=self._name_resources(what_to_do), mime_type="text/markdown"
            ),
        )

    def _on_logs(self, id_: str, title: str, what_to_do: str, log_filter: str) -> None:
        MonitoringAlertPolicy(
            self,
            id_,
            display_name=f"{self._settings.title}: {title}",
            combiner="OR",
            severity="ERROR",
            conditions=[
                MonitoringAlertPolicyConditions(
                    display_name=title,
                    condition_matched_log=MonitoringAlertPolicyConditionsConditionMatchedLog(
                        filter=log_filter
                    ),
                )
            ],
            alert_strategy=MonitoringAlertPolicyAlertStrategy(
                auto_close="86400s",
                notification_rate_limit=MonitoringAlertPolicyAlertStrategyNotificationRateLimit(
                    period="3600s"
                ),
            ),
            notification_channels=[self.channel.id],
            documentation=MonitoringAlertPolicyDocumentation(
                content=self._name_resources(what_to_do), mime_type="text/markdown"
            ),
        )


def _undelivered(subscription: str) -> MonitoringAlertPolicyConditionsConditionThreshold:
    return MonitoringAlertPolicyConditionsConditionThreshold(
        filter=(
            'resource.type = "pubsub_subscription"'
            f' AND resource.labels.subscription_id = "{subscription}"'
            ' AND metric.type = "pubsub.googleapis.com/subscription/num_undelivered_messages"'
        ),
        comparison="COMPARISON_GT",
        threshold_value=0,
        duration="0s",
        aggregations=[
            MonitoringAlertPolicyConditionsConditionThresholdAggregations(
                alignment_period="60s", per_series_aligner="ALIGN_MAX"
            )
        ],
    )


def _sum_over(seconds: int) -> MonitoringAlertPolicyConditionsConditionThresholdAggregations:
    return MonitoringAlertPolicyConditionsConditionThresholdAggregations(
        alignment_period=f"{seconds}s",
        per_series_aligner="ALIGN_DELTA",
        cross_series_reducer="REDUCE_SUM",
    )
