"""Collection of GBFS systems: one tick a minute → a push subscription per shard → one function; daily discovery."""

import base64
import json

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_google.bigquery_table_iam_member import BigqueryTableIamMember
from cdktf_cdktf_provider_google.cloud_run_v2_service_iam_member import CloudRunV2ServiceIamMember
from cdktf_cdktf_provider_google.cloud_scheduler_job import CloudSchedulerJob, CloudSchedulerJobPubsubTarget
from cdktf_cdktf_provider_google.cloudfunctions2_function import (
    Cloudfunctions2Function,
    Cloudfunctions2FunctionServiceConfig,
)
from cdktf_cdktf_provider_google.project_iam_member import ProjectIamMember
from cdktf_cdktf_provider_google.pubsub_subscription import (
    PubsubSubscription,
    PubsubSubscriptionExpirationPolicy,
)
from cdktf_cdktf_provider_google.pubsub_subscription_iam_member import PubsubSubscriptionIamMember
from cdktf_cdktf_provider_google.pubsub_topic import PubsubTopic
from cdktf_cdktf_provider_google.pubsub_topic_iam_member import PubsubTopicIamMember
from cdktf_cdktf_provider_google.secret_manager_secret_iam_member import SecretManagerSecretIamMember
from cdktf_cdktf_provider_google.storage_bucket_iam_member import StorageBucketIamMember
from cdktf_cdktf_provider_google.storage_bucket_object import StorageBucketObject
from constructs import Construct

from cdk.resources.identities import Identities
from cdk.resources.replacement import replaced_with
from cdk.resources.storage import STORAGE_CLIENT_VARIABLES, Storage
from cdk.resources.warehouse import Warehouse
from cdk.settings import Settings
from cdk.settings.gbfs import Gbfs
from cdk.workloads.build import Build
from cdk.workloads.collection import DAY_SECONDS, NEVER, build_config, push_subscription, secret_variables
from feed import secret_variable_name
from gbfs.catalogue.registry import CATALOGUE_URL
from gbfs.collection.systems import list_secrets
from gbfs.tables import LOADED_TABLES


