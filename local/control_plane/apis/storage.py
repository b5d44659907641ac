"""Cloud Storage: buckets with their settings; the emulator stores the objects.

https://cloud.google.com/storage/docs/json_api/v1
"""

import json
from collections.abc import Iterator
from dataclasses import replace

from local.control_plane.policies import policy, write_policy
from local.control_plane.resource_types import compute_etag
from local.data_plane.emulators import open_session
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import ApiError, ApiRequest, ApiResponse, Route
from local.services.iam import Policies
from local.services.storage import Storage

ROOT = "/storage/v1/"
TIMEOUT_S = 300
RESUME_INCOMPLETE = 308
FORWARDED_REQUEST_HEADERS = (
    "content-type",
    "content-range",
    "x-upload-content-type",
    "range",
    "if-none-match",
)
FORWARDED_RESPONSE_HEADERS = ("Content-Type", "Location", "Range", "ETag")
SOFT_DELETE = {"retentionDurationSeconds": "604800", "effectiveTime": "2026-01-01T00:00:00Z"}


class EmulatorProxy:
    """Forwards requests to the emulator."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = open_session()

    def __call__(self, request: ApiRequest, _params: dict[str, str]) -> ApiResponse:
        """Return the emulator's response; an upload session that it starts continues through this server."""
        headers = {
            key: value for key, value in request.headers.items() if key.lower() in FORWARDED_REQUEST_HEADERS
        }
        response = self._session.request(
            request.method, self._url + request.target, data=request.body, headers=headers, timeout=TIMEOUT_S
        )
        kept = {key: response.headers[key] for key in FORWARDED_RESPONSE_HEADERS if key in response.headers}
        if "Location" in kept:
            kept["Location"] = kept["Location"].replace(self._url, f"http://{request.headers.get('Host')}")
        status = response.status_code
        if status == RESUME_INCOMPLETE and request.headers.get("X-Guploader-No-308"):
            status, kept["X-Http-Status-Code-Override"] = 200, str(RESUME_INCOMPLETE)
        return ApiResponse(status, response.content, kept)


def _name_in_body(request: ApiRequest) -> ApiRequest:
    """Move the name of a resumable upload from the query, where the provider sends it, to the body, where the emulator
    reads it.
    """
    if (
        request.query.get("uploadType") != "resumable"
        or "upload_id" in request.query
        or "name" in request.json
    ):
        return request
    return replace(request, body=json.dumps(request.json | {"name": request.query.get("name", "")}).encode())


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API."""
    storage, emulator = environment.service(Storage), EmulatorProxy(environment.gcs_url)

    def create(request: ApiRequest, _params: dict[str, str]) -> Json:
        wanted = request.json
        name = wanted.get("name", "")
        if storage.buckets.find(name) is not None:
            raise ApiError(409, f"Your previous request to create the named bucket succeeded: {name}")
        return _bucket_response(environment, storage.put_bucket(_with_defaults(environment, wanted)))

    def get(_request: ApiRequest, params: dict[str, str]) -> Json:
        return _bucket_response(environment, storage.buckets.get(params["bucket"]))

    def update(request: ApiRequest, params: dict[str, str]) -> Json:
        before = storage.buckets.get(params["bucket"])
        merged = {key: value for key, value in (before | request.json).items() if value is not None}
        return _bucket_response(environment, storage.put_bucket(_with_defaults(environment, merged)))

    def delete(request: ApiRequest, params: dict[str, str]) -> ApiResponse:
        storage.buckets.get(params["bucket"])
        listed = emulator(
            ApiRequest("GET", f"{request.path}/o", headers={":target": f"{request.path}/o?maxResults=1"}), {}
        )
        if b'"items"' in listed.body:
            raise ApiError(409, "The bucket you tried to delete is not empty.")
        storage.delete_bucket(params["bucket"])
        environment.service(Policies).delete(f"b/{params['bucket']}")
        return ApiResponse(204, b"")

    def get_policy(_request: ApiRequest, params: dict[str, str]) -> Json:
        storage.buckets.get(params["bucket"])
        return _policy(environment, params["bucket"])

    def put_policy(request: ApiRequest, params: dict[str, str]) -> Json:
        storage.buckets.get(params["bucket"])
        write_policy(environment, f"b/{params['bucket']}", request.json)
        return _policy(environment, params["bucket"])

    def read_object(request: ApiRequest, params: dict[str, str]) -> ApiResponse:
        if storage.buckets.find(params["bucket"]) is None:
            raise ApiError(404, f"the local run does not support {request.method} {request.path}")
        return emulator(request, params)

    bucket = f"{ROOT}b/{{bucket}}"
    yield Route("POST", f"{ROOT}b", create)
    yield Route(
        "GET",
        f"{ROOT}b",
        lambda *_: {"items": [_bucket_response(environment, each) for each in storage.buckets.list()]},
    )
    yield Route("GET", bucket, get)
    yield Route("PATCH", bucket, update)
    yield Route("PUT", bucket, update)
    yield Route("DELETE", bucket, delete)
    yield Route("GET", f"{bucket}/iam", get_policy)
    yield Route("PUT", f"{bucket}/iam", put_policy)
    yield Route("GET", f"{bucket}/anywhereCaches", lambda *_: {"kind": "storage#anywhereCaches"})
    yield Route("*", f"{bucket}/o", emulator)
    yield Route("*", f"{bucket}/o/{{rest*}}", emulator)
    yield Route(
        "*", "/upload/storage/v1/{rest*}", lambda request, params: emulator(_name_in_body(request), params)
    )
    yield Route("*", "/download/storage/v1/{rest*}", emulator)
    # Terraform reads its state by the XML API's paths.
    yield Route("GET", "/{bucket}/{rest*}", read_object)


def _policy(environment: LocalEnvironment, bucket: str) -> Json:
    return policy(environment, f"b/{bucket}") | {
        "kind": "storage#policy",
        "resourceId": f"projects/_/buckets/{bucket}",
    }


def _with_defaults(environment: LocalEnvironment, wanted: Json) -> Json:
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


def _bucket_response(environment: LocalEnvironment, bucket: Json) -> Json:
    name = bucket["name"]
    return bucket | {
        "kind": "storage#bucket",
        "id": name,
        "selfLink": f"https://www.googleapis.com/storage/v1/b/{name}",
        "projectNumber": environment.project_number,
        "metageneration": "1",
        "etag": compute_etag(bucket),
        "timeCreated": "2026-01-01T00:00:00.000Z",
        "updated": "2026-01-01T00:00:00.000Z",
    }
