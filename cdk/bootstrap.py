"""The stack that a project needs once, before its environment: the APIs and the identity of CI.

The state bucket has to exist before any Terraform state, so `operate` creates it. Without `[ci]` there are only APIs.
"""

from collections.abc import Mapping

from cdktf import ITerraformDependable, TerraformOutput
from cdktf_cdktf_provider_google.iam_workload_identity_pool import IamWorkloadIdentityPool
from cdktf_cdktf_provider_google.iam_workload_identity_pool_provider import (
    IamWorkloadIdentityPoolProvider,
    IamWorkloadIdentityPoolProviderOidc,
)
from cdktf_cdktf_provider_google.project_iam_member import ProjectIamMember, ProjectIamMemberCondition
from cdktf_cdktf_provider_google.project_service import ProjectService
from cdktf_cdktf_provider_google.service_account import ServiceAccount
from cdktf_cdktf_provider_google.service_account_iam_member import ServiceAccountIamMember
from cdktf_cdktf_provider_google.storage_bucket_iam_member import StorageBucketIamMember
from constructs import Construct

from cdk.apis import list_needed_apis
from cdk.environment_stack import EnvironmentStack
from cdk.settings import CI_POOL, CI_PROVIDER, Ci, Settings

ISSUER = "https://token.actions.githubusercontent.com"
# Excluded: pull_request_target and issue_comment run with main's ref for anybody.
EVENTS = ("pull_request", "push", "schedule", "workflow_dispatch")
# Every admitted run may read: pull requests, the nightly drift check, and main before the approval.
READER = "*"
DEPLOYER = "attribute.ref/refs/heads/main"

# What `terraform plan` reads for each resource type of the environment's stack. No role reads data.
READER_ROLES = (
    "roles/artifactregistry.reader",
    "roles/bigquery.metadataViewer",
    "roles/browser",
    "roles/cloudfunctions.viewer",
    "roles/cloudscheduler.viewer",
    "roles/compute.networkViewer",
    "roles/dataproc.viewer",
    "roles/iam.roleViewer",
    "roles/iam.securityReviewer",  # IAM policies of all resources
    "roles/iam.serviceAccountViewer",
    "roles/monitoring.viewer",
    "roles/pubsub.viewer",
    "roles/run.viewer",
    "roles/serviceusage.serviceUsageViewer",
    "roles/storage.bucketViewer",
)
# What a deploy creates and destroys; IAM of the project is granted separately, limited to GRANTED_ROLES.
DEPLOYER_ROLES = (
    "roles/artifactregistry.admin",
    "roles/bigquery.dataOwner",
    "roles/bigquery.jobUser",  # dropping a column runs a query
    "roles/browser",
    "roles/cloudbuild.builds.editor",
    "roles/cloudfunctions.developer",
    "roles/cloudscheduler.admin",
    "roles/compute.networkAdmin",
    "roles/compute.securityAdmin",  # firewall rules
    "roles/dataproc.editor",
    "roles/iam.roleAdmin",
    "roles/iam.serviceAccountAdmin",
    "roles/iam.serviceAccountUser",
    "roles/logging.viewer",  # the log of a failed image build
    "roles/monitoring.alertPolicyEditor",
    "roles/monitoring.notificationChannelEditor",
    "roles/monitoring.servicesEditor",
    "roles/pubsub.admin",
    "roles/run.admin",
    "roles/serviceusage.serviceUsageConsumer",
    "roles/storage.admin",
)
# What the environment's stack grants on the project: CI may grant these roles and no other.
GRANTED_ROLES = (
    "roles/bigquery.jobUser",
    "roles/logging.logWriter",
    "roles/storage.objectViewer",  # on the buckets that Cloud Functions creates
)

CUSTOM_ROLES = ("vlilleBatchStarter", "vlilleBatchWorker")  # of the stack; granted too


class BootstrapStack(EnvironmentStack):
    """The stack `vlille-<environment>-bootstrap`, which a person deploys before the environment."""

    def __init__(
        self, scope: Construct, settings: Settings, *, adopt: Mapping[str, str], secrets: bool
    ) -> None:
        super().__init__(scope, settings, settings.bootstrap_stack, adopt)
        services: list[ITerraformDependable] = [
            ProjectService(
                self,
                f"api_{api.partition('.')[0]}",
                project=settings.project,
                service=api,
                # Other programs may use them, and the project's resources could not be deleted without them.
                disable_on_destroy=False,
            )
            for api in list_needed_apis(
                ci=settings.ci is not None, budget=settings.budget is not None, secrets=secrets
            )
        ]
        TerraformOutput(self, "state_bucket", value=settings.bucket("tfstate"))
        if settings.ci is not None:
            CiIdentity(self, settings, settings.ci, services=services)


