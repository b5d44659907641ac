"""The copier: a Cloud Run service that moves what landed to the archive."""

from cdktf_cdktf_provider_google.cloud_run_v2_service import (
    CloudRunV2Service,
    CloudRunV2ServiceTemplate,
    CloudRunV2ServiceTemplateScaling,
    CloudRunV2ServiceTraffic,
)
from cdktf_cdktf_provider_google.cloud_run_v2_service_iam_member import CloudRunV2ServiceIamMember
from cdktf_cdktf_provider_google.storage_bucket_iam_member import StorageBucketIamMember
from cdktf_cdktf_provider_google.storage_bucket_object import StorageBucketObject
from constructs import Construct

from cdk.resources.identities import Identities
from cdk.resources.replacement import replaced_with
from cdk.resources.storage import STORAGE_CLIENT_VARIABLES, Storage
from cdk.settings import Settings
from cdk.workloads.build import Build
from cdk.workloads.containers import LATEST, service_container

RESPONSE_SECONDS = 30  # of the request's timeout, reserved to finish objects in progress and to respond


class Archiving(Construct):
    """The service `copier`, its image, and its roles on the two buckets."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        *,
        identities: Identities,
        storage: Storage,
        build: Build,
        source: StorageBucketObject,
        source_sha256: str,
    ) -> None:
        super().__init__(scope, "archiving")
        image, image_build = build.image("copier", source, source_sha256)
        grants = [
            StorageBucketIamMember(
                self,
                id_,
                bucket=bucket.name,
                role=role,
                member=identities.copier.member,
                lifecycle=replaced_with(bucket),
            )
            for id_, bucket, role in (
                # objectUser is the narrowest predefined role that can delete objects.
                ("copier_empties_landing", storage.landing, "roles/storage.objectUser"),
                ("copier_creates_archive", storage.archive, "roles/storage.objectCreator"),
                ("copier_reads_archive", storage.archive, "roles/storage.objectViewer"),
            )
        ]
        environment = {
            "LANDING_BUCKET": storage.landing.name,
            "ARCHIVE_BUCKET": storage.archive.name,
            "SWEEP_DEADLINE_S": str(settings.copier.timeout_seconds - RESPONSE_SECONDS),
            "SWEEP_THREADS": str(settings.copier.threads),
            "REDELIVERY_WINDOW_S": str(settings.messages.redelivery_window_seconds),
            **STORAGE_CLIENT_VARIABLES,
        }
        self.service = CloudRunV2Service(
            self,
            "service",
            name=settings.name("copier"),
            location=settings.region,
            description="Moves landed objects to the archive; called by the Scheduler job `copy`",
            # It holds no data: the next deploy can create it again.
            deletion_protection=False,
            ingress="INGRESS_TRAFFIC_INTERNAL_ONLY",
            template=CloudRunV2ServiceTemplate(
                service_account=identities.copier.email,
                timeout=f"{settings.copier.timeout_seconds}s",
                max_instance_request_concurrency=4,
                scaling=CloudRunV2ServiceTemplateScaling(
                    min_instance_count=0, max_instance_count=settings.copier.max_instances
                ),
                containers=[
                    service_container(
                        image, environment, cpu=settings.copier.cpu, memory=settings.copier.memory
                    )
                ],
            ),
            traffic=[CloudRunV2ServiceTraffic(type=LATEST, percent=100)],
            depends_on=[image_build, *grants],
        )
        self.invoker = CloudRunV2ServiceIamMember(
            self,
            "scheduler_invokes_copier",
            name=self.service.name,
            location=settings.region,
            role="roles/run.invoker",
            member=identities.scheduler.member,
            lifecycle=replaced_with(self.service),
        )
