"""The batch: a workflow template whose cluster exists for one run, on a network that reaches only Google's APIs."""

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_google.bigquery_dataset_iam_member import BigqueryDatasetIamMember
from cdktf_cdktf_provider_google.compute_firewall import ComputeFirewall, ComputeFirewallAllow
from cdktf_cdktf_provider_google.compute_network import ComputeNetwork
from cdktf_cdktf_provider_google.compute_subnetwork import ComputeSubnetwork
from cdktf_cdktf_provider_google.dataproc_workflow_template import (
    DataprocWorkflowTemplate,
    DataprocWorkflowTemplateJobs,
    DataprocWorkflowTemplateJobsPysparkJob,
    DataprocWorkflowTemplateJobsScheduling,
    DataprocWorkflowTemplateParameters,
    DataprocWorkflowTemplateParametersValidation,
    DataprocWorkflowTemplateParametersValidationRegex,
    DataprocWorkflowTemplatePlacement,
    DataprocWorkflowTemplatePlacementManagedCluster,
    DataprocWorkflowTemplatePlacementManagedClusterConfig,
    DataprocWorkflowTemplatePlacementManagedClusterConfigGceClusterConfig,
    DataprocWorkflowTemplatePlacementManagedClusterConfigMasterConfig,
    DataprocWorkflowTemplatePlacementManagedClusterConfigMasterConfigDiskConfig,
    DataprocWorkflowTemplatePlacementManagedClusterConfigSoftwareConfig,
    DataprocWorkflowTemplatePlacementManagedClusterConfigWorkerConfig,
    DataprocWorkflowTemplatePlacementManagedClusterConfigWorkerConfigDiskConfig,
)
from cdktf_cdktf_provider_google.project_iam_custom_role import ProjectIamCustomRole
from cdktf_cdktf_provider_google.project_iam_member import ProjectIamMember
from cdktf_cdktf_provider_google.service_account_iam_member import ServiceAccountIamMember
from cdktf_cdktf_provider_google.storage_bucket_iam_member import StorageBucketIamMember
from cdktf_cdktf_provider_google.storage_bucket_object import StorageBucketObject
from constructs import Construct

from cdk.resources.identities import Identities
from cdk.resources.replacement import replaced_with
from cdk.resources.storage import Storage
from cdk.resources.warehouse import Warehouse
from cdk.settings import Settings
from cdk.settings.gbfs import BATCH_STEP as GBFS_STEP

STEP = "rebuild"
PACKS_FEED = "gbfs"  # what the job calls all GBFS systems: spark.settings.PACKS_FEED
# Permissions that Dataproc requires of the cluster VMs' account, and those for logs and metrics. roles/dataproc.worker
# would also give access to the objects of every bucket in the project.
# https://cloud.google.com/dataproc/docs/concepts/configuring-clusters/service-accounts
WORKER = (
    "dataproc.agents.create",
    "dataproc.agents.delete",
    "dataproc.agents.get",
    "dataproc.agents.list",
    "dataproc.agents.update",
    "dataproc.tasks.lease",
    "dataproc.tasks.listInvalidatedLeases",
    "dataproc.tasks.reportStatus",
    "logging.logEntries.create",
    "monitoring.metricDescriptors.create",
    "monitoring.metricDescriptors.get",
    "monitoring.metricDescriptors.list",
    "monitoring.monitoredResourceDescriptors.get",
    "monitoring.monitoredResourceDescriptors.list",
    "monitoring.timeSeries.create",
)
DAY_OR_YESTERDAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}|yesterday"


