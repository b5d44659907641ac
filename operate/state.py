"""The bucket that holds Terraform's states: made before there can be one, removed after the last."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
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
from requests import RequestException

from cdk.settings import Settings
from operate.cloud import find_unreachable, refused_credentials
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


# As many earlier versions of a damaged state are read in search of a good one.
MOST_VERSIONS = 10


class _Instance(msgspec.Struct):
    attributes: dict[str, Any] = {}


class _Resource(msgspec.Struct):
    mode: str
    type: str
    name: str
    instances: list[_Instance] = []


class _Document(msgspec.Struct):
    """What is read of a state of format 4."""

    version: int
    resources: list[_Resource] = []


class DamagedStateError(OperateError):
    """A state that cannot be read: `problem` names its object and what is wrong, the message also the remedy.

    What to do: run the `gcloud storage cp` of the message, which restores the newest version that can be read.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        super().__init__(f"{problem}{remedy}")


@dataclass(frozen=True)
class State:
    """One stack's state: addresses of what it deployed, of what among that is protected, and where each lies.

    `locations` are regions in lower case by address, for resources that have one.
    """

    stack: str
    resources: tuple[str, ...]
    protected: tuple[str, ...]
    locations: Mapping[str, str]


@dataclass(frozen=True)
class Lock:
    """What Terraform writes beside a state while it works on it, and leaves there when it is killed."""

    stack: str
    operation: str  # apply, plan, destroy
    who: str  # user@host
    created: datetime
    blob: Blob

    @property
    def id(self) -> str:
        """The lock object's generation, which Terraform calls the lock's ID."""
        return str(self.blob.generation)

    @property
    def uri(self) -> str:
        """The lock object's gs:// URI."""
        return f"gs://{self.blob.bucket.name}/{self.blob.name}"

    def __str__(self) -> str:
        return f"{self.who} at {self.created:%Y-%m-%d %H:%M} UTC, for {self.operation}"

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
    except (GoogleAPICallError, RetryError, RequestException) as error:
        if unreachable := find_unreachable(error, "Cloud Storage"):
            raise unreachable from None
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
    """Read every stack's state in the bucket. Raises DamagedStateError."""
    found: list[State] = []
    for blob in client.list_blobs(bucket, retry=RETRY):
        if blob.name.endswith(STATE):
            try:
                found.append(_parse(blob.name, _read(blob)))
            except msgspec.MsgspecError as error:
                raise _damaged(client, blob, error) from None
    return found


def find_write_time(bucket: Bucket, stack: str) -> datetime | None:
    """Return when a stack's state was written last, None where there is none."""
    blob = bucket.get_blob(f"{stack}/default{STATE}", retry=RETRY)
    return blob.updated if blob else None


def find_lock(bucket: Bucket, stack: str) -> Lock | None:
    """Return the lock on a stack's state, None where nobody holds it."""
    blob = bucket.get_blob(f"{stack}/default{LOCK}", retry=RETRY)
    if blob is None:
        return None
    try:
        content = _read(blob)
    except NotFound:  # released since
        return None
    try:
        info = json.loads(content)
        operation = str(info["Operation"]).removeprefix("OperationType").lower()
        who, created = str(info["Who"]), datetime.fromisoformat(info["Created"])
    except (ValueError, KeyError, TypeError):  # it locks all the same
        return Lock(stack, "an unknown operation", "somebody", blob.time_created, blob)
    return Lock(stack, operation, who, created, blob)


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


def _read(blob: Blob) -> bytes:
    """Download one generation, and keep the blob's properties, which a download sets anew from its headers."""
    same = blob.bucket.blob(blob.name, generation=blob.generation)
    content: bytes = same.download_as_bytes(retry=RETRY)
    return content


def _parse(name: str, content: bytes) -> State:
    """Raises MsgspecError for what is no state."""
    document = msgspec.json.decode(content, type=_Document)
    managed = [each for each in document.resources if each.mode == "managed" and each.instances]
    return State(
        stack=name.rpartition("/")[0],
        resources=tuple(f"{each.type}.{each.name}" for each in managed),
        protected=tuple(_protected(managed)),
        locations=dict(_locations(managed)),
    )


def _protected(resources: list[_Resource]) -> Iterator[str]:
    for resource in resources:
        if (rule := PROTECTING.get(resource.type)) is None:
            continue
        attribute, value = rule
        if any(each.attributes.get(attribute) is value for each in resource.instances):
            yield f"{resource.type}.{resource.name}"


def _locations(resources: list[_Resource]) -> Iterator[tuple[str, str]]:
    for resource in resources:
        attributes = resource.instances[0].attributes
        if isinstance(location := attributes.get("location") or attributes.get("region"), str):
            yield f"{resource.type}.{resource.name}", location.rpartition("/")[2].lower()


def _damaged(client: StorageClient, blob: Blob, error: Exception) -> DamagedStateError:
    """Say what is wrong with a state, and which of its earlier versions can take its place."""
    stack, uri = blob.name.rpartition("/")[0], f"gs://{blob.bucket.name}/{blob.name}"
    failed = f"the state of {stack} is damaged: {uri} is not a state of Terraform ({error})"
    earlier = [
        each
        for each in client.list_blobs(blob.bucket, prefix=blob.name, versions=True, retry=RETRY)
        if each.name == blob.name and each.generation != blob.generation
    ]
    for version in sorted(earlier, key=lambda each: int(each.generation), reverse=True)[:MOST_VERSIONS]:
        try:
            _parse(version.name, _read(version))
        except (msgspec.MsgspecError, NotFound):
            continue
        return DamagedStateError(
            failed,
            f"; restore its last good version, written {version.updated:%Y-%m-%d %H:%M} UTC: "
            f"`gcloud storage cp {uri}#{version.generation} {uri}`",
        )
    return DamagedStateError(
        failed,
        f", and none of its earlier versions is: delete it with `gcloud storage rm {uri}`; the next "
        f"deploy imports what {stack} consists of",
    )
