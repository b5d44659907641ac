"""The content of Terraform's state files: what each stack deployed, and what of it is protected."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from google.api_core.exceptions import NotFound
from google.cloud.storage import Blob, Bucket
from google.cloud.storage import Client as StorageClient
from google.cloud.storage.retry import DEFAULT_RETRY

from operate.errors import OperateError

RETRY = DEFAULT_RETRY.with_timeout(30)
STATE = ".tfstate"
# Attributes by which a deployed resource refuses to be deleted, after others were deleted already.
PROTECTING = {
    "google_bigquery_dataset": ("delete_contents_on_destroy", False),
    "google_bigquery_table": ("deletion_protection", True),
    "google_storage_bucket": ("force_destroy", False),
}
# How many earlier versions of a damaged state are tried.
MOST_VERSIONS = 10


class _Instance(msgspec.Struct):
    attributes: dict[str, Any] = {}


class _Resource(msgspec.Struct):
    mode: str
    type: str
    name: str
    instances: list[_Instance] = []


class _Document(msgspec.Struct):
    """The part of a state of format 4 that is read."""

    version: int
    resources: list[_Resource] = []


class DamagedStateError(OperateError):
    """A state cannot be parsed: `problem` names its object and the error, the message also the remedy.

    What to do: run the `gcloud storage cp` of the message, which restores the newest version that can be read.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        super().__init__(f"{problem}{remedy}")


@dataclass(frozen=True)
class State:
    """The state of one stack: addresses of its resources and of the protected ones, and their locations.

    `locations` are regions in lower case by address, for resources that have one.
    """

    stack: str
    resources: tuple[str, ...]
    protected: tuple[str, ...]
    locations: Mapping[str, str]


def read_states(client: StorageClient, bucket: Bucket) -> list[State]:
    """Read every stack's state in the bucket. Raises DamagedStateError."""
    found: list[State] = []
    for blob in client.list_blobs(bucket, retry=RETRY):
        if blob.name.endswith(STATE):
            try:
                found.append(_parse_state(blob.name, download_blob(blob)))
            except msgspec.MsgspecError as error:
                raise _explain_damage(client, blob, error) from None
    return found


def find_write_time(bucket: Bucket, stack: str) -> datetime | None:
    """Return the time of the last write of a stack's state, None if there is none."""
    blob = bucket.get_blob(f"{stack}/default{STATE}", retry=RETRY)
    return blob.updated if blob else None


def download_blob(blob: Blob) -> bytes:
    """Download one generation through a second blob, since a download overwrites the properties of its blob."""
    same = blob.bucket.blob(blob.name, generation=blob.generation)
    content: bytes = same.download_as_bytes(retry=RETRY)
    return content


def _parse_state(name: str, content: bytes) -> State:
    """Parse a state file. Raises MsgspecError."""
    document = msgspec.json.decode(content, type=_Document)
    managed = [each for each in document.resources if each.mode == "managed" and each.instances]
    return State(
        stack=name.rpartition("/")[0],
        resources=tuple(f"{each.type}.{each.name}" for each in managed),
        protected=tuple(_find_protected(managed)),
        locations=dict(_find_locations(managed)),
    )


def _find_protected(resources: list[_Resource]) -> Iterator[str]:
    for resource in resources:
        if (rule := PROTECTING.get(resource.type)) is None:
            continue
        attribute, value = rule
        if any(each.attributes.get(attribute) is value for each in resource.instances):
            yield f"{resource.type}.{resource.name}"


def _find_locations(resources: list[_Resource]) -> Iterator[tuple[str, str]]:
    for resource in resources:
        attributes = resource.instances[0].attributes
        if isinstance(location := attributes.get("location") or attributes.get("region"), str):
            yield f"{resource.type}.{resource.name}", location.rpartition("/")[2].lower()


def _explain_damage(client: StorageClient, blob: Blob, error: Exception) -> DamagedStateError:
    """Return the error for a damaged state, with the newest earlier version that can be restored."""
    stack, uri = blob.name.rpartition("/")[0], f"gs://{blob.bucket.name}/{blob.name}"
    failed = f"the state of {stack} is damaged: {uri} is not a state of Terraform ({error})"
    earlier = [
        each
        for each in client.list_blobs(blob.bucket, prefix=blob.name, versions=True, retry=RETRY)
        if each.name == blob.name and each.generation != blob.generation
    ]
    for version in sorted(earlier, key=lambda each: int(each.generation), reverse=True)[:MOST_VERSIONS]:
        try:
            _parse_state(version.name, download_blob(version))
        except (msgspec.MsgspecError, NotFound):
            continue
        return DamagedStateError(
            failed,
            f"; restore its last good version, written {version.updated:%Y-%m-%d %H:%M} UTC: "
            f"`gcloud storage cp {uri}#{version.generation} {uri}`",
        )
    return DamagedStateError(
        failed,
        f", and no earlier version is one either: delete it with `gcloud storage rm {uri}`; the next "
        f"deploy imports the resources of {stack}",
    )
