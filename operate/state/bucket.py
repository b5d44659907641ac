"""The bucket that holds Terraform's states: created before the first one, deleted after the last."""

from google.api_core.exceptions import (
    Conflict,
    Forbidden,
    GoogleAPICallError,
    NotFound,
    RetryError,
    Unauthorized,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Bucket
from google.cloud.storage import Client as StorageClient
from requests import RequestException

from cdk.settings import Settings
from operate.cloud import find_connection_error, make_credentials_error
from operate.errors import OperateError
from operate.state.locks import LOCK
from operate.state.state_files import RETRY, STATE, read_states

PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})
KEPT_VERSIONS = 100


def find_bucket(client: StorageClient, settings: Settings) -> Bucket | None:
    """Return the state bucket, None if there is none. Raises OperateError if it cannot be read."""
    name = settings.bucket("tfstate")
    try:
        return client.lookup_bucket(name, retry=RETRY)
    except Forbidden:
        raise OperateError(
            f"the bucket {name} exists, but these credentials have no access to it: ask its project's owner for "
            "roles/storage.admin, or, if it is another project's, choose another project ID in "
            f"environments/{settings.environment}.toml"
        ) from None
    except (Unauthorized, GoogleAuthError) as error:
        raise make_credentials_error(error) from None
    except (GoogleAPICallError, RetryError, RequestException) as error:
        if unreachable := find_connection_error(error, "Cloud Storage"):
            raise unreachable from None
        raise OperateError(
            f"the bucket {name} cannot be looked up in Cloud Storage ({error}): run this again"
        ) from None


def ensure_bucket(client: StorageClient, settings: Settings, project_number: int) -> str:
    """Create the state bucket, or correct the configuration of an existing one; return what was done.

    Raises OperateError for a bucket in another project or region, and for a public one.
    """
    bucket = find_bucket(client, settings)
    if bucket is None:
        return _create(client, settings)
    check_owner(bucket, settings, project_number)
    if (bucket.location or "").lower() != settings.region:
        raise OperateError(
            f"the state bucket {bucket.name} is in {bucket.location}, not in {settings.region.upper()}, and cannot "
            f"be moved: set region in environments/{settings.environment}.toml, or delete the bucket if it is empty"
        )
    _check_closed(bucket)
    wrong = _configure(bucket, settings)
    if not wrong:
        return f"the state bucket {bucket.name} is configured correctly"
    bucket.patch(retry=RETRY)
    return f"the state bucket {bucket.name} was corrected: {', '.join(wrong)}"


def check_owner(bucket: Bucket, settings: Settings, project_number: int) -> None:
    """Raise OperateError for a bucket of another project: bucket names are global."""
    if bucket.project_number != project_number:
        raise OperateError(
            f"the bucket {bucket.name} is in the project with the number {bucket.project_number}, not in "
            f"{settings.project} ({project_number}): choose another project ID in "
            f"environments/{settings.environment}.toml"
        )


def remove_bucket(client: StorageClient, bucket: Bucket) -> None:
    """Delete the bucket with every version of empty states. Raises OperateError if it holds anything else."""
    if held := [
        f"{state.stack} ({len(state.resources)})" for state in read_states(client, bucket) if state.resources
    ]:
        raise OperateError(
            f"the bucket {bucket.name} was not deleted: it holds the state of deployed resources, by stack: "
            f"{', '.join(held)}; destroy these stacks, then run this again"
        )
    blobs = list(client.list_blobs(bucket, versions=True, retry=RETRY))
    if foreign := sorted({blob.name for blob in blobs if not blob.name.endswith((STATE, LOCK))}):
        raise OperateError(
            f"the bucket {bucket.name} was not deleted: it holds {len(foreign)} objects that are not states, such as "
            f"{foreign[0]}; remove them, then run this again"
        )
    if locks := [blob.name for blob in blobs if blob.name.endswith(LOCK) and blob.time_deleted is None]:
        raise OperateError(
            f"the bucket {bucket.name} was not deleted: {locks[0]} exists, so Terraform is running or was killed; "
            f"wait, or delete it with `gcloud storage rm gs://{bucket.name}/{locks[0]}`, then run this again"
        )
    for blob in blobs:
        try:
            blob.delete(retry=RETRY)
        except NotFound:  # deleted in the meantime
            continue
    bucket.delete(retry=RETRY)


def _create(client: StorageClient, settings: Settings) -> str:
    bucket = client.bucket(settings.bucket("tfstate"))
    _configure(bucket, settings)
    try:
        client.create_bucket(bucket, location=settings.region.upper(), retry=RETRY)
    except Conflict:
        raise OperateError(
            f"the bucket name {bucket.name} is taken, and names are global: run this again if you made it just now, "
            f"or choose another project ID in environments/{settings.environment}.toml"
        ) from None
    except GoogleAPICallError as error:
        raise OperateError(
            f"the state bucket {bucket.name} cannot be created: {error.message}; link a billing account to the "
            "project, or ask for roles/storage.admin on it, then run this again"
        ) from None
    return f"the state bucket {bucket.name} was created in {settings.region}"


def _configure(bucket: Bucket, settings: Settings) -> list[str]:
    """Set the configuration of a state bucket locally, and return what differed."""
    wrong: list[str] = []
    access = bucket.iam_configuration
    if not access.uniform_bucket_level_access_enabled:
        access.uniform_bucket_level_access_enabled = True
        wrong.append("uniform access")
    if access.public_access_prevention != "enforced":
        access.public_access_prevention = "enforced"
        wrong.append("public access prevented")
    if not bucket.versioning_enabled:
        bucket.versioning_enabled = True
        wrong.append("versioned")
    if not list(bucket.lifecycle_rules):
        bucket.add_lifecycle_delete_rule(number_of_newer_versions=KEPT_VERSIONS)
        wrong.append(f"the last {KEPT_VERSIONS} versions kept")
    if not settings.resource_labels.items() <= bucket.labels.items():
        bucket.labels = {**bucket.labels, **settings.resource_labels}
        wrong.append("labelled")
    return wrong


def _check_closed(bucket: Bucket) -> None:
    policy = bucket.get_iam_policy(requested_policy_version=3, retry=RETRY)
    for binding in policy.bindings:
        if public := sorted(PUBLIC & set(binding["members"])):
            raise OperateError(
                f"the bucket {bucket.name} is public: {public[0]} has {binding['role']}; check who read it, and "
                f"remove the binding: gcloud storage buckets remove-iam-policy-binding gs://{bucket.name} "
                f"--member={public[0]} --role={binding['role']}"
            )
