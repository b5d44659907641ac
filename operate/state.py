"""The bucket that holds Terraform's states: made before there can be one, removed after the last."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.api_core.exceptions import (
    Conflict,
    Forbidden,
    GoogleAPICallError,
    NotFound,
    PreconditionFailed,
    RetryError,
    Unauthorized,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Blob, Bucket
from google.cloud.storage import Client as StorageClient
from google.cloud.storage.retry import DEFAULT_RETRY

from cdk.settings import Settings
from operate.cloud import refused_credentials
from operate.errors import OperateError

RETRY = DEFAULT_RETRY.with_timeout(30)
PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})
KEPT_VERSIONS = 100
STATE, LOCK = ".tfstate", ".tflock"
# Attributes by which what is deployed refuses to go, and refuses only once the rest is gone.
PROTECTING = {
    "google_bigquery_dataset": ("delete_contents_on_destroy", False),
    "google_bigquery_table": ("deletion_protection", True),
    "google_storage_bucket": ("force_destroy", False),
}


@dataclass(frozen=True)
class State:
    """One stack's state: addresses of what it deployed, and of what among that is protected."""

    stack: str
    resources: tuple[str, ...]
    protected: tuple[str, ...]


@dataclass(frozen=True)
class Lock:
    """What Terraform writes beside a state while it works on it, and leaves there when it is killed."""

    stack: str
    operation: str  # apply, plan, destroy
    who: str  # user@host
    since: str  # UTC, to the minute
    blob: Blob

    def __str__(self) -> str:
        return f"{self.who} at {self.since} UTC, for {self.operation}"

    def release(self) -> bool:
        """Delete it, unless another one is there by now; return whether it was this one."""
        try:
            self.blob.delete(if_generation_match=self.blob.generation, retry=RETRY)
        except (NotFound, PreconditionFailed):
            return False
        return True


def find_bucket(client: StorageClient, settings: Settings) -> Bucket | None:
    """Return the state bucket, None where there is none. Raises OperateError where it cannot be seen."""
    name = settings.bucket("tfstate")
    try:
        return client.lookup_bucket(name, retry=RETRY)
    except Forbidden:
        raise OperateError(
            f"the bucket {name} is there and closed to these credentials: ask its project's owner for "
            "roles/storage.admin, or, if it is another project's, choose another project ID in "
            f"environments/{settings.environment}.toml"
        ) from None
    except (Unauthorized, GoogleAuthError) as error:
        raise refused_credentials(error) from None
    except (GoogleAPICallError, RetryError) as error:
        raise OperateError(f"Cloud Storage does not tell of the bucket {name} ({error}): try again") from None


def make_bucket(client: StorageClient, settings: Settings, project_number: int) -> str:
    """Make the state bucket, or set right one that is there; return what was done, in a sentence.

    Raises OperateError for a bucket of another project or region, and for one that anybody may read.
    """
    bucket = find_bucket(client, settings)
    if bucket is None:
        return _create(client, settings)
    check_owner(bucket, settings, project_number)
    if (bucket.location or "").lower() != settings.region:
        raise OperateError(
            f"the state bucket {bucket.name} lies in {bucket.location}, not in {settings.region.upper()}, and cannot "
            f"be moved: set region in environments/{settings.environment}.toml, or delete the bucket if it is empty"
        )
    _check_closed(bucket)
    wrong = _configure(bucket, settings)
    if not wrong:
        return f"the state bucket {bucket.name} is as it should be"
    bucket.patch(retry=RETRY)
    return f"the state bucket {bucket.name} is set right: {', '.join(wrong)}"


def check_owner(bucket: Bucket, settings: Settings, project_number: int) -> None:
    """Raise OperateError for a bucket that lies in another project: names are global."""
    if bucket.project_number != project_number:
        raise OperateError(
            f"the bucket {bucket.name} lies in the project with the number {bucket.project_number}, not in "
            f"{settings.project} ({project_number}): choose another project ID in "
            f"environments/{settings.environment}.toml"
        )


def states(client: StorageClient, bucket: Bucket) -> list[State]:
    """Read every stack's state in the bucket."""
    return [
        _parse(blob.name, json.loads(blob.download_as_bytes(retry=RETRY)))
        for blob in client.list_blobs(bucket, retry=RETRY)
        if blob.name.endswith(STATE)
    ]


def find_lock(bucket: Bucket, stack: str) -> Lock | None:
    """Return the lock on a stack's state, None where nobody holds it."""
    blob = bucket.get_blob(f"{stack}/default{LOCK}", retry=RETRY)
    if blob is None:
        return None
    try:
        told = json.loads(blob.download_as_bytes(retry=RETRY))
    except NotFound:  # released since
        return None
    operation = str(told.get("Operation", "")).removeprefix("OperationType").lower()
    since = str(told.get("Created", ""))[:16].replace("T", " ")
    return Lock(stack, operation or "something", str(told.get("Who", "somebody")), since, blob)


def remove_bucket(client: StorageClient, bucket: Bucket) -> None:
    """Delete the bucket with every version of emptied states. Raises OperateError where it holds more."""
    if held := [
        f"{state.stack} ({len(state.resources)})" for state in states(client, bucket) if state.resources
    ]:
        raise OperateError(
            f"the bucket {bucket.name} is kept: it holds the state of what is deployed, by stack: {', '.join(held)}"
        )
    blobs = list(client.list_blobs(bucket, versions=True, retry=RETRY))
    if foreign := sorted({blob.name for blob in blobs if not blob.name.endswith((STATE, LOCK))}):
        raise OperateError(
            f"the bucket {bucket.name} is kept: it holds {len(foreign)} objects that are no state, such as "
            f"{foreign[0]}; remove them, then run this again"
        )
    if locks := [blob.name for blob in blobs if blob.name.endswith(LOCK) and blob.time_deleted is None]:
        raise OperateError(
            f"the bucket {bucket.name} is kept: {locks[0]} is there, so Terraform is at work or was killed; wait, or "
            f"delete it with `gcloud storage rm gs://{bucket.name}/{locks[0]}`, then run this again"
        )
    for blob in blobs:
        try:
            blob.delete(retry=RETRY)
        except NotFound:  # gone since
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
            f"the state bucket {bucket.name} cannot be made: {error.message}; linking a billing account and "
            "roles/storage.admin on the project are needed"
        ) from None
    return f"the state bucket {bucket.name} is made, in {settings.region}"


def _configure(bucket: Bucket, settings: Settings) -> list[str]:
    """Set what a state bucket has, and return which of it was otherwise; nothing is sent."""
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
                f"the bucket {bucket.name} is open: {public[0]} has {binding['role']}; close it, and look who read "
                f"what is in it: gcloud storage buckets remove-iam-policy-binding gs://{bucket.name} "
                f"--member={public[0]} --role={binding['role']}"
            )


def _parse(name: str, document: dict[str, Any]) -> State:
    managed = [each for each in document.get("resources", []) if each.get("mode") == "managed"]
    return State(
        stack=name.rpartition("/")[0],
        resources=tuple(f"{each['type']}.{each['name']}" for each in managed if each.get("instances")),
        protected=tuple(_protected(managed)),
    )


def _protected(resources: list[dict[str, Any]]) -> Iterator[str]:
    for resource in resources:
        if (rule := PROTECTING.get(resource["type"])) is None:
            continue
        attribute, value = rule
        if any(each.get("attributes", {}).get(attribute) is value for each in resource.get("instances", [])):
            yield f"{resource['type']}.{resource['name']}"
