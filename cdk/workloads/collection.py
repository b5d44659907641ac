"""The path of a tick: topic → push subscription → function; undeliverable ticks go to the dead-letter topic."""

from collections.abc import Iterable, Sequence

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_google.bigquery_table import BigqueryTable
from cdktf_cdktf_provider_google.bigquery_table_iam_member import BigqueryTableIamMember
from cdktf_cdktf_provider_google.cloud_run_v2_service_iam_member import CloudRunV2ServiceIamMember
from cdktf_cdktf_provider_google.cloudfunctions2_function import (
    Cloudfunctions2Function,
    Cloudfunctions2FunctionBuildConfig,
    Cloudfunctions2FunctionBuildConfigSource,
    Cloudfunctions2FunctionBuildConfigSourceStorageSource,
    Cloudfunctions2FunctionServiceConfig,
    Cloudfunctions2FunctionServiceConfigSecretEnvironmentVariables,
)
from cdktf_cdktf_provider_google.project_iam_member import ProjectIamMember
from cdktf_cdktf_provider_google.pubsub_subscription import (
    PubsubSubscription,
    PubsubSubscriptionDeadLetterPolicy,
    PubsubSubscriptionExpirationPolicy,
    PubsubSubscriptionPushConfig,
    PubsubSubscriptionPushConfigOidcToken,
    PubsubSubscriptionRetryPolicy,
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
from cdk.settings import Messages, Settings
from cdk.workloads.build import Build
from feed import Feed, secret_variable_name

NEVER = ""  # a subscription's time to live: by default it is deleted after 31 idle days
DAY_SECONDS = 86_400


class Collection(Construct):
    """Topic, subscriptions and the function `collector`, with roles on single resources."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        feed: Feed,
        *,
        identities: Identities,
        storage: Storage,
        warehouse: Warehouse,
        build: Build,
        source: StorageBucketObject,
    ) -> None:
        super().__init__(scope, "collection")
        self._settings = settings
        self.topic = PubsubTopic(self, "topic", name=settings.name("collect"))
        self.dead_topic = PubsubTopic(self, "dead_topic", name=settings.name("collect-dead"))
        self.dead_letters = PubsubSubscription(
            self,
            "dead_letters",
            name=settings.name("collect-dead"),
            topic=self.dead_topic.id,
            message_retention_duration=f"{settings.messages.dead_letter_days * DAY_SECONDS}s",
            expiration_policy=PubsubSubscriptionExpirationPolicy(ttl=NEVER),
        )
        station_table = warehouse.stations[feed.name]
        grants = self._grants(feed, identities, storage, warehouse)
        self.function = Cloudfunctions2Function(
            self,
            "function",
            name=settings.name("collector"),
            location=settings.region,
            description=f"Each minute: store one response of {feed.name} and load its rows",
            build_config=build_config(settings, identities, storage, build, source),
            service_config=Cloudfunctions2FunctionServiceConfig(
                available_memory=settings.collector.memory,
                timeout_seconds=settings.collector.timeout_seconds,
                max_instance_count=settings.collector.max_instances,
                ingress_settings="ALLOW_INTERNAL_ONLY",
                all_traffic_on_latest_revision=True,
                service_account_email=identities.collector.email,
                environment_variables={
                    "PROJECT": settings.project,
                    "LOCATION": settings.region,
                    "FEED": feed.name,
                    "SOURCE_FOLDER": f"sources/{feed.name}",
                    "API_URL": feed.url,
                    "API_TIMEOUT_S": str(settings.collector.api_timeout_seconds),
                    "API_MAX_BYTES": str(settings.collector.api_max_mebibytes * 2**20),
                    "LANDING_BUCKET": storage.landing.name,
                    "ARCHIVE_BUCKET": storage.archive.name,
                    "STATION_TABLE": _table_name(settings, station_table),
                    "QUARANTINE_TABLE": _table_name(settings, warehouse.quarantine),
                    "EMPTY_RESPONSES_TABLE": _table_name(settings, warehouse.empty_responses),
                    **STORAGE_CLIENT_VARIABLES,
                },
                secret_environment_variables=secret_variables(settings, feed.secrets),
            ),
            depends_on=[*build.grants, *grants, *self._secret_grants(feed, identities)],
        )
        invoker = CloudRunV2ServiceIamMember(
            self,
            "push_invokes_function",
            # The Cloud Run service below a function has the function's name.
            name=self.function.name,
            location=settings.region,
            role="roles/run.invoker",
            member=identities.push.member,
            lifecycle=replaced_with(self.function),
        )
        self.push = self._push_subscription(identities, invoker)

    def _secret_grants(self, feed: Feed, identities: Identities) -> list[ITerraformDependable]:
        """Grant access to secrets, which users create with their values: in a stack's state they would be readable."""
        return [
            SecretManagerSecretIamMember(
                self,
                f"collector_reads_{secret_variable_name(secret).lower()}",
                project=self._settings.project,
                secret_id=secret,
                role="roles/secretmanager.secretAccessor",
                member=identities.collector.member,
            )
            for secret in feed.secrets
        ]

    def _grants(
        self, feed: Feed, identities: Identities, storage: Storage, warehouse: Warehouse
    ) -> list[ITerraformDependable]:
        member = identities.collector.member
        buckets = {
            "collector_creates_landing": (storage.landing, "roles/storage.objectCreator"),
            "collector_reads_landing": (storage.landing, "roles/storage.objectViewer"),
            # A redelivery after its object left the landing bucket reads that object from the archive.
            "collector_reads_archive": (storage.archive, "roles/storage.objectViewer"),
        }
        tables = {
            "collector_loads_stations": warehouse.stations[feed.name],
            "collector_loads_quarantine": warehouse.quarantine,
        }
        if feed.empty_is_ok:
            tables["collector_loads_empty_responses"] = warehouse.empty_responses
        return [
            *(
                StorageBucketIamMember(
                    self,
                    id_,
                    bucket=bucket.name,
                    role=role,
                    member=member,
                    lifecycle=replaced_with(bucket),
                )
                for id_, (bucket, role) in buckets.items()
            ),
            *(
                BigqueryTableIamMember(
                    self,
                    id_,
                    dataset_id=warehouse.dataset.dataset_id,
                    table_id=table.table_id,
                    role="roles/bigquery.dataEditor",
                    member=member,
                    lifecycle=replaced_with(table),
                )
                for id_, table in tables.items()
            ),
            ProjectIamMember(
                self,
                "collector_runs_jobs",
                project=self._settings.project,
                role="roles/bigquery.jobUser",
                member=member,
            ),
        ]

    def _push_subscription(self, identities: Identities, invoker: ITerraformDependable) -> PubsubSubscription:
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
        subscription = push_subscription(
            self,
            "push",
            name=self._settings.name("collect-push"),
            topic=self.topic,
            dead_letter_topic=self.dead_topic.id,
            push_endpoint=uri,
            audience=uri,
            email=identities.push.email,
            messages=messages,
            depends_on=[invoker, dead_publisher, self.dead_letters],
        )
        PubsubSubscriptionIamMember(
            self,
            "pubsub_forwards_dead_letters",
            subscription=subscription.name,
            role="roles/pubsub.subscriber",
            member=pubsub,
            lifecycle=replaced_with(subscription),
        )
        return subscription


def _table_name(settings: Settings, table: BigqueryTable) -> str:
    return f"{settings.dataset}.{table.table_id}"


def build_config(
    settings: Settings, identities: Identities, storage: Storage, build: Build, source: StorageBucketObject
) -> Cloudfunctions2FunctionBuildConfig:
    """Return the build configuration of a function from an archive; its entry point is `collect`."""
    return Cloudfunctions2FunctionBuildConfig(
        runtime=settings.collector.runtime,
        entry_point="collect",
        docker_repository=build.repository.id,
        service_account=identities.build.name,
        source=Cloudfunctions2FunctionBuildConfigSource(
            storage_source=Cloudfunctions2FunctionBuildConfigSourceStorageSource(
                bucket=storage.artifacts.name, object=source.name
            )
        ),
    )


def secret_variables(
    settings: Settings, secrets: Iterable[str]
) -> list[Cloudfunctions2FunctionServiceConfigSecretEnvironmentVariables] | None:
    """Return an environment variable for each secret of the project; None without secrets."""
    return [
        Cloudfunctions2FunctionServiceConfigSecretEnvironmentVariables(
            key=secret_variable_name(secret), project_id=settings.project, secret=secret, version="latest"
        )
        for secret in secrets
    ] or None


def push_subscription(
    scope: Construct,
    id_: str,
    *,
    name: str,
    topic: PubsubTopic,
    dead_letter_topic: str,
    push_endpoint: str,
    audience: str,
    email: str,
    messages: Messages,
    depends_on: Sequence[ITerraformDependable],
) -> PubsubSubscription:
    """Return a subscription that pushes ticks to a function as `email`, with the settings' retry policy."""
    return PubsubSubscription(
        scope,
        id_,
        name=name,
        topic=topic.id,
        ack_deadline_seconds=messages.ack_deadline_seconds,
        message_retention_duration=f"{messages.retention_minutes * 60}s",
        expiration_policy=PubsubSubscriptionExpirationPolicy(ttl=NEVER),
        push_config=PubsubSubscriptionPushConfig(
            push_endpoint=push_endpoint,
            oidc_token=PubsubSubscriptionPushConfigOidcToken(service_account_email=email, audience=audience),
        ),
        retry_policy=PubsubSubscriptionRetryPolicy(
            minimum_backoff=f"{messages.minimum_backoff_seconds}s",
            maximum_backoff=f"{messages.maximum_backoff_seconds}s",
        ),
        dead_letter_policy=PubsubSubscriptionDeadLetterPolicy(
            dead_letter_topic=dead_letter_topic, max_delivery_attempts=messages.max_delivery_attempts
        ),
        depends_on=depends_on,
    )
