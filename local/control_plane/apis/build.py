"""Cloud Build, Cloud Logging and the image registry, as far as a deploy uses them: submit a build, poll it, find the
tag.

No image is built: a service runs from the source archive of its image.
https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.builds/submit
"""

import itertools
import re
import zipfile
from collections.abc import Iterator
from io import BytesIO

from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.errors import LocalError, NotFoundError
from local.http.rest import ApiError, ApiRequest, ApiResponse, Route
from local.iam_proxy.storage import object_resource
from local.workloads.builds import check_build
from local.workloads.workloads import read_object

SUBMIT = "/run/v2/projects/{project}/locations/{location}/builds:submit"
OPERATION = "/cloudbuild/v1/projects/{project}/locations/{location}/operations/{id}"
ENTRIES = "/logging/v2/entries:list"
BUILD_ID = re.compile(r'build_id="([^"]*)"')
MANIFEST = "/registry/v2/{project}/{repository}/{image}/manifests/{tag}"


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of these APIs."""
    images = environment.collection("registry", "images")
    operations: dict[str, Json] = {}
    logs: dict[str, list[str]] = {}
    numbers = itertools.count(1)

    def submit(request: ApiRequest, params: dict[str, str]) -> Json:
        wanted = request.json
        parent = f"projects/{params['project']}/locations/{params['location']}"
        source, image = wanted.get("storageSource", {}), str(wanted.get("imageUri", ""))
        _, _, repository, *_ = image.split("/") + [""] * 3
        if (
            environment.collection("artifactregistry", "repositories").find(
                f"{parent}/repositories/{repository}"
            )
            is None
        ):
            raise ApiError(404, f"Repository {parent}/repositories/{repository} not found")
        number = str(next(numbers))
        log = logs[number] = [f"building {image} from gs://{source.get('bucket')}/{source.get('object')}"]
        build: Json = {"id": number, "status": "SUCCESS", "logsBucket": "", "images": [image]}
        name = f"{parent}/operations/{number}"
        operation: Json = {"name": name, "done": True, "metadata": {"build": build}}
        try:
            bucket, source_name = str(source.get("bucket")), str(source.get("object"))
            if account := str(wanted.get("serviceAccount", "")).rpartition("/")[2]:
                pushed_to = f"{parent}/repositories/{repository}"
                check_build(environment, account, object_resource(bucket, source_name), pushed_to)
            _check_source(read_object(environment, bucket, source_name))
        except LocalError as error:
            build["status"] = "FAILURE"
            log.append(f"ERROR: {error}")
            operation["error"] = {"code": 9, "message": str(error)}
        else:
            images.put(image, {"name": image, "source": source})
        operations[name] = operation
        started = {"build": build | {"status": "QUEUED"}}
        return {"buildOperation": {"name": name, "done": False, "metadata": started}}

    def operation(_request: ApiRequest, params: dict[str, str]) -> Json:
        name = f"projects/{params['project']}/locations/{params['location']}/operations/{params['id']}"
        if name not in operations:
            raise NotFoundError("operations", name)
        return operations[name]

    def entries(request: ApiRequest, _params: dict[str, str]) -> Json:
        """Return the log of a build, newest entry first; workloads log to files instead."""
        build = BUILD_ID.search(str(request.json.get("filter", "")))
        if build is None:
            raise ApiError(
                400,
                "the local environment supports only the filter build_id=… of entries.list, found "
                f"{request.json.get('filter')!r}",
            )
        return {"entries": [{"textPayload": line} for line in reversed(logs.get(build[1], []))]}

    def manifest(_request: ApiRequest, params: dict[str, str]) -> ApiResponse:
        end = "/{project}/{repository}/{image}:{tag}".format_map(params)
        there = any(name.endswith(end) for name in images.names())
        return ApiResponse(200 if there else 404)

    yield Route("POST", SUBMIT, submit)
    yield Route("GET", OPERATION, operation)
    yield Route("POST", ENTRIES, entries)
    yield Route("HEAD", MANIFEST, manifest)


def _check_source(archive: bytes) -> None:
    with zipfile.ZipFile(BytesIO(archive)) as content:
        if "Dockerfile" not in content.namelist():
            raise LocalError("the source archive has no Dockerfile, so no image can be built from it")
