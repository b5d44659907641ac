"""Cloud Storage: objects in fake-gcs-server, and the settings of buckets, which it does not store."""

import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from local.data_plane.emulators import open_session
from local.environment.environment import LocalEnvironment
from local.errors import LocalError, ServiceError
from local.stack.applying import Attributes, Handler
from local.stack.arguments import as_rest, get_block, get_blocks, report_unsupported_arguments
from local.stack.loading import Resource

TIMEOUT_S = 120
BUCKET_SUPPORTED = {"name", "location", "storage_class", "force_destroy"}
BUCKET_UNSUPPORTED = {
    "lifecycle_rule": "objects are not deleted or moved by age",
    "soft_delete_policy": "a deleted object is gone at once",
    "versioning": "only the newest version of an object is stored",
    "retention_policy": "objects can be deleted at any time",
    "uniform_bucket_level_access": "there are no ACLs: the IAM proxy enforces roles with or without it",
    "public_access_prevention": "a grant to allUsers takes effect; only this host can reach the bucket",
    "autoclass": "there are no storage classes",
    "logging": "access is not logged",
    "encryption": "objects are unencrypted files",
    "cors": "requests of browsers from other origins get no CORS headers",
}
OBJECT_SUPPORTED = {"bucket", "name", "source", "content", "content_type", "metadata", "cache_control"}
OBJECT_UNSUPPORTED = {"storage_class": "there are no storage classes"}
# Arguments that only affect Terraform itself.
OBJECT_TERRAFORM = {"source_md5hash", "detect_md5hash", "deletion_policy"}


