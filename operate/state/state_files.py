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
    """Return when a stack's state was written last, None where there is none."""
    blob = bucket.get_blob(f"{stack}/default{STATE}", retry=RETRY)
    return blob.updated if blob else None


def download_blob(blob: Blob) -> bytes:
    """Download one generation, and keep the blob's properties, which a download sets anew from its headers."""
    same = blob.bucket.blob(blob.name, generation=blob.generation)
    content: bytes = same.download_as_bytes(retry=RETRY)
    return content


def _parse_state(name: str, content: bytes) -> State:
    """Raises MsgspecError for what is no state."""
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
        f", and none of its earlier versions is: delete it with `gcloud storage rm {uri}`; the next "
        f"deploy imports what {stack} consists of",
    )