class GbfsCollection(Construct):
    """Topic, subscriptions, jobs and the function `gbfs-collector`, which stores packs in the archive bucket."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        gbfs: Gbfs,
        *,
        identities: Identities,
        storage: Storage,
        warehouse: Warehouse,
        build: Build,
        source: StorageBucketObject,
    ) -> None:
        super().__init__(scope, "gbfs")
        self._settings, self._gbfs = settings, gbfs
        self.topic = PubsubTopic(self, "topic", name=settings.name("gbfs-collect"))
        self.dead_topic = PubsubTopic(self, "dead_topic", name=settings.name("gbfs-collect-dead"))
        self.dead_letters = PubsubSubscription(
            self,
            "dead_letters",
            name=settings.name("gbfs-collect-dead"),
            topic=self.dead_topic.id,
            message_retention_duration=f"{settings.messages.dead_letter_days * DAY_SECONDS}s",
            expiration_policy=PubsubSubscriptionExpirationPolicy(ttl=NEVER),
        )
        grants = self._grants(identities, storage, warehouse)
        self.function = self._function(identities, storage, build, source, grants)
        invoker = CloudRunV2ServiceIamMember(
            self,
            "push_invokes_gbfs_collector",
            # The Cloud Run service below a function has the function's name.
            name=self.function.name,
            location=settings.region,
            role="roles/run.invoker",
            member=identities.gbfs_push.member,
            lifecycle=replaced_with(self.function),
        )
        pushes = self._pushes(identities, invoker)
        for task, schedule, description in (
            ("collect", settings.schedule.collect, "One tick of all shards of GBFS systems"),
            ("discover", gbfs.discover, "What GBFS systems publish: files, versions, stations"),
        ):
            CloudSchedulerJob(
                self,
                task,
                name=settings.name(f"gbfs-{task}"),
                region=settings.region,
                description=description,
                schedule=schedule,
                time_zone=settings.schedule.time_zone,
                pubsub_target=CloudSchedulerJobPubsubTarget(
                    topic_name=self.topic.id,
                    data=base64.b64encode(json.dumps({"task": task}).encode()).decode(),
                    attributes={"task": task},
                ),
                depends_on=pushes,
            )

    def _function(
        self,
        identities: Identities,
        storage: Storage,
        build: Build,
        source: StorageBucketObject,
        grants: list[ITerraformDependable],
    ) -> Cloudfunctions2Function:
        settings, gbfs = self._settings, self._gbfs
        return Cloudfunctions2Function(
            self,
            "function",
            name=settings.name("gbfs-collector"),
            location=settings.region,
            description="Each minute and shard: responses of GBFS systems into one pack, and rows into BigQuery",
            build_config=build_config(settings, identities, storage, build, source),
            service_config=Cloudfunctions2FunctionServiceConfig(
                available_memory=gbfs.memory,
                # One whole CPU: with less, Cloud Run allows only one concurrent request.
                available_cpu="1",
                timeout_seconds=gbfs.timeout_seconds,
                # A minute's request may still run when the next one arrives, beside a discovery.
                max_instance_count=2 * gbfs.shards + 1,
                max_instance_request_concurrency=1,
                ingress_settings="ALLOW_INTERNAL_ONLY",
                all_traffic_on_latest_revision=True,
                service_account_email=identities.gbfs.email,
                environment_variables={
                    "PROJECT": settings.project,
                    "LOCATION": settings.region,
                    "PACKS_BUCKET": storage.archive.name,
                    "DATASET": settings.dataset,
                    "SHARDS": str(gbfs.shards),
                    "DEADLINE_S": str(gbfs.deadline_seconds),
                    "REQUEST_S": str(gbfs.request_seconds),
                    "CATALOGUE_URL": CATALOGUE_URL,
                    **STORAGE_CLIENT_VARIABLES,
                },
                secret_environment_variables=secret_variables(settings, list_secrets(settings.gbfs_systems)),
            ),
            depends_on=[*build.grants, *grants],
        )

    def _grants(
        self, identities: Identities, storage: Storage, warehouse: Warehouse
    ) -> list[ITerraformDependable]:
        member = identities.gbfs.member
        tables = {name: warehouse.gbfs[name] for name in LOADED_TABLES} | {"quarantine": warehouse.quarantine}
        return [
            *(
                StorageBucketIamMember(
                    self,
                    id_,
                    bucket=storage.archive.name,
                    role=role,
                    member=member,
                    lifecycle=replaced_with(storage.archive),
                )
                for id_, role in (
                    ("gbfs_creates_packs", "roles/storage.objectCreator"),
                    # A redelivery reads stored packs, and the last shard of a minute reads all of its packs.
                    ("gbfs_reads_packs", "roles/storage.objectViewer"),
                )
            ),
            *(
                BigqueryTableIamMember(
                    self,
                    f"gbfs_loads_{name}",
                    dataset_id=warehouse.dataset.dataset_id,
                    table_id=table.table_id,
                    role="roles/bigquery.dataEditor",
                    member=member,
                    lifecycle=replaced_with(table),
                )
                for name, table in tables.items()
            ),
            ProjectIamMember(
                self,
                "gbfs_runs_jobs",
                project=self._settings.project,
                role="roles/bigquery.jobUser",
                member=member,
            ),
            *(
                SecretManagerSecretIamMember(
                    self,
                    f"gbfs_reads_{secret_variable_name(secret).lower()}",
                    project=self._settings.project,
                    secret_id=secret,
                    role="roles/secretmanager.secretAccessor",
                    member=member,
                )
                for secret in list_secrets(self._settings.gbfs_systems)
            ),
        ]

    def _pushes(self, identities: Identities, invoker: ITerraformDependable) -> list[ITerraformDependable]:
        """Declare a subscription per shard: each one gets every tick, and is redelivered independently."""
        messages = self._settings.messages
        pubsub = f"serviceAccount:service-{identities.project.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
        dead_publisher = PubsubTopicIamMember(
            self,
            "pubsub_publishes_dead_letters",
            topic=self.dead_topic.name,
            role="roles/pubsub.publisher",
            member=pubsub,
            lifecycle=replaced_with(self.dead_topic),
        )
        uri = self.function.service_config.uri
        subscriptions: list[ITerraformDependable] = []
        for shard in range(self._gbfs.shards):
            subscription = push_subscription(
                self,
                f"push_{shard}",
                name=f"{self._settings.name('gbfs-collect')}-{shard}",
                topic=self.topic,
                dead_letter_topic=self.dead_topic.id,
                push_endpoint=f"{uri}/shards/{shard}",
                audience=uri,
                email=identities.gbfs_push.email,
                messages=messages,
                depends_on=[invoker, dead_publisher, self.dead_letters],
            )
            PubsubSubscriptionIamMember(
                self,
                f"pubsub_forwards_dead_letters_{shard}",
                subscription=subscription.name,
                role="roles/pubsub.subscriber",
                member=pubsub,
                lifecycle=replaced_with(subscription),
            )
            subscriptions.append(subscription)
        return subscriptions