class Storage:
    """Buckets with their settings as REST resources, and objects, which the emulator stores."""

    def __init__(self, environment: LocalEnvironment) -> None:
        self.buckets = environment.collection("storage", "buckets")
        self._url, self._project = environment.gcs_url, environment.project
        self._session = open_session()

    def put_bucket(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Create a bucket, or update the settings of an existing one; its objects stay. Raises ServiceError."""
        name = resource["name"]
        if self._call("GET", f"/storage/v1/b/{name}", accept={200, 404}).status_code == 404:
            self._call(
                "POST", f"/storage/v1/b?project={self._project}", json={"name": name}, accept={200, 409}
            )
        return self.buckets.put(name, resource)

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket. Raises NotFoundError, and ServiceError where it is not empty."""
        self.buckets.get(name)
        self._call("DELETE", f"/storage/v1/b/{name}", accept={200, 204, 404})
        self.buckets.delete(name)

    def find_object(self, bucket: str, name: str) -> dict[str, Any] | None:
        """Return an object's REST resource, or None where it does not exist."""
        response = self._call("GET", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}", accept={200, 404})
        return response.json() if response.status_code == 200 else None

    def put_object(
        self, bucket: str, name: str, content: bytes, content_type: str, metadata: dict[str, str]
    ) -> dict[str, Any]:
        """Upload an object unless it exists with the same content; return its resource. Raises ServiceError."""
        found = self.find_object(bucket, name)
        wanted = {"md5Hash": _md5_hash(content), "contentType": content_type, "metadata": metadata}
        if found is not None and {key: found.get(key) or {} for key in wanted} == wanted:
            return found
        described = {"name": name, "contentType": content_type, "metadata": metadata}
        start = f"/upload/storage/v1/b/{bucket}/o?uploadType=resumable&name={quote(name, safe='')}"
        session = self._call("POST", start, json=described).headers["Location"]
        self._call("PUT", session.removeprefix(self._url), data=content)
        uploaded = self.find_object(bucket, name)
        if uploaded is None or uploaded.get("md5Hash") != wanted["md5Hash"]:
            raise LocalError(
                f"gs://{bucket}/{name} differs from the uploaded content: the emulator stored {uploaded}"
            )
        return uploaded

    def _call(self, method: str, path: str, accept: set[int] | None = None, **body: Any) -> requests.Response:
        response = self._session.request(method, self._url + path, timeout=TIMEOUT_S, **body)
        if response.status_code not in (accept or {200}):
            raise ServiceError(f"{method} {path}", response.status_code, response.text)
        return response


def bucket(_resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_storage_bucket."""
    report_unsupported_arguments(
        environment, "google_storage_bucket", arguments, BUCKET_SUPPORTED, BUCKET_UNSUPPORTED
    )
    name, project = arguments["name"], arguments.get("project", environment.project)
    kept = environment.service(Storage).put_bucket(bucket_as_rest(arguments))
    computed = {
        "id": name,
        "url": f"gs://{name}",
        "self_link": f"https://www.googleapis.com/storage/v1/b/{name}",
        "location": kept["location"],
        "project": project,
        "project_number": environment.project_number,
    }
    return {"storage_class": kept["storageClass"], "force_destroy": False} | arguments | computed


def bucket_as_rest(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a bucket's REST resource: https://cloud.google.com/storage/docs/json_api/v1/buckets."""
    settings: dict[str, Any] = as_rest(
        {
            k: v
            for k, v in arguments.items()
            if k in ("name", "labels", "cors", "website", "logging", "encryption")
        }
    )
    settings["location"] = str(arguments.get("location", "US")).upper()
    settings["storageClass"] = arguments.get("storage_class", "STANDARD")
    settings["iamConfiguration"] = {
        "uniformBucketLevelAccess": {"enabled": arguments.get("uniform_bucket_level_access", False)},
        "publicAccessPrevention": arguments.get("public_access_prevention", "inherited"),
    }
    rules = [
        {"action": as_rest(get_block(rule, "action")), "condition": as_rest(get_block(rule, "condition"))}
        for rule in get_blocks(arguments, "lifecycle_rule")
    ]
    if rules:
        settings["lifecycle"] = {"rule": rules}
    for name in ("versioning", "soft_delete_policy", "retention_policy", "autoclass"):
        if name in arguments:
            settings |= as_rest({name: get_block(arguments, name)})
    return settings


def bucket_object(resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_storage_bucket_object: `content`, or the file `source` relative to the stack's folder."""
    supported = OBJECT_SUPPORTED | OBJECT_TERRAFORM
    report_unsupported_arguments(
        environment, "google_storage_bucket_object", arguments, supported, OBJECT_UNSUPPORTED
    )
    content = _read_content(resource, arguments, environment.stack_folder)
    name = arguments["name"]
    content_type = arguments.get("content_type", "application/octet-stream")
    metadata = arguments.get("metadata", {})
    held = environment.service(Storage).put_object(arguments["bucket"], name, content, content_type, metadata)
    link = f"https://storage.googleapis.com/storage/v1/b/{arguments['bucket']}/o/{quote(name, safe='')}"
    return arguments | {
        "id": f"{arguments['bucket']}-{name}",
        "output_name": name,
        "self_link": link,
        "media_link": f"{link}?generation={held['generation']}&alt=media",
        "generation": int(held["generation"]),
        "md5hash": held["md5Hash"],
        "md5hexhash": base64.b64decode(held["md5Hash"]).hex(),
        "crc32c": held["crc32c"],
        "content_type": content_type,
    }


def _read_content(resource: Resource, arguments: dict[str, Any], folder: Path) -> bytes:
    if "content" in arguments:
        return str(arguments["content"]).encode()
    file = folder / str(arguments["source"])
    try:
        return file.read_bytes()
    except OSError as error:
        raise LocalError(
            f"source {arguments['source']!r} cannot be read in {folder} ({error.strerror}): "
            f"synthesize the stack again; {resource.name} needs it"
        ) from error


def _md5_hash(content: bytes) -> str:
    """Return the MD5 digest in base64, as Cloud Storage has it."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


HANDLERS: dict[str, Handler] = {
    "google_storage_bucket": bucket,
    "google_storage_bucket_object": bucket_object,
}
