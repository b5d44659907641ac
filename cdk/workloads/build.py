"""What is built at a deploy: the repository for images, the services' images, and who may build."""

from cdktf import AssetType, ITerraformDependable, LocalExecProvisioner, TerraformAsset, TerraformResource
from cdktf_cdktf_provider_google.artifact_registry_repository import (
    ArtifactRegistryRepository,
    ArtifactRegistryRepositoryCleanupPolicies,
    ArtifactRegistryRepositoryCleanupPoliciesCondition,
    ArtifactRegistryRepositoryCleanupPoliciesMostRecentVersions,
)
from cdktf_cdktf_provider_google.artifact_registry_repository_iam_member import (
    ArtifactRegistryRepositoryIamMember,
)
from cdktf_cdktf_provider_google.project_iam_member import ProjectIamMember, ProjectIamMemberCondition
from cdktf_cdktf_provider_google.storage_bucket_iam_member import StorageBucketIamMember
from cdktf_cdktf_provider_google.storage_bucket_object import StorageBucketObject
from constructs import Construct

from cdk.artifacts.packaging import compute_digest
from cdk.resources.identities import Identities
from cdk.resources.replacement import replaced_with
from cdk.resources.storage import Storage
from cdk.settings import Settings
from cdk.workloads.build_command import SCRIPT, build_command


class Build(Construct):
    """Artifact Registry and the build account's roles; `image` builds one from a source archive."""

    def __init__(
        self, scope: Construct, settings: Settings, identities: Identities, storage: Storage
    ) -> None:
        super().__init__(scope, "build")
        self._settings = settings
        self._account = identities.build
        self.repository = ArtifactRegistryRepository(
            self,
            "repository",
            repository_id=settings.name("vlille"),
            location=settings.region,
            format="DOCKER",
            description="Images of the collector, the copier and the dashboard",
            cleanup_policies=[
                # Running images are among those of the last deploys: KEEP overrides DELETE, so they are never deleted.
                ArtifactRegistryRepositoryCleanupPolicies(
                    id="keep-latest",
                    action="KEEP",
                    most_recent_versions=ArtifactRegistryRepositoryCleanupPoliciesMostRecentVersions(
                        keep_count=10
                    ),
                ),
                ArtifactRegistryRepositoryCleanupPolicies(
                    id="delete-untagged",
                    action="DELETE",
                    condition=ArtifactRegistryRepositoryCleanupPoliciesCondition(
                        tag_state="UNTAGGED", older_than="2592000s"
                    ),
                ),
            ],
        )
        member = identities.build.member
        self.grants: list[ITerraformDependable] = [
            ArtifactRegistryRepositoryIamMember(
                self,
                "build_writes_images",
                repository=self.repository.name,
                location=settings.region,
                role="roles/artifactregistry.writer",
                member=member,
                lifecycle=replaced_with(self.repository),
            ),
            StorageBucketIamMember(
                self,
                "build_reads_artifacts",
                bucket=storage.artifacts.name,
                role="roles/storage.objectViewer",
                member=member,
                lifecycle=replaced_with(storage.artifacts),
            ),
            # Cloud Functions copies the source to a bucket that it creates, and builds from there.
            ProjectIamMember(
                self,
                "build_reads_function_sources",
                project=settings.project,
                role="roles/storage.objectViewer",
                member=member,
                condition=ProjectIamMemberCondition(
                    title="function-sources",
                    expression='resource.name.startsWith("projects/_/buckets/gcf-v2-sources-'
                    f'{identities.project.number}-{settings.region}")',
                ),
            ),
            ProjectIamMember(
                self,
                "build_writes_logs",
                project=settings.project,
                role="roles/logging.logWriter",
                member=member,
            ),
        ]

    def image(self, name: str, source: StorageBucketObject, sha256: str) -> tuple[str, TerraformResource]:
        """Declare the build of `name` from a source archive; return the image's address and the build.

        The tag is the archive's digest, so unchanged source is neither built nor deployed anew.
        """
        settings = self._settings
        image = f"{settings.region}-docker.pkg.dev/{settings.project}/{settings.name('vlille')}/{name}:{sha256[:16]}"
        script = TerraformAsset(
            self,
            f"{name}_script",
            path=str(SCRIPT),
            type=AssetType.FILE,
            asset_hash=compute_digest(SCRIPT.read_bytes())[:32],
        )
        arguments = {
            "--project": settings.project,
            "--region": settings.region,
            "--bucket": source.bucket,
            "--object": source.name,
            "--image": image,
            "--service-account": self._account.name,
        }
        build = TerraformResource(
            self,
            f"{name}_image",
            terraform_resource_type="terraform_data",
            provisioners=[
                LocalExecProvisioner(type="local-exec", command=build_command(script.path, arguments))
            ],
            depends_on=[source, self.repository, *self.grants],
        )
        build.add_override("input", {"image": image})
        build.add_override("triggers_replace", {"image": image, "repository": self.repository.id})
        return image, build
