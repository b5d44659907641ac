"""The dashboard: a Cloud Run service that shows the data, and reads only the dataset of views."""

from cdktf_cdktf_provider_google.bigquery_dataset_iam_member import BigqueryDatasetIamMember
from cdktf_cdktf_provider_google.cloud_run_v2_service import (
    CloudRunV2Service,
    CloudRunV2ServiceTemplate,
    CloudRunV2ServiceTemplateScaling,
    CloudRunV2ServiceTraffic,
)
from cdktf_cdktf_provider_google.cloud_run_v2_service_iam_member import CloudRunV2ServiceIamMember
from cdktf_cdktf_provider_google.project_iam_member import ProjectIamMember
from cdktf_cdktf_provider_google.storage_bucket_object import StorageBucketObject
from constructs import Construct

from cdk.resources.identities import Identities
from cdk.resources.replacement import replaced_with
from cdk.resources.views import Views
from cdk.settings import Dashboard as DashboardSettings
from cdk.settings import Settings
from cdk.workloads.build import Build
from cdk.workloads.containers import LATEST, service_container
from feed import Feed

REQUEST_SECONDS = 60


class Dashboard(Construct):
    """The service `dashboard`, its image and its two roles. With `public`, everybody may invoke it, else nobody."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        dashboard: DashboardSettings,
        feed: Feed,
        *,
        identities: Identities,
        views: Views,
        build: Build,
        source: StorageBucketObject,
        source_sha256: str,
    ) -> None:
        super().__init__(scope, "dashboard")
        image, image_build = build.image("dashboard", source, source_sha256)
        member = identities.dashboard.member
        grants = [
            BigqueryDatasetIamMember(
                self,
                "dashboard_reads_views",
                dataset_id=views.dataset.dataset_id,
                role="roles/bigquery.dataViewer",
                member=member,
                lifecycle=replaced_with(views.dataset),
            ),
            ProjectIamMember(
                self,
                "dashboard_runs_queries",
                project=settings.project,
                role="roles/bigquery.jobUser",
                member=member,
            ),
        ]
        environment = {
            "VIEWS_DATASET": f"{settings.project}.{views.dataset.dataset_id}",
            "FEED": feed.name,
            "FEED_TITLE": feed.title,
            "FEED_LICENCE": feed.licence,
            "TIME_ZONE": settings.schedule.time_zone,
            "ENVIRONMENT": settings.environment,
            "MAX_QUERY_MEBIBYTES": str(dashboard.max_query_mebibytes),
            "DAILY_GIBIBYTES": str(dashboard.daily_gibibytes),
            "CACHE_MEBIBYTES": str(dashboard.cache_mebibytes),
        }
        environment |= {"PUBLIC": "1"} if dashboard.public else {}
        environment |= {} if settings.gbfs is None else {"GBFS_SYSTEMS": "1"}
        self.service = CloudRunV2Service(
            self,
            "service",
            name=settings.name("dashboard"),
            location=settings.region,
            description="A live map of the stations and their history; reads the dataset of views",
            deletion_protection=False,
            # Reachable from the internet; IAM decides who may invoke it.
            ingress="INGRESS_TRAFFIC_ALL",
            template=CloudRunV2ServiceTemplate(
                service_account=identities.dashboard.email,
                timeout=f"{REQUEST_SECONDS}s",
                max_instance_request_concurrency=80,
                # One instance, so that its cache and its daily limit are those of the service.
                scaling=CloudRunV2ServiceTemplateScaling(min_instance_count=0, max_instance_count=1),
                containers=[service_container(image, environment, cpu="1", memory=dashboard.memory)],
            ),
            traffic=[CloudRunV2ServiceTraffic(type=LATEST, percent=100)],
            depends_on=[image_build, *grants, *views.views.values()],
        )
        if dashboard.public:
            CloudRunV2ServiceIamMember(
                self,
                "everybody_opens_dashboard",
                name=self.service.name,
                location=settings.region,
                role="roles/run.invoker",
                member="allUsers",
                lifecycle=replaced_with(self.service),
            )
