"""Build the image of a Cloud Run service: `build_image.py --project … --image …`.

Terraform runs this as a command of the deploy, outside the project's packages, so it imports none of them.
No Docker daemon is needed: the source archive is in a bucket, and Cloud Run's `builds:submit` builds it.
https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.builds/submit
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

try:
    import google.auth
    import google.auth.credentials
    import google.auth.exceptions
    import google.auth.transport.requests
    import google.oauth2.credentials
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry
except ModuleNotFoundError as error:
    sys.exit(
        f"cannot build the image: {sys.executable} has no module {error.name}; run `make setup` in the checkout, "
        "or set VLILLE_PYTHON to the .venv/bin/python of one, then deploy again"
    )

POLL_SECONDS = 5.0
REQUEST_SECONDS = 60.0
LOG_LINES = 40
TOKEN = "GOOGLE_OAUTH_ACCESS_TOKEN"  # noqa: S105 - the name of a variable
LOGIN = "gcloud auth application-default login"
FOUND, MISSING = 200, 404
# A build that is submitted twice gives the same image, so every call can be retried.
RETRY = Retry(
    total=5,
    backoff_factor=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
)
MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


class BuildError(Exception):
    """The image was not built; the message says why, with the end of the build's log.

    What to do: read the end of the build's log in the message, correct the workload's source or the missing role,
    and deploy again.
    """


@dataclass(frozen=True)
class Endpoints:
    """Base URLs of the APIs."""

    run: str = "https://run.googleapis.com"
    build: str = "https://cloudbuild.googleapis.com"
    registry: str = ""  # default: the host that the image's address begins with
    logging: str = "https://logging.googleapis.com"

    @classmethod
    def from_environment(cls) -> "Endpoints":
        """Return the base URLs; variables such as VLILLE_RUN_ENDPOINT override one."""
        named = {field.name: os.environ.get(f"VLILLE_{field.name.upper()}_ENDPOINT") for field in fields(cls)}
        return cls(**{name: url.rstrip("/") for name, url in named.items() if url})


@dataclass(frozen=True)
class Request:
    """What to build, from which source, as which service account."""

    project: str
    region: str
    bucket: str
    object: str
    image: str
    service_account: str


def build_image(
    request: Request,
    session: requests.Session,
    endpoints: Endpoints,
    *,
    deadline_s: float,
    report: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Build the image unless its tag exists; return whether it was built. Raises BuildError."""
    if _image_exists(request, session, endpoints):
        report(f"{request.image} exists: nothing to build")
        return False
    operation = _submit_build(request, session, endpoints)
    report(f"building {request.image} from gs://{request.bucket}/{request.object}")
    started = clock()
    while not operation.get("done"):
        if clock() - started > deadline_s:
            raise BuildError(
                f"{request.image} is not built after {deadline_s:.0f} s: deploy again when the build has ended; its "
                f"log: {_get_log_url(operation)}"
            )
        sleep(POLL_SECONDS)
        operation = _parse_response(
            session.get(f"{endpoints.build}/v1/{operation['name']}", timeout=REQUEST_SECONDS)
        )
        report(f"  {_get_status(operation)}, {clock() - started:.0f} s")
    if error := operation.get("error"):
        tail = _fetch_log_tail(operation, request.project, session, endpoints)
        raise BuildError(f"the build of {request.image} failed: {error.get('message', error)}{tail}")
    report(f"built {request.image} in {clock() - started:.0f} s")
    return True


def _image_exists(request: Request, session: requests.Session, endpoints: Endpoints) -> bool:
    host, _, rest = request.image.partition("/")
    repository, _, tag = rest.rpartition(":")
    url = f"{endpoints.registry or f'https://{host}'}/v2/{repository}/manifests/{tag}"
    response = session.head(url, headers={"Accept": MANIFESTS}, timeout=REQUEST_SECONDS)
    if response.status_code not in (FOUND, MISSING):
        raise BuildError(
            f"{host} responded with status {response.status_code} to a look-up of {request.image}"
        )
    return response.status_code == FOUND


