"""Buckets with all their settings, in front of the emulator, which keeps the objects.

https://cloud.google.com/storage/docs/json_api/v1
"""

import json
from collections.abc import Iterator
from dataclasses import replace

from local.control_plane.kinds import etag
from local.control_plane.policies import policy, set_policy
from local.data_plane.emulators import open_session
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import Call, RefusedError, Reply, Route
from local.services.iam import Policies
from local.services.storage import Storage

ROOT = "/storage/v1/"
TIMEOUT_S = 300
RESUME_INCOMPLETE = 308
PASSED_ON = ("content-type", "content-range", "x-upload-content-type", "range", "if-none-match")
PASSED_BACK = ("Content-Type", "Location", "Range", "ETag")
SOFT_DELETE = {"retentionDurationSeconds": "604800", "effectiveTime": "2026-01-01T00:00:00Z"}


class Emulator:
    """Calls that are passed on as they came."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = open_session()

    def __call__(self, call: Call, _places: dict[str, str]) -> Reply:
        """Return the emulator's reply; a session that it begins goes on here."""
        headers = {key: value for key, value in call.headers.items() if key.lower() in PASSED_ON}
        answer = self._session.request(
            call.method, self._url + call.target, data=call.body, headers=headers, timeout=TIMEOUT_S
        )
        kept = {key: answer.headers[key] for key in PASSED_BACK if key in answer.headers}
        if "Location" in kept:
            kept["Location"] = kept["Location"].replace(self._url, f"http://{call.headers.get('Host')}")
        status = answer.status_code
        if status == RESUME_INCOMPLETE and call.headers.get("X-Guploader-No-308"):
            status, kept["X-Http-Status-Code-Override"] = 200, str(RESUME_INCOMPLETE)
        return Reply(status, answer.content, kept)


def _named(call: Call) -> Call:
    """The emulator takes the name of a resumable upload from the body only; the provider sends it in the query."""
    if call.query.get("uploadType") != "resumable" or "upload_id" in call.query or "name" in call.json:
        return call
    return replace(call, body=json.dumps(call.json | {"name": call.query.get("name", "")}).encode())


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield what this service answers."""
    storage, emulator = environment.service(Storage), Emulator(environment.gcs_url)

    def create(call: Call, _places: dict[str, str]) -> Json:
        wanted = call.json
        name = wanted.get("name", "")
        if storage.buckets.find(name) is not None:
            raise RefusedError(409, f"Your previous request to create the named bucket succeeded: {name}")
        return _shown(environment, storage.put_bucket(_complete(environment, wanted)))

    def get(_call: Call, places: dict[str, str]) -> Json:
        return _shown(environment, storage.buckets.get(places["bucket"]))

    def update(call: Call, places: dict[str, str]) -> Json:
        before = storage.buckets.get(places["bucket"])
        merged = {key: value for key, value in (before | call.json).items() if value is not None}
        return _shown(environment, storage.put_bucket(_complete(environment, merged)))

    def delete(call: Call, places: dict[str, str]) -> Reply:
        storage.buckets.get(places["bucket"])
        listed = emulator(
            Call("GET", f"{call.path}/o", headers={":target": f"{call.path}/o?maxResults=1"}), {}
        )
        if b'"items"' in listed.body:
            raise RefusedError(409, "The bucket you tried to delete is not empty.")
        storage.delete_bucket(places["bucket"])
        environment.service(Policies).forget(f"b/{places['bucket']}")
        return Reply(204, b"")

    def read_policy(_call: Call, places: dict[str, str]) -> Json:
        storage.buckets.get(places["bucket"])
        return _policy(environment, places["bucket"])

    def write_policy(call: Call, places: dict[str, str]) -> Json:
        storage.buckets.get(places["bucket"])
        set_policy(environment, f"b/{places['bucket']}", call.json)
        return _policy(environment, places["bucket"])

    def read_object(call: Call, places: dict[str, str]) -> Reply:
        if storage.buckets.find(places["bucket"]) is None:
            raise RefusedError(404, f"nothing here answers {call.method} {call.path}")
        return emulator(call, places)

    bucket = f"{ROOT}b/{{bucket}}"
    yield Route("POST", f"{ROOT}b", create)
    yield Route(
        "GET",
        f"{ROOT}b",
        lambda *_: {"items": [_shown(environment, each) for each in storage.buckets.list()]},
    )
    yield Route("GET", bucket, get)
    yield Route("PATCH", bucket, update)
    yield Route("PUT", bucket, update)
    yield Route("DELETE", bucket, delete)
    yield Route("GET", f"{bucket}/iam", read_policy)
    yield Route("PUT", f"{bucket}/iam", write_policy)
    yield Route("GET", f"{bucket}/anywhereCaches", lambda *_: {"kind": "storage#anywhereCaches"})
    yield Route("*", f"{bucket}/o", emulator)
    yield Route("*", f"{bucket}/o/{{rest*}}", emulator)
    yield Route("*", "/upload/storage/v1/{rest*}", lambda call, places: emulator(_named(call), places))
    yield Route("*", "/download/storage/v1/{rest*}", emulator)
    # Terraform's state is read as the XML API has objects.
    yield Route("GET", "/{bucket}/{rest*}", read_object)


def _policy(environment: LocalEnvironment, bucket: str) -> Json:
    return policy(environment, f"b/{bucket}") | {
        "kind": "storage#policy",
        "resourceId": f"projects/_/buckets/{bucket}",
    }


def _complete(environment: LocalEnvironment, wanted: Json) -> Json:
    complete = {
        "storageClass": "STANDARD",
        "softDeletePolicy": SOFT_DELETE,
        "locationType": "region",
    } | wanted
    complete["location"] = str(wanted.get("location") or "US").upper()
    access = {"publicAccessPrevention": "inherited"} | (wanted.get("iamConfiguration") or {})
    uniform = access.get("uniformBucketLevelAccess") or {"enabled": False}
    complete["iamConfiguration"] = access | {"uniformBucketLevelAccess": uniform}
    return complete


def _shown(environment: LocalEnvironment, bucket: Json) -> Json:
    name = bucket["name"]
    return bucket | {
        "kind": "storage#bucket",
        "id": name,
        "selfLink": f"https://www.googleapis.com/storage/v1/b/{name}",
        "projectNumber": environment.project_number,
        "metageneration": "1",
        "etag": etag(bucket),
        "timeCreated": "2026-01-01T00:00:00.000Z",
        "updated": "2026-01-01T00:00:00.000Z",
    }
