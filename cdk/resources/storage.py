"""The buckets: landing, archive, artifacts and staging."""

from cdktf import TerraformResourceLifecycle
from cdktf_cdktf_provider_google.storage_bucket import (
    StorageBucket,
    StorageBucketLifecycleRule,
    StorageBucketLifecycleRuleAction,
    StorageBucketLifecycleRuleCondition,
    StorageBucketSoftDeletePolicy,
)
from constructs import Construct

from cdk.settings import Settings

DAY_SECONDS = 86_400
# Without this variable, the storage client reads a bucket's metadata with its first call and after each 404, for
# traces that are not collected. No workload has a role for these calls.
STORAGE_CLIENT_VARIABLES = {"DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true"}


class Storage(Construct):
    """Private buckets with uniform access, and lifecycle rules that delete objects after some days."""

    def __init__(self, scope: Construct, settings: Settings) -> None:
        super().__init__(scope, "storage")
        self._settings = settings
        retention = settings.retention
        kept = retention.soft_delete_days
        self.landing = self._bucket(
            "landing", days=retention.landing_days, soft_delete_days=kept, has_data=True
        )
        self.archive = self._bucket(
            "archive", days=retention.archive_days, soft_delete_days=kept, has_data=True
        )
        # No age: the function and the cluster read the artifacts of the last deploy at any age. `create_before_destroy`
        # of its objects also applies to this bucket, so replacing it would fail with 409 (the name is taken) in every
        # deploy. So a change of its location is ignored.
        self.artifacts = self._bucket(
            "artifacts", days=0, soft_delete_days=0, has_data=False, ignores_location=True
        )
        self.staging = self._bucket(
            "staging", days=retention.staging_days, soft_delete_days=0, has_data=False
        )

    def _bucket(
        self,
        purpose: str,
        *,
        days: int,
        soft_delete_days: int,
        has_data: bool,
        ignores_location: bool = False,
    ) -> StorageBucket:
        protected = self._settings.protected and has_data
        return StorageBucket(
            self,
            purpose,
            name=self._settings.bucket(purpose),
            location=self._settings.region.upper(),
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            force_destroy=not protected,
            soft_delete_policy=StorageBucketSoftDeletePolicy(
                retention_duration_seconds=soft_delete_days * DAY_SECONDS
            ),
            lifecycle_rule=[_delete_after(days)] if days else None,
            lifecycle=_lifecycle(protected=protected, ignores_location=ignores_location),
        )


def _lifecycle(*, protected: bool, ignores_location: bool) -> TerraformResourceLifecycle | None:
    if ignores_location:
        return TerraformResourceLifecycle(ignore_changes=["location"])
    return TerraformResourceLifecycle(prevent_destroy=True) if protected else None


def _delete_after(days: int) -> StorageBucketLifecycleRule:
    return StorageBucketLifecycleRule(
        action=StorageBucketLifecycleRuleAction(type="Delete"),
        condition=StorageBucketLifecycleRuleCondition(age=days),
    )