def _submit_build(request: Request, session: requests.Session, endpoints: Endpoints) -> dict[str, Any]:
    url = f"{endpoints.run}/v2/projects/{request.project}/locations/{request.region}/builds:submit"
    body = {
        "storageSource": {"bucket": request.bucket, "object": request.object},
        "imageUri": request.image,
        "dockerBuild": {},
        "serviceAccount": request.service_account,
    }
    operation = _parse_response(session.post(url, json=body, timeout=REQUEST_SECONDS)).get("buildOperation")
    if not isinstance(operation, dict) or "name" not in operation:
        raise BuildError(f"{url} responded without a buildOperation to wait for")
    return operation


def _parse_response(response: requests.Response) -> dict[str, Any]:
    if not response.ok:
        raise BuildError(
            f"{response.request.method} {response.url} responded with status {response.status_code}: "
            f"{response.text[:500]}"
        )
    document: dict[str, Any] = response.json()
    return document


def _get_build(operation: dict[str, Any]) -> dict[str, Any]:
    build: dict[str, Any] = operation.get("metadata", {}).get("build", {})
    return build


def _get_status(operation: dict[str, Any]) -> str:
    return str(_get_build(operation).get("status", "WORKING")).lower()


def _get_log_url(operation: dict[str, Any]) -> str:
    return str(_get_build(operation).get("logUrl", operation.get("name")))


def _fetch_log_tail(
    operation: dict[str, Any], project: str, session: requests.Session, endpoints: Endpoints
) -> str:
    """Return the last lines of the build's log, or its URL if it cannot be read."""
    build = _get_build(operation)
    lines: list[str] = []
    if build.get("id"):
        bucket = str(build.get("logsBucket", "")).removeprefix("gs://")
        lines = _fetch_bucket_log(bucket, build["id"], session) if bucket else []
        # The log of a build with its own service account is in Cloud Logging, unless a bucket is set.
        lines = lines or _fetch_logging_log(project, build["id"], session, endpoints)
    return "".join(f"\n{line}" for line in lines) or f"\nits log: {_get_log_url(operation)}"


def _fetch_bucket_log(bucket: str, build: str, session: requests.Session) -> list[str]:
    root = os.environ.get("STORAGE_EMULATOR_HOST", "https://storage.googleapis.com")
    response = session.get(
        f"{root}/storage/v1/b/{bucket}/o/log-{build}.txt?alt=media", timeout=REQUEST_SECONDS
    )
    return response.text.splitlines()[-LOG_LINES:] if response.ok else []


def _fetch_logging_log(
    project: str, build: str, session: requests.Session, endpoints: Endpoints
) -> list[str]:
    parameters = {
        "resourceNames": [f"projects/{project}"],
        "filter": f'resource.type="build" AND resource.labels.build_id="{build}"',
        "orderBy": "timestamp desc",
        "pageSize": LOG_LINES,
    }
    response = session.post(f"{endpoints.logging}/v2/entries:list", json=parameters, timeout=REQUEST_SECONDS)
    entries = response.json().get("entries", []) if response.ok else []
    return [str(entry.get("textPayload", "")) for entry in reversed(entries)]


def _load_credentials() -> google.auth.credentials.Credentials:
    """Return the credentials that Terraform's provider uses."""
    if token := os.environ.get(TOKEN):
        return google.oauth2.credentials.Credentials(token)  # type: ignore[no-untyped-call]
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    found: google.auth.credentials.Credentials = credentials
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if the image exists at the end, 1 with one message if it does not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("project", "region", "bucket", "object", "image", "service-account"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--deadline-s", type=float, default=900.0)
    arguments = vars(parser.parse_args(argv))
    deadline_s = arguments.pop("deadline_s")
    try:
        credentials = _load_credentials()
    except google.auth.exceptions.DefaultCredentialsError:
        print(  # noqa: T201
            f"cannot build the image, because there are no credentials: run `{LOGIN}`, or set {TOKEN}, then deploy "
            "again",
            file=sys.stderr,
        )
        return 1
    session = google.auth.transport.requests.AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=RETRY))
    try:
        build_image(
            Request(**arguments),
            session,
            Endpoints.from_environment(),
            deadline_s=deadline_s,
            report=lambda line: print(line, flush=True),  # noqa: T201 - Terraform shows what a command prints
        )
    except (BuildError, requests.RequestException) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
