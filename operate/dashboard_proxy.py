"""`make open`: the private dashboard in a browser, through a proxy on the loopback that adds the identity token.

As `gcloud run services proxy` does. https://cloud.google.com/run/docs/authenticating/developers
"""

import subprocess
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
from urllib3.exceptions import HTTPError

from cdk.settings import Settings
from operate.cloud import ApiError, Cloud
from operate.errors import OperateError
from operate.target import Target, explain_error

SERVICE = "dashboard"
TIMEOUT_S = 70  # the service ends a request after 60 s
TOKEN_S = 45 * 60  # an identity token is valid for an hour
FORWARDED_REQUEST_HEADERS = ("Accept", "Accept-Encoding", "Accept-Language", "If-None-Match", "User-Agent")
# Hop-by-hop headers, and encodings that requests has already decoded.
DROPPED_RESPONSE_HEADERS = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}
)


def find_dashboard_url(cloud: Cloud, settings: Settings, target: Target) -> str:
    """Return the dashboard's URL. Raises OperateError where it is not deployed."""
    if settings.dashboard is None:
        raise OperateError(
            f"environments/{settings.environment}.toml has no section [dashboard], so no dashboard is deployed: "
            f"add it (docs/settings.md), then run {target.format_command('deploy')}"
        )
    try:
        return fetch_service_url(cloud, settings)
    except ApiError as error:
        raise OperateError(f"the service {SERVICE}: {explain_error(error, target)}") from None


def fetch_service_url(cloud: Cloud, settings: Settings) -> str:
    """Return the URL of the deployed service. Raises ApiError."""
    name = f"projects/{settings.project}/locations/{settings.region}/services/{settings.name(SERVICE)}"
    return str(cloud.call("GET", f"{cloud.endpoints.cloud_run_v2}{name}")["uri"])


def get_identity_token(url: str, target: Target, environ: Mapping[str, str]) -> str:
    """Return an identity token of the user for a service's URL. Raises OperateError.

    The local environment has a metadata server, as a virtual machine in Google Cloud does.
    """
    return (
        fetch_metadata_token(url, environ["GCE_METADATA_HOST"])
        if target.local_folder
        else request_gcloud_token()
    )


def request_gcloud_token() -> str:
    """Return gcloud's identity token of the user. Raises OperateError."""
    try:
        done = subprocess.run(
            ["gcloud", "auth", "print-identity-token"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except OSError:
        raise OperateError(
            "gcloud is not on PATH: install the Google Cloud CLI, then run `gcloud auth login`"
        ) from None
    if done.returncode:
        raise OperateError(
            f"gcloud returned no identity token: {done.stderr.strip()}; run `gcloud auth login`"
        )
    return done.stdout.strip()


def fetch_metadata_token(audience: str, host: str) -> str:
    """Return the identity token that a metadata server gives for a service's URL. Raises OperateError.

    https://cloud.google.com/compute/docs/instances/verifying-instance-identity
    """
    address = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/identity"
    try:
        found = requests.get(
            address, params={"audience": audience}, headers={"Metadata-Flavor": "Google"}, timeout=10
        )
        found.raise_for_status()
    except requests.RequestException as error:
        raise OperateError(
            f"the metadata server returned no identity token: {error}; check that this VM has a service account"
        ) from None
    return found.text


def start_proxy(url: str, token: Callable[[], str], port: int = 0) -> ThreadingHTTPServer:
    """Start a proxy on a loopback port (0: any free one) that forwards each GET to the service with the token."""
    tokens = _TokenCache(token)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            # Refuse a foreign Host header (DNS rebinding) and absolute request targets: both could send the token or
            # the data to another site.
            names = {f"{name}:{self.connection.getsockname()[1]}" for name in ("127.0.0.1", "localhost")}
            if not self.path.startswith("/") or self.headers.get("Host") not in names:
                self.send_error(
                    HTTPStatus.FORBIDDEN,
                    "request refused: open the address on 127.0.0.1 that `make open` printed",
                )
                return
            headers: dict[str, str | None] = {
                name: self.headers.get(name) for name in FORWARDED_REQUEST_HEADERS
            }
            try:
                headers["Authorization"] = f"Bearer {tokens.get()}"
                response = requests.get(
                    f"{url}{self.path}",
                    headers=headers,
                    timeout=TIMEOUT_S,
                    stream=True,
                    allow_redirects=False,
                )
                body = response.raw.read()
                status, found = response.status_code, response.headers
            except (requests.RequestException, HTTPError, OperateError) as error:
                status, found = int(HTTPStatus.BAD_GATEWAY), requests.structures.CaseInsensitiveDict()
                has_no_token = isinstance(error, OperateError)
                failed = "" if has_no_token else f"the dashboard {url} does not respond: "
                body = f"{failed}{error}; reload the page{'' if has_no_token else ', or run `make smoke`'}".encode()
            self.send_response(status)
            for name, value in found.items():
                if name.lower() not in DROPPED_RESPONSE_HEADERS:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """The service has its own log."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


class _TokenCache:
    """Caches the identity token, and renews it before it expires."""

    def __init__(self, make: Callable[[], str]) -> None:
        self._make, self._token, self._made = make, "", 0.0

    def get(self) -> str:
        if not self._token or time.monotonic() - self._made > TOKEN_S:
            self._token, self._made = self._make(), time.monotonic()
        return self._token