class CiIdentity(Construct):
    """Two service accounts for GitHub's tokens, without keys: one that reads, and one that deploys main."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        ci: Ci,
        *,
        services: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, "ci")
        self._settings = settings
        self._services = services
        self._pool = IamWorkloadIdentityPool(
            self,
            "pool",
            workload_identity_pool_id=settings.name(CI_POOL),
            display_name="GitHub Actions",
            depends_on=services,
        )
        provider = self._make_provider(ci)
        self.reader = self._make_account("reader", "plans, and changes nothing", READER)
        self.deployer = self._make_account("deployer", "deploys what is on main", DEPLOYER)
        self._grant_reader()
        self._grant_deployer()
        TerraformOutput(scope, "ci_provider", value=provider.name)
        TerraformOutput(scope, "ci_reader", value=self.reader.email)
        TerraformOutput(scope, "ci_deployer", value=self.deployer.email)

    def _make_provider(self, ci: Ci) -> IamWorkloadIdentityPoolProvider:
        events = ", ".join(f"'{event}'" for event in EVENTS)
        return IamWorkloadIdentityPoolProvider(
            self,
            "provider",
            workload_identity_pool_id=self._pool.workload_identity_pool_id,
            workload_identity_pool_provider_id=CI_PROVIDER,
            display_name="GitHub Actions",
            description=f"Workflows of {ci.repository}, which the IDs in the condition decide",
            # Every GitHub workflow gets a token of this issuer: the condition admits one repository. A name can be
            # taken over after its owner renames or deletes an account or a repository; IDs are never reused.
            attribute_condition=(
                f"assertion.repository_id == '{ci.repository_id}'"
                f" && assertion.repository_owner_id == '{ci.repository_owner_id}'"
                f" && assertion.event_name in [{events}]"
            ),
            attribute_mapping={
                "google.subject": "assertion.sub",
                # The event of a merged and closed pull request has main's ref, and must not deploy.
                "attribute.ref": "assertion.event_name == 'pull_request' ? 'none' : assertion.ref",
            },
            oidc=IamWorkloadIdentityPoolProviderOidc(issuer_uri=ISSUER),
        )

    def _make_account(self, name: str, description: str, who: str) -> ServiceAccount:
        account = ServiceAccount(
            self,
            name,
            account_id=self._settings.name(f"vlille-ci-{name}"),
            display_name=f"vlille CI {name} ({self._settings.environment})",
            description=description,
            depends_on=self._services,
        )
        ServiceAccountIamMember(
            self,
            f"github_is_{name}",
            service_account_id=account.name,
            role="roles/iam.workloadIdentityUser",
            member=f"principalSet://iam.googleapis.com/{self._pool.name}/{who}",
        )
        return account

    def _grant_reader(self) -> None:
        for role in READER_ROLES:
            self._grant("reader", self.reader, role)
        StorageBucketIamMember(
            self,
            "reader_reads_state",
            bucket=self._settings.bucket("tfstate"),
            role="roles/storage.objectViewer",
            member=self.reader.member,
            depends_on=self._services,
        )
        # The bucket does not exist yet, so the grant is on the project, with a condition on the bucket's name.
        artifacts = f"projects/_/buckets/{self._settings.bucket('artifacts')}/objects/"
        self._grant(
            "reader",
            self.reader,
            "roles/storage.objectViewer",
            ProjectIamMemberCondition(
                title="artifacts_only", expression=f"resource.name.startsWith('{artifacts}')"
            ),
        )

    def _grant_deployer(self) -> None:
        for role in DEPLOYER_ROLES:
            self._grant("deployer", self.deployer, role)
        prefix = f"projects/{self._settings.project}/roles/"
        own = (f"{prefix}{self._settings.name(role, '_')}" for role in CUSTOM_ROLES)
        roles = ", ".join(f"'{role}'" for role in (*GRANTED_ROLES, *own))
        granted = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', [])"
        self._grant(
            "deployer",
            self.deployer,
            "roles/resourcemanager.projectIamAdmin",
            ProjectIamMemberCondition(title="roles_of_the_stack", expression=f"{granted}.hasOnly([{roles}])"),
        )

    def _grant(
        self,
        name: str,
        account: ServiceAccount,
        role: str,
        condition: ProjectIamMemberCondition | None = None,
    ) -> None:
        ProjectIamMember(
            self,
            f"{name}_{role.removeprefix('roles/').replace('.', '_')}",
            project=self._settings.project,
            role=role,
            member=account.member,
            condition=condition,
            depends_on=self._services,
        )
