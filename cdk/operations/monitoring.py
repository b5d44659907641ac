"""Alerts by e-mail: no new objects, a failing function, dead letters, failed load jobs, unusable responses, a failed
batch, an error budget that burns too fast.

They use only metrics that Google Cloud itself writes: for up to ten minutes, the API rejects an alert on a log-based
metric that was created in the same apply.
"""

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
            "The collector lands nothing. Look at the function's log, at the Scheduler job `collect` (paused?) and "
            "at the subscription `collect-push`. What is missed cannot be asked for later.",
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
            "The collector answers with errors",
            "Pub/Sub delivers the tick again; after the last attempt it waits among the dead letters. The function's "
            "log says why: the API, the bucket or BigQuery.",
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
            "Dead letters wait",
            "Ticks could not be delivered. Read them in the subscription `collect-dead`; once the cause is mended, "
            "publish them again to the topic `collect`: a tick that was stored is not stored twice.",
            _undelivered(collection.dead_letters.name),
        )
        self._burn_rates(ServiceLevel(self, written_objects=written_objects))
        self._on_logs(
            "load_jobs",
            "Load jobs fail",
            "Each failed job counts against the 1,500 load jobs that a table may have in a day, of which a tick each "
            "minute takes 1,440: what is left lasts for 60 failures. The function's log names table and reason "
            "(`load_job_failed`, `quota_exceeded`); `make smoke` counts the day's jobs. Rows that could not be loaded "
            "come with the nightly rebuild, their objects are stored.",
            'resource.type="cloud_run_revision"'
            f' AND resource.labels.service_name="{collection.function.name}"'
            ' AND jsonPayload.event=("load_job_failed" OR "quota_exceeded")',
        )
        self._on_logs(
            "responses",
            "Responses are not as they should be",
            "The API answers, and what it says is of no use: no usable response (`unusable_response`), no row "
            "(`no_rows`), fewer records than it says there are (`incomplete_response`), a column of the view "
            "availability or the type of a column is lost (`schema_drift`), no station has reported for long "
            "(`stale_feed`), or nothing has moved (`frozen_feed`). Or the API has moved (`moved_feed`), or wants no "
            "requests for a time (`asked_to_wait`). The function's log and `make smoke` name it. Raw responses are "
            "kept: adapt the feed's folder, deploy, and rebuild the days.",
            'resource.type="cloud_run_revision"'
            f' AND resource.labels.service_name="{collection.function.name}"'
            ' AND jsonPayload.event=("unusable_response" OR "no_rows" OR "incomplete_response" OR "schema_drift" OR '
            '"stale_feed" OR "frozen_feed" OR "moved_feed" OR "asked_to_wait")',
        )
        self._on_logs(
            "batch_failed",
            "The nightly batch failed",
            "No table was changed: days are replaced whole or not at all. The table `batch_runs` and the "
            "job's log say why; run the template `rebuild-days` again with FROM and TO.",
            '(resource.type="cloud_dataproc_job" AND severity>=ERROR) OR '
            '(protoPayload.methodName=~"InstantiateWorkflowTemplate" AND severity>=ERROR) OR '
            '(resource.type="cloud_scheduler_job" AND resource.labels.job_id="batch" '
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
            "Look at the log of the function `gbfs-collector`, at the Scheduler job `gbfs-collect` (paused?) and at "
            "the subscriptions `gbfs-collect-N`. What is missed cannot be requested later.",
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
            "The collector of GBFS systems answers with errors",
            "Pub/Sub delivers the shard's tick again; after the last attempt it waits among the dead letters. The log "
            "of `gbfs-collector` says why: the bucket or BigQuery. A system that fails is no error: `make smoke` "
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
            "Dead letters of GBFS systems wait",
            "Ticks of shards could not be delivered. Read them in the subscription `gbfs-collect-dead`. Minutes whose "
            "packs are missing are closed after 20 minutes without them; publishing again brings nothing back.",
            _undelivered(gbfs.dead_letters.name),
        )
        self._on_logs(
            "gbfs_systems",
            "GBFS systems changed, or their rows could not be loaded",
            "A system moved, changed its version, could not be reached or is listed no more (`system_changed`), a "
            "shard delivered nothing (`shard_missing`), or load jobs failed (`load_job_failed`, `quota_exceeded`). "
            "The table `systems` has what was before; raw responses are kept.",
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
                "Minutes without an object: the API, the function or Pub/Sub. `make smoke` says which minutes of "
                "yesterday are there, and the view `minutes_present` those of every day. What is missed cannot be "
                "asked for later.",
                condition,
            )

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
            display_name=f"vlille: {title}",
            combiner="OR",
            severity="ERROR",
            conditions=[MonitoringAlertPolicyConditions(display_name=title, condition_threshold=condition)],
            notification_channels=[self.channel.id],
            documentation=MonitoringAlertPolicyDocumentation(content=what_to_do, mime_type="text/markdown"),
        )

    def _on_logs(self, id_: str, title: str, what_to_do: str, log_filter: str) -> None:
        MonitoringAlertPolicy(
            self,
            id_,
            display_name=f"vlille: {title}",
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
            documentation=MonitoringAlertPolicyDocumentation(content=what_to_do, mime_type="text/markdown"),
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
