"""Clients of Google Cloud: credentials, Cloud Storage and the REST APIs that the commands call."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

import google.auth
import requests
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
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
# Reads are retried if Google is busy or the connection broke; calls that change something are not.
RETRY = Retry(
    total=3,
    backoff_factor=0.2,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods={"GET"},
    raise_on_status=False,
)
NO_RESPONSE = 0  # the status of a call without a response


class CredentialsError(OperateError):
    """There are no credentials, or Google rejected them.

    What to do: run `gcloud auth application-default login`.
    """


class UnreachableError(OperateError):
    """No Google Cloud API can be reached from this host; credentials and project are not the cause.

    What to do: check the network connection, proxy and firewall of this host.
    """

    def __init__(self, host: str, error: BaseException) -> None:
        super().__init__(
            f"{host} cannot be reached: {describe_connection(error)}; check this host's connection and proxy "
            "(HTTPS_PROXY), then run this again"
        )


class ApiError(Exception):
    """A REST call failed: the HTTP status, Google's reason code and the error message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status, self.reason, self.message = status, reason, message
        super().__init__(f"{status} {message}" if status else message)

    @property
    def is_api_disabled(self) -> bool:
        """Whether the call failed because the API is not enabled in the project."""
        return self.reason == "SERVICE_DISABLED"


@dataclass(frozen=True)
class Endpoints:
    """Base URLs of the APIs, with version and trailing slash, under the names that Terraform's provider uses."""

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
    def from_environment(cls, environ: Mapping[str, str]) -> "Endpoints":
        """Return the base URLs; GOOGLE_<PRODUCT>_CUSTOM_ENDPOINT overrides one, as it does for Terraform."""
        named = {
            each.name: environ.get(f"GOOGLE_{each.name.upper()}_CUSTOM_ENDPOINT", "") for each in fields(cls)
        }
        return cls(**{name: f"{url.rstrip('/')}/" for name, url in named.items() if url})


@dataclass(frozen=True)
class Cloud:
    """The clients of one project, which share the same credentials."""

    session: requests.Session
    storage: StorageClient
    endpoints: Endpoints
    reached: set[str] = field(default_factory=set, compare=False)  # hosts that have responded

    def call(self, method: str, url: str, **arguments: Any) -> dict[str, Any]:
        """Make a REST call and return its JSON.

        Raises ApiError, CredentialsError, and UnreachableError if no host has responded yet.
        """
        host = urlsplit(url).netloc
        try:
            response = self.session.request(method, url, timeout=REQUEST_SECONDS, **arguments)
        except GoogleAuthError as error:
            raise make_credentials_error(error) from None
        except requests.RequestException as error:
            if not self.reached and isinstance(error, requests.ConnectionError):
                raise UnreachableError(host, error) from None
            why = describe_connection(error)
            raise ApiError(NO_RESPONSE, "", f"no response from {url.partition('?')[0]}: {why}") from None
        self.reached.add(host)
        if response.status_code == requests.codes.unauthorized:
            raise make_credentials_error(response.reason)
        if not response.ok:
            raise _parse_error(response)
        found: dict[str, Any] = response.json()
        return found


def iterate_pages(cloud: Cloud, url: str, field: str, **parameters: str) -> Iterator[dict[str, Any]]:
    """Yield the items of a list method's field, page by page. Raises ApiError, CredentialsError."""
    while True:
        page = cloud.call("GET", url, params=parameters)
        yield from page.get(field, [])
        if not (token := page.get("nextPageToken")):
            return
        parameters["pageToken"] = str(token)


def connect(project: str, environ: Mapping[str, str]) -> Cloud:
    """Return clients with the credentials that Terraform would use. Raises CredentialsError.

    GOOGLE_OAUTH_ACCESS_TOKEN comes before the application default credentials, as for the provider.
    """
    endpoints = Endpoints.from_environment(environ)
    credentials = _load_credentials(environ)
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=RETRY))
    options = {"api_endpoint": endpoints.backend_storage.removesuffix(STORAGE_PATH)}
    return Cloud(
        session=session,
        storage=StorageClient(project=project, credentials=credentials, client_options=options),
        endpoints=endpoints,
    )


# Patterns in the libraries' messages, in the order in which they are tried.
CONNECTION_FAULTS = (
    (r"ProxyError|[Pp]roxy", "the proxy does not let the call through"),
    (r"resol(ve|ution)|getaddrinfo|Name or service not known", "its name cannot be resolved"),
    (r"CERTIFICATE|certificate|SSL", "its certificate is not trusted (that of a proxy may have to be added)"),
    (r"refused", "the connection is refused"),
    (r"unreachable", "there is no route to it"),
    (r"timed? ?out|Timeout", "there was no response in time"),
)


def describe_connection(error: BaseException) -> str:
    """Return in a few words why a call got no response."""
    text = f"{type(error).__name__} {error}"
    return next(
        (summary for pattern, summary in CONNECTION_FAULTS if re.search(pattern, text)),
        "the connection broke",
    )


def find_connection_error(error: BaseException, host: str) -> UnreachableError | None:
    """Return an UnreachableError if a failed connection caused a library's error, else None."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TransportError | requests.ConnectionError):
            named = re.search(r"host='([^']+)'", str(cause))
            return UnreachableError(named[1] if named else host, cause)
        cause = cause.__cause__ or cause.__context__ or getattr(cause, "cause", None)
    return None


def make_credentials_error(why: object) -> OperateError:
    """Return the error for credentials that Google rejected or could not check."""
    if isinstance(why, TransportError) and (unreachable := find_connection_error(why, "Google Cloud")):
        return unreachable
    return CredentialsError(f"Google rejected the credentials ({why}): run `{LOGIN}`")


def _load_credentials(environ: Mapping[str, str]) -> Credentials:
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


def _parse_error(response: requests.Response) -> ApiError:
    try:
        error = response.json()["error"]
        message, details = str(error["message"]), error.get("details", [])
    except (ValueError, KeyError, TypeError):
        return ApiError(response.status_code, "", response.reason)
    reasons = [detail["reason"] for detail in details if isinstance(detail, dict) and "reason" in detail]
    return ApiError(response.status_code, reasons[0] if reasons else "", message)
