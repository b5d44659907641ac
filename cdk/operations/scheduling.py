"""The three jobs of Cloud Scheduler: collect each minute, copy, rebuild the previous day."""

import base64
import json

from cdktf_cdktf_provider_google.cloud_scheduler_job import (
    CloudSchedulerJob,
    CloudSchedulerJobHttpTarget,
    CloudSchedulerJobHttpTargetOauthToken,
    CloudSchedulerJobHttpTargetOidcToken,
    CloudSchedulerJobPubsubTarget,
    CloudSchedulerJobRetryConfig,
)
from constructs import Construct

from cdk.resources.identities import Identities
from cdk.settings import Settings
from cdk.workloads.archiving import Archiving
from cdk.workloads.batch import Batch
from cdk.workloads.collection import Collection

JSON_HEADER = {"Content-Type": "application/json"}
MAX_DEADLINE_S = 1800  # Cloud Scheduler's maximum for HTTP targets


class Scheduling(Construct):
    """Jobs in the environment's time zone; the workloads that they start are idempotent."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        *,
        identities: Identities,
        collection: Collection,
        archiving: Archiving,
        batch: Batch,
    ) -> None:
        super().__init__(scope, "schedule")
        self.collect = CloudSchedulerJob(
            self,
            "collect",
            name=settings.name("collect"),
            region=settings.region,
            description="One tick: publishes to the topic",
            schedule=settings.schedule.collect,
            time_zone=settings.schedule.time_zone,
            pubsub_target=CloudSchedulerJobPubsubTarget(
                topic_name=collection.topic.id,
                data=_encode_base64({"feed": settings.feed}),
                # functions-framework fails for a message without attributes.
                attributes={"feed": settings.feed},
            ),
            depends_on=[collection.push],
        )
        self.copy = CloudSchedulerJob(
            self,
            "copy",
            name=settings.name("copy"),
            region=settings.region,
            description="One sweep of the copier",
            schedule=settings.schedule.copy,
            time_zone=settings.schedule.time_zone,
            attempt_deadline=f"{min(settings.copier.timeout_seconds, MAX_DEADLINE_S)}s",
            retry_config=_make_retry_config(2),
            http_target=CloudSchedulerJobHttpTarget(
                uri=f"{archiving.service.uri}/sweep",
                http_method="POST",
                headers=JSON_HEADER,
                body=_encode_base64({}),
                oidc_token=CloudSchedulerJobHttpTargetOidcToken(
                    service_account_email=identities.scheduler.email, audience=archiving.service.uri
                ),
            ),
            depends_on=[archiving.invoker],
        )
        self.batch = CloudSchedulerJob(
            self,
            "batch",
            name=settings.name("batch"),
            region=settings.region,
            description="Rebuilds yesterday (UTC) from the archive on a cluster of its own",
            schedule=settings.schedule.batch,
            time_zone=settings.schedule.time_zone,
            attempt_deadline="180s",
            retry_config=_make_retry_config(3),
            http_target=CloudSchedulerJobHttpTarget(
                uri=batch.instantiate_url,
                http_method="POST",
                headers=JSON_HEADER,
                body=_encode_base64({"parameters": {"FROM": "yesterday", "TO": "yesterday"}}),
                oauth_token=CloudSchedulerJobHttpTargetOauthToken(
                    service_account_email=identities.scheduler.email,
                    scope="https://www.googleapis.com/auth/cloud-platform",
                ),
            ),
            depends_on=batch.starters,
        )


def _make_retry_config(count: int) -> CloudSchedulerJobRetryConfig:
    """Return all five arguments: a block without some of them differs from the API's response in every plan."""
    return CloudSchedulerJobRetryConfig(
        retry_count=count,
        max_retry_duration="0s",
        min_backoff_duration="10s",
        max_backoff_duration="300s",
        max_doublings=5,
    )


def _encode_base64(body: object) -> str:
    return base64.b64encode(json.dumps(body).encode()).decode()