class Batch(Construct):
    """Network, workflow template `rebuild-days` with the parameters FROM and TO, and the roles around it."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        *,
        identities: Identities,
        storage: Storage,
        warehouse: Warehouse,
        main: StorageBucketObject,
        packages: list[StorageBucketObject],
    ) -> None:
        super().__init__(scope, "batch")
        self._settings = settings
        subnetwork, firewall = self._network()
        grants = self._grants(identities, storage, warehouse)
        arguments = {
            "--project": settings.project,
            "--dataset": warehouse.dataset.dataset_id,
            "--location": warehouse.dataset.location,
            "--archive-bucket": storage.archive.name,
            "--staging-bucket": storage.staging.name,
            "--feed": settings.feed,
            "--from": "yesterday",
            "--to": "yesterday",
            "--redelivery-window-s": str(settings.messages.redelivery_window_seconds),
        }
        argv = [word for pair in arguments.items() for word in pair]
        steps = {STEP: argv}
        if settings.gbfs is not None:
            steps[GBFS_STEP] = [
                word for pair in (arguments | {"--feed": PACKS_FEED}).items() for word in pair
            ]
        self.template = DataprocWorkflowTemplate(
            self,
            "template",
            name=settings.name("rebuild-days"),
            location=settings.region,
            dag_timeout=f"{settings.batch.timeout_minutes * 60}s",
            placement=DataprocWorkflowTemplatePlacement(
                managed_cluster=DataprocWorkflowTemplatePlacementManagedCluster(
                    cluster_name=settings.name("vlille-batch"),
                    config=self._cluster(identities, storage, subnetwork),
                )
            ),
            jobs=[
                DataprocWorkflowTemplateJobs(
                    step_id=step,
                    # Sequential: each step uses the whole memory of the cluster.
                    prerequisite_step_ids=None if step == STEP else [STEP],
                    pyspark_job=DataprocWorkflowTemplateJobsPysparkJob(
                        main_python_file_uri=_uri(main),
                        python_file_uris=[_uri(package) for package in packages],
                        args=step_words,
                    ),
                    scheduling=DataprocWorkflowTemplateJobsScheduling(
                        max_failures_per_hour=1, max_failures_total=1
                    ),
                )
                for step, step_words in steps.items()
            ],
            parameters=[
                DataprocWorkflowTemplateParameters(
                    name=name,
                    description=f"{meaning} day to rebuild, in UTC: YYYY-MM-DD or yesterday",
                    fields=[f"jobs['{step}'].pysparkJob.args[{argv.index(option) + 1}]" for step in steps],
                    validation=DataprocWorkflowTemplateParametersValidation(
                        regex=DataprocWorkflowTemplateParametersValidationRegex(regexes=[DAY_OR_YESTERDAY])
                    ),
                )
                for name, option, meaning in (("FROM", "--from", "First"), ("TO", "--to", "Last"))
            ],
            depends_on=[firewall, *grants],
        )
        self.starters = self._let_scheduler_start(identities)

    @property
    def instantiate_url(self) -> str:
        """Where a POST with the parameters FROM and TO starts a run."""
        settings = self._settings
        return (
            f"https://dataproc.googleapis.com/v1/projects/{settings.project}/regions/{settings.region}"
            f"/workflowTemplates/{self.template.name}:instantiate"
        )

    def _network(self) -> tuple[ComputeSubnetwork, ComputeFirewall]:
        name = self._settings.name("vlille-batch")
        network = ComputeNetwork(self, "network", name=name, auto_create_subnetworks=False)
        subnetwork = ComputeSubnetwork(
            self,
            "subnetwork",
            name=name,
            region=self._settings.region,
            network=network.id,
            ip_cidr_range=self._settings.batch.subnet,
            # Cluster VMs have no external address and reach only Google's APIs.
            private_ip_google_access=True,
        )
        firewall = ComputeFirewall(
            self,
            "firewall",
            name=self._settings.name("vlille-batch-internal"),
            network=network.name,
            direction="INGRESS",
            source_tags=[name],
            target_tags=[name],
            allow=[ComputeFirewallAllow(protocol=protocol) for protocol in ("tcp", "udp", "icmp")],
            # A network that still has a rule cannot be deleted.
            lifecycle=replaced_with(network),
        )
        return subnetwork, firewall

    def _cluster(
        self, identities: Identities, storage: Storage, subnetwork: ComputeSubnetwork
    ) -> DataprocWorkflowTemplatePlacementManagedClusterConfig:
        batch = self._settings.batch
        properties = {
            "dataproc:dataproc.logging.stackdriver.job.driver.enable": "true",
            "spark:spark.sql.session.timeZone": "UTC",
        }
        if batch.workers.count == 0:
            properties["dataproc:dataproc.allow.zero.workers"] = "true"
        workers = DataprocWorkflowTemplatePlacementManagedClusterConfigWorkerConfig(
            num_instances=batch.workers.count,
            machine_type=batch.workers.machine_type,
            disk_config=DataprocWorkflowTemplatePlacementManagedClusterConfigWorkerConfigDiskConfig(
                boot_disk_size_gb=batch.workers.disk_gigabytes, boot_disk_type="pd-standard"
            ),
        )
        return DataprocWorkflowTemplatePlacementManagedClusterConfig(
            staging_bucket=storage.staging.name,
            temp_bucket=storage.staging.name,
            gce_cluster_config=DataprocWorkflowTemplatePlacementManagedClusterConfigGceClusterConfig(
                service_account=identities.batch.email,
                service_account_scopes=["https://www.googleapis.com/auth/cloud-platform"],
                subnetwork=subnetwork.id,
                internal_ip_only=True,
                tags=[self._settings.name("vlille-batch")],
            ),
            master_config=DataprocWorkflowTemplatePlacementManagedClusterConfigMasterConfig(
                num_instances=1,
                machine_type=batch.master.machine_type,
                disk_config=DataprocWorkflowTemplatePlacementManagedClusterConfigMasterConfigDiskConfig(
                    boot_disk_size_gb=batch.master.disk_gigabytes, boot_disk_type="pd-standard"
                ),
            ),
            worker_config=workers if batch.workers.count else None,
            software_config=DataprocWorkflowTemplatePlacementManagedClusterConfigSoftwareConfig(
                image_version=batch.image, properties=properties
            ),
        )

    def _grants(
        self, identities: Identities, storage: Storage, warehouse: Warehouse
    ) -> list[ITerraformDependable]:
        member = identities.batch.member
        buckets = {
            "batch_reads_archive": (storage.archive, "roles/storage.objectViewer"),
            "batch_reads_artifacts": (storage.artifacts, "roles/storage.objectViewer"),
            # Dataproc itself reads the bucket's settings and keeps its own files there.
            "batch_owns_staging": (storage.staging, "roles/storage.admin"),
        }
        worker = ProjectIamCustomRole(
            self,
            "worker_role",
            role_id=self._settings.name("vlilleBatchWorker", "_"),
            title="VMs of the vlille batch cluster",
            description="Run as a VM of the cluster; roles on buckets are granted per bucket",
            permissions=list(WORKER),
        )
        self.table_editor = BigqueryDatasetIamMember(
            self,
            "batch_rebuilds_tables",
            dataset_id=warehouse.dataset.dataset_id,
            role="roles/bigquery.dataEditor",
            member=member,
            lifecycle=replaced_with(warehouse.dataset),
        )
        project_roles = {
            "batch_is_worker": worker.name,
            "batch_runs_jobs": "roles/bigquery.jobUser",
        }
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
                ProjectIamMember(self, id_, project=self._settings.project, role=role, member=member)
                for id_, role in project_roles.items()
            ),
            self.table_editor,
        ]

    def _let_scheduler_start(self, identities: Identities) -> list[ITerraformDependable]:
        role = ProjectIamCustomRole(
            self,
            "starter_role",
            role_id=self._settings.name("vlilleBatchStarter", "_"),
            title="Start the vlille batch",
            description="Instantiate workflow templates, without the cluster's own permissions",
            permissions=["dataproc.workflowTemplates.instantiate"],
        )
        member = identities.scheduler.member
        return [
            ProjectIamMember(
                self, "scheduler_starts_batch", project=self._settings.project, role=role.name, member=member
            ),
            ServiceAccountIamMember(
                self,
                "scheduler_acts_as_batch",
                service_account_id=identities.batch.name,
                role="roles/iam.serviceAccountUser",
                member=member,
            ),
        ]


def _uri(item: StorageBucketObject) -> str:
    return f"gs://{item.bucket}/{item.name}"
