"""Google Cloud as the commands see it: credentials, a storage client, the REST services that they ask."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import google.auth
import requests
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from google.cloud.storage import Client as StorageClient
from google.oauth2.credentials import Credentials as AccessToken
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from operate.errors import OperateError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
STORAGE_PATH = "/storage/v1/"
REQUEST_SECONDS = 30.0
LOGIN = "gcloud auth application-default login"
# What asks may ask again, where Google is busy or the connection broke; what changes something may not.
RETRY = Retry(
    total=3,
    backoff_factor=0.2,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods={"GET"},
    raise_on_status=False,
)
NO_REQUEST = 0  # the status of a call that nobody answered


class CredentialsError(OperateError):
    """There are no credentials, or Google takes them no longer."""


class RefusedError(Exception):
    """A REST call that did not answer with 200: its status, Google's reason code and its message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status, self.reason, self.message = status, reason, message
        super().__init__(f"{status} {message}" if status else message)

    @property
    def disabled(self) -> bool:
        """Whether it is the API called that is not enabled."""
        return self.reason == "SERVICE_DISABLED"


@dataclass(frozen=True)
class Endpoints:
    """Roots of the services with their version and a slash at the end, as Terraform's provider names them."""

    resource_manager: str = "https://cloudresourcemanager.googleapis.com/v1/"
    service_usage: str = "https://serviceusage.googleapis.com/v1/"
    iam_beta: str = "https://iam.googleapis.com/v1/"
    backend_storage: str = f"https://storage.googleapis.com{STORAGE_PATH}"
    storage: str = f"https://storage.googleapis.com{STORAGE_PATH}"
    big_query: str = "https://bigquery.googleapis.com/bigquery/v2/"
    pubsub: str = "https://pubsub.googleapis.com/v1/"
    cloud_run_v2: str = "https://run.googleapis.com/v2/"
    cloudfunctions2: str = "https://cloudfunctions.googleapis.com/v2/"
    cloud_scheduler: str = "https://cloudscheduler.googleapis.com/v1/"
    dataproc: str = "https://dataproc.googleapis.com/v1/"
    artifact_registry: str = "https://artifactregistry.googleapis.com/v1/"
    compute: str = "https://compute.googleapis.com/compute/v1/"
    iam: str = "https://iam.googleapis.com/v1/"
    logging: str = "https://logging.googleapis.com/v2/"
    monitoring: str = "https://monitoring.googleapis.com/"  # the one without its version

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> "Endpoints":
        """The roots, replaced where GOOGLE_<PRODUCT>_CUSTOM_ENDPOINT says so, as for Terraform itself."""
        named = {
            field.name: environ.get(f"GOOGLE_{field.name.upper()}_CUSTOM_ENDPOINT", "")
            for field in fields(cls)
        }
        return cls(**{name: f"{url.rstrip('/')}/" for name, url in named.items() if url})


@dataclass(frozen=True)
class Cloud:
    """One project's clients, all with the same credentials."""

    session: requests.Session
    storage: StorageClient
    endpoints: Endpoints

    def call(self, method: str, url: str, **arguments: Any) -> dict[str, Any]:
        """Make a REST call and return its JSON. Raises RefusedError, CredentialsError."""
        try:
            answer = self.session.request(method, url, timeout=REQUEST_SECONDS, **arguments)
        except GoogleAuthError as error:
            raise refused_credentials(error) from None
        except requests.RequestException as error:
            raise RefusedError(NO_REQUEST, "", f"no answer from {url.partition('?')[0]} ({error})") from None
        if answer.status_code == requests.codes.unauthorized:
            raise refused_credentials(answer.reason)
        if not answer.ok:
            raise _refused(answer)
        found: dict[str, Any] = answer.json()
        return found


def pages(cloud: Cloud, url: str, field: str, **asked: str) -> Iterator[dict[str, Any]]:
    """Yield what a list holds in a field, page by page. Raises RefusedError, CredentialsError."""
    while True:
        page = cloud.call("GET", url, params=asked)
        yield from page.get(field, [])
        if not (token := page.get("nextPageToken")):
            return
        asked["pageToken"] = str(token)


def connect(project: str, environ: Mapping[str, str]) -> Cloud:
    """Return clients with the credentials that Terraform would use. Raises CredentialsError.

    GOOGLE_OAUTH_ACCESS_TOKEN comes before the application default credentials, as for the provider.
    """
    endpoints = Endpoints.of_environment(environ)
    credentials = _credentials(environ)
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=RETRY))
    options = {"api_endpoint": endpoints.backend_storage.removesuffix(STORAGE_PATH)}
    return Cloud(
        session=session,
        storage=StorageClient(project=project, credentials=credentials, client_options=options),
        endpoints=endpoints,
    )


def refused_credentials(why: object) -> CredentialsError:
    """Return the error for credentials that Google does not take."""
    return CredentialsError(f"Google does not take these credentials ({why}): run `{LOGIN}`")


def _credentials(environ: Mapping[str, str]) -> Credentials:
    if token := environ.get("GOOGLE_OAUTH_ACCESS_TOKEN"):
        return AccessToken(token)  # type: ignore[no-untyped-call]
    try:
        found, _ = google.auth.default(scopes=[SCOPE])
    except DefaultCredentialsError:
        raise CredentialsError(
            f"there are no credentials: run `{LOGIN}`, or set GOOGLE_OAUTH_ACCESS_TOKEN"
        ) from None
    credentials: Credentials = found
    return credentials


def _refused(answer: requests.Response) -> RefusedError:
    try:
        error = answer.json()["error"]
        message, details = str(error["message"]), error.get("details", [])
    except (ValueError, KeyError, TypeError):
        return RefusedError(answer.status_code, "", answer.reason)
    reasons = [detail["reason"] for detail in details if isinstance(detail, dict) and "reason" in detail]
    return RefusedError(answer.status_code, reasons[0] if reasons else "", message)
