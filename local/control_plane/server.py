"""One server on loopback for all of Google's APIs that a deploy calls."""

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
from local.http.faults import NO_REPLY, Fault, Faults
from local.http.rest import Call, Reply, Route, error_reply, refusal
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
    storage,  # the last: it answers for any path that begins with a bucket
)
FAULTS = "/faults"  # of this machine's own: what goes wrong from now on, an empty body for nothing
BODY_LIMIT = 256 * 2**20  # the Spark job's packages come in one upload
# What the provider calls each API in GOOGLE_<PRODUCT>_CUSTOM_ENDPOINT → the root of its paths here.
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
    "MONITORING": monitoring.ROOT.removesuffix("v3/"),  # the provider writes the version itself
    "PUBSUB": pubsub.ROOT,
    "RESOURCE_MANAGER": project.ROOT,
    "SERVICE_USAGE": project.SERVICE_USAGE,
    "STORAGE": storage.ROOT,
}
# Some of the provider's clients add the version to an endpoint that has it.
TWICE = re.compile(r"/(v\d+)/\1/")
Watch = Callable[[Call, Reply], None]


class ControlPlane:
    """Answers until it is closed; `watch` is told each call with its reply."""

    def __init__(self, environment: LocalEnvironment, watch: Watch | None = None) -> None:
        self._routes: list[Route] = [route for module in MODULES for route in module.routes(environment)]
        self._environment, self._watch = environment, watch
        self.faults = Faults()
        self._server = _listen(self)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="control plane", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def resume(self) -> None:
        """Start what was deployed into this machine by an earlier run. Raises LocalError."""
        functions.resume(self._environment)
        run.resume(self._environment)

    def variables(self) -> dict[str, str]:
        """Return the variables that lead Terraform, its provider and its state here, and nowhere else."""
        return {
            **{f"GOOGLE_{name}_CUSTOM_ENDPOINT": self.url + root for name, root in ENDPOINTS.items()},
            "GOOGLE_BACKEND_STORAGE_CUSTOM_ENDPOINT": self.url + storage.ROOT,
            "VLILLE_FAULTS": self.url + FAULTS,
            "VLILLE_RUN_ENDPOINT": f"{self.url}/run",
            "VLILLE_BUILD_ENDPOINT": f"{self.url}/cloudbuild",
            "VLILLE_REGISTRY_ENDPOINT": f"{self.url}/registry",
            "VLILLE_LOGGING_ENDPOINT": f"{self.url}/logging",
            "GOOGLE_OAUTH_ACCESS_TOKEN": "local",
            "USER_PROJECT_OVERRIDE": "false",
        }

    def answer(self, call: Call) -> Reply:
        """Return the reply to a call, NO_REPLY where its connection ends; raises nothing."""
        for route, places in self._fitting(call):
            reply = self.faults.around(f"{call.method} {route.pattern}", partial(_done, route, call, places))
            break
        else:
            reply = error_reply(404, f"nothing here answers {call.method} {call.path}")
        if self._watch is not None and reply is not NO_REPLY:
            self._watch(call, reply)
        return reply

    def _fitting(self, call: Call) -> Iterator[tuple[Route, dict[str, str]]]:
        for route in self._routes:
            if (places := route.match(call)) is not None:
                yield route, places


def _done(route: Route, call: Call, places: dict[str, str]) -> Reply:
    try:
        answered = route.answer(call, places)
    except LocalError as error:
        return refusal(error)
    except Exception as error:  # a fault of ours must not look like a broken network
        LOG.exception("%s %s", call.method, call.path)
        return error_reply(500, f"{type(error).__name__}: {error}")
    return answered if isinstance(answered, Reply) else Reply.of(answered)


def call_of(method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Call:
    """Return a request as it is answered; `target` is path and query as they were sent."""
    url = urlsplit(target)
    path = TWICE.sub(r"/\1/", unquote(url.path)).rstrip("/")
    return Call(method, path, dict(parse_qsl(url.query)), body, {**headers, ":target": target})


def _listen(plane: ControlPlane) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 300

        def _any(self) -> None:
            length = self.headers.get("Content-Length")
            body = self._chunked() if length is None and self.headers.get("Transfer-Encoding") else b""
            if length is not None:
                if int(length) > BODY_LIMIT:
                    self._send(error_reply(413, f"more than {BODY_LIMIT} bytes"))
                    return
                body = self.rfile.read(int(length))
            if (self.command, self.path) == ("PUT", FAULTS):
                plane.faults.set(Fault.parse(body.decode()) if body else None)
                self._send(Reply())
                return
            reply = plane.answer(call_of(self.command, self.path, body, dict(self.headers)))
            if reply is NO_REPLY:
                self.close_connection = True
            else:
                self._send(reply)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any  # noqa: N815 - http.server's names

        def _chunked(self) -> bytes:
            body = bytearray()
            while size := int(self.rfile.readline().split(b";")[0], 16):
                if len(body) + size > BODY_LIMIT:
                    break
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return bytes(body)

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            LOG.debug(format, *args)

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    return server


def recorded(call: Call, reply: Reply) -> str:
    """One call with its reply as a line of JSON; bodies that are no JSON are told by their length."""

    def shown(body: bytes) -> Any:
        try:
            return json.loads(body) if body else None
        except ValueError:
            return f"{len(body)} bytes"

    return json.dumps(
        {
            "method": call.method,
            "target": call.target,
            "body": shown(call.body),
            "status": reply.status,
            "reply": shown(reply.body),
        },
        ensure_ascii=False,
    )
