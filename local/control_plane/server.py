"""The HTTP server on loopback for all Google APIs that a deploy calls."""

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from local.control_plane.apis import (
    artifact_registry,
    bigquery,
    billing,
    build,
    compute,
    dataproc,
    functions,
    iam,
    monitoring,
    pools,
    project,
    pubsub,
    run,
    scheduler,
    storage,
)
from local.environment.environment import LocalEnvironment
from local.errors import LocalError
from local.http.faults import NO_RESPONSE, Fault, Faults
from local.http.rest import ApiRequest, ApiResponse, Route, error_response, response_to_error
from local.processes.ports import LOOPBACK

LOG = logging.getLogger(__name__)
MODULES = (
    build,
    artifact_registry,
    billing,
    compute,
    dataproc,
    functions,
    iam,
    monitoring,
    pools,
    project,
    pubsub,
    run,
    scheduler,
    bigquery,
    storage,  # last, because it matches any path that begins with a bucket
)
FAULTS_PATH = "/faults"  # not Google's: PUT sets the injected fault, or none with an empty body
BODY_LIMIT = 256 * 2**20  # the Spark job's packages are uploaded in one request
# The provider's name of an API, in GOOGLE_<PRODUCT>_CUSTOM_ENDPOINT → the root of its paths.
ENDPOINTS = {
    "ARTIFACT_REGISTRY": artifact_registry.ROOT,
    "BIG_QUERY": bigquery.ROOT,
    "BILLING": billing.ROOT,
    "CLOUDFUNCTIONS2": functions.ROOT,
    "CLOUD_BILLING": project.BILLING,
    "CLOUD_RESOURCE_MANAGER": project.ROOT,
    "CLOUD_RUN_V2": run.ROOT,
    "CLOUD_SCHEDULER": scheduler.ROOT,
    "COMPUTE": compute.ROOT,
    "DATAPROC": dataproc.ROOT,
    "IAM": iam.ROOT,
    "IAM_BETA": pools.ROOT,
    "MONITORING": monitoring.ROOT.removesuffix("v3/"),  # the provider appends the version
    "PUBSUB": pubsub.ROOT,
    "RESOURCE_MANAGER": project.ROOT,
    "SERVICE_USAGE": project.SERVICE_USAGE,
    "STORAGE": storage.ROOT,
}
# Some of the provider's clients append the version to an endpoint that has it already.
REPEATED_VERSION = re.compile(r"/(v\d+)/\1/")
Observer = Callable[[ApiRequest, ApiResponse], None]


class ControlPlane:
    """Responds to requests until it is closed; `observer` gets each request with its response."""

    def __init__(self, environment: LocalEnvironment, observer: Observer | None = None) -> None:
        self._routes: list[Route] = [route for module in MODULES for route in module.routes(environment)]
        self._environment, self._observer = environment, observer
        self.faults = Faults()
        self._server = _listen(self)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"
        serve = partial(self._server.serve_forever, poll_interval=0.05)  # the longest time that `close` takes
        threading.Thread(target=serve, name="control plane", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def resume(self) -> None:
        """Start the workloads that an earlier run deployed. Raises LocalError."""
        functions.resume(self._environment)
        run.resume(self._environment)

    def variables(self) -> dict[str, str]:
        """Return the environment variables that send the requests of Terraform, its provider and its state to this
        server.
        """
        return {
            **{f"GOOGLE_{name}_CUSTOM_ENDPOINT": self.url + root for name, root in ENDPOINTS.items()},
            "GOOGLE_BACKEND_STORAGE_CUSTOM_ENDPOINT": self.url + storage.ROOT,
            "VLILLE_FAULTS": self.url + FAULTS_PATH,
            "VLILLE_RUN_ENDPOINT": f"{self.url}/run",
            "VLILLE_BUILD_ENDPOINT": f"{self.url}/cloudbuild",
            "VLILLE_REGISTRY_ENDPOINT": f"{self.url}/registry",
            "VLILLE_LOGGING_ENDPOINT": f"{self.url}/logging",
            "GOOGLE_OAUTH_ACCESS_TOKEN": "local",
            "USER_PROJECT_OVERRIDE": "false",
        }

    def respond(self, request: ApiRequest) -> ApiResponse:
        """Return the response to a request, NO_RESPONSE where the connection must break. Raises nothing."""
        for route, params in self._matching_routes(request):
            response = self.faults.apply(
                f"{request.method} {route.pattern}", partial(_handle, route, request, params)
            )
            break
        else:
            response = error_response(404, f"the local run does not support {request.method} {request.path}")
        if self._observer is not None and response is not NO_RESPONSE:
            self._observer(request, response)
        return response

    def _matching_routes(self, request: ApiRequest) -> Iterator[tuple[Route, dict[str, str]]]:
        for route in self._routes:
            if (params := route.match(request)) is not None:
                yield route, params


def _handle(route: Route, request: ApiRequest, params: dict[str, str]) -> ApiResponse:
    try:
        result = route.handle(request, params)
    except LocalError as error:
        return response_to_error(error)
    except Exception as error:  # an internal error must not look like a network failure
        LOG.exception("%s %s", request.method, request.path)
        return error_response(500, f"{type(error).__name__}: {error}")
    return result if isinstance(result, ApiResponse) else ApiResponse.of_json(result)


def parse_request(method: str, target: str, body: bytes, headers: Mapping[str, str]) -> ApiRequest:
    """Return a request with its path normalized; `target` is path and query as they were sent."""
    url = urlsplit(target)
    path = REPEATED_VERSION.sub(r"/\1/", unquote(url.path)).rstrip("/")
    return ApiRequest(method, path, dict(parse_qsl(url.query)), body, {**headers, ":target": target})


def _listen(plane: ControlPlane) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 300

        def _respond(self) -> None:
            length = self.headers.get("Content-Length")
            body = self._read_chunked() if length is None and self.headers.get("Transfer-Encoding") else b""
            if length is not None:
                if int(length) > BODY_LIMIT:
                    self._send(error_response(413, f"more than {BODY_LIMIT} bytes"))
                    return
                body = self.rfile.read(int(length))
            if (self.command, self.path) == ("PUT", FAULTS_PATH):
                plane.faults.set(Fault.parse(body.decode()) if body else None)
                self._send(ApiResponse())
                return
            response = plane.respond(parse_request(self.command, self.path, body, dict(self.headers)))
            if response is NO_RESPONSE:
                self.close_connection = True
            else:
                self._send(response)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _respond  # noqa: N815 - http.server's names

        def _read_chunked(self) -> bytes:
            body = bytearray()
            while size := int(self.rfile.readline().split(b";")[0], 16):
                if len(body) + size > BODY_LIMIT:
                    break
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return bytes(body)

        def _send(self, response: ApiResponse) -> None:
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            LOG.debug(format, *args)

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    return server


def format_call(request: ApiRequest, response: ApiResponse) -> str:
    """Format a request and its response as a line of JSON; a body that is not JSON is replaced by its length."""

    def readable(body: bytes) -> Any:
        try:
            return json.loads(body) if body else None
        except ValueError:
            return f"{len(body)} bytes"

    return json.dumps(
        {
            "method": request.method,
            "target": request.target,
            "body": readable(request.body),
            "status": response.status,
            "reply": readable(response.body),
        },
        ensure_ascii=False,
    )
