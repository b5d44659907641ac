"""The service router: forwarding, timeouts, concurrency, and who may invoke a service."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from local.environment.environment import LocalEnvironment
from local.environment.metadata_server import identity_token
from local.processes.ports import free_port
from local.service_router.router import ServiceRouter, error_response, is_loopback, json_response
from tests.local.conftest import account, allow, bearer

pytestmark = pytest.mark.unit


class Workload:
    """An HTTP server that counts its concurrent requests, and may be slow or break the connection."""

    def __init__(self, port: int = 0, seconds: float = 0.0, breaks: bool = False) -> None:
        self.at_a_time, self.most, self.seen = 0, 0, list[tuple[str, str, bytes, str | None]]()
        lock, outer = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with lock:
                    outer.seen.append((self.command, self.path, body, self.headers.get("X-Test")))
                    outer.at_a_time += 1
                    outer.most = max(outer.most, outer.at_a_time)
                time.sleep(seconds)
                with lock:
                    outer.at_a_time -= 1
                if breaks:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(201)
                self.end_headers()
                self.wfile.write(b"done")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def router(environment: LocalEnvironment) -> Iterator[ServiceRouter]:
    one = environment.service(ServiceRouter)
    yield one
    one.close()


def call(router: ServiceRouter, url: str, timeout_s: float = 5) -> tuple[int, bytes]:
    response = router.call("POST", url, {"X-Test": "yes"}, b"body", timeout_s)
    return response.status, response.body


def test_a_request_is_forwarded_unchanged(router: ServiceRouter) -> None:
    workload = Workload()
    assert call(router, f"{workload.url}/path?x=1") == (201, b"done")
    assert workload.seen == [("POST", "/path?x=1", b"body", "yes")]
    workload.close()


def test_a_request_waits_until_its_workload_listens(router: ServiceRouter) -> None:
    port = free_port()
    started: list[Workload] = []
    threading.Timer(0.3, lambda: started.append(Workload(port))).start()
    assert call(router, f"http://127.0.0.1:{port}/") == (201, b"done")
    started[0].close()


def test_a_closed_router_stops_waiting(router: ServiceRouter) -> None:
    router.close()
    status, body = call(router, f"http://127.0.0.1:{free_port()}/")
    assert status == 503
    assert b"ConnectionRefused" in body


def test_a_broken_connection_is_503_and_not_retried(router: ServiceRouter) -> None:
    workload = Workload(breaks=True)
    status, body = call(router, workload.url)
    assert (status, len(workload.seen)) == (503, 1)
    assert b"the connection broke" in body
    workload.close()


def test_a_response_after_the_timeout_is_504(router: ServiceRouter) -> None:
    workload = Workload(seconds=1)
    assert call(router, workload.url, timeout_s=0.1)[0] == 504
    workload.close()


@pytest.mark.long
@pytest.mark.parametrize("max_concurrency", [1, 3])
def test_a_workloads_concurrency_is_limited(router: ServiceRouter, max_concurrency: int) -> None:
    workload = Workload(seconds=0.05)
    router.limit_concurrency(workload.url, max_concurrency)
    callers = [threading.Thread(target=call, args=(router, workload.url)) for _ in range(8)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    assert len(workload.seen) == 8
    assert workload.most == max_concurrency
    workload.close()


def test_an_outside_url_is_not_called_and_reported_once(
    router: ServiceRouter, environment: LocalEnvironment
) -> None:
    for _ in range(2):
        assert call(router, "https://example.com/x")[0] == 403
    assert environment.unsupported == [
        "https://example.com/x is not called: it is outside the local environment"
    ]


def test_only_a_registered_google_api_is_called(router: ServiceRouter, environment: LocalEnvironment) -> None:
    router.register_api(
        "dataproc.googleapis.com", lambda m, p, b, caller: json_response([m, p, b.decode(), caller])
    )
    caller = account(environment, "caller")
    response = router.call("POST", "https://dataproc.googleapis.com/v1/x:y", bearer(caller), b"body", 5)
    assert (response.status, json.loads(response.body)) == (200, ["POST", "/v1/x:y", "body", caller])
    assert router.can_reach("https://dataproc.googleapis.com/v1")
    assert not router.can_reach("https://compute.googleapis.com/v1")


@pytest.mark.parametrize(
    "authorization", [None, "Bearer local:nobody@elsewhere", "Bearer ya29.real", "Basic x"]
)
def test_a_google_api_refuses_unknown_callers(router: ServiceRouter, authorization: str | None) -> None:
    router.register_api("dataproc.googleapis.com", lambda *_: pytest.fail("called"))
    headers = {"Authorization": authorization} if authorization else {}
    response = router.call("POST", "https://dataproc.googleapis.com/v1/x:y", headers, b"", 5)
    assert (response.status, json.loads(response.body)["error"]["status"]) == (401, "UNAUTHENTICATED")


INVOKER, STRANGER = "invoker@p.iam", "stranger@p.iam"


@pytest.mark.parametrize(
    ("caller", "audience", "role", "status", "message"),
    [
        (INVOKER, "{url}", "run.routes.invoke", 201, "done"),
        (INVOKER, "{url}/sweep", "run.routes.invoke", 201, "done"),
        (
            INVOKER,
            "{url}",
            "run.services.get",
            403,
            f"403: {INVOKER} lacks run.routes.invoke on projects/p/l/s",
        ),
        ("", "", "run.routes.invoke", 403, "carries no identity token for projects/p/l/s"),
        (STRANGER, "{url}", "run.routes.invoke", 401, f"audience {{url}}, caller {STRANGER}"),
        (INVOKER, "http://127.0.0.1:1", "run.routes.invoke", 401, "audience http://127.0.0.1:1, caller"),
    ],
)
def test_a_call_needs_the_invoker_role(  # noqa: PLR0917 - a row of the table
    environment: LocalEnvironment, caller: str, audience: str, role: str, status: int, message: str
) -> None:
    workload, router = Workload(), environment.service(ServiceRouter)
    router.require_invoker(workload.url, "projects/p/l/s")
    allow(environment, account(environment, INVOKER), "projects/p/l/s", role)
    token = identity_token(caller, audience.format(url=workload.url), 0)
    headers = {"Authorization": f"Bearer {token}"} if caller else {}
    response = router.call("POST", f"{workload.url}/sweep", headers, b"", 5)
    assert (response.status, len(workload.seen)) == (status, int(status == 201))
    assert message.format(url=workload.url) in response.body.decode()
    workload.close()


def test_an_access_token_invokes_no_service(router: ServiceRouter, environment: LocalEnvironment) -> None:
    workload, service = Workload(), f"projects/{environment.project}/locations/l/services/s"
    router.require_invoker(workload.url, service)
    invoker = account(environment, "invoker")
    allow(environment, invoker, service, "run.routes.invoke")
    assert router.call("POST", workload.url, bearer(invoker), b"", 5).status == 401
    workload.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8080/x", True),
        ("http://localhost/", True),
        ("http://[::1]:80/", True),
        ("https://127.0.0.1/", False),
        ("http://127.0.0.1.example.com/", False),
        ("http://10.0.0.1/", False),
        ("http://", False),
        ("projects/p/topics/t", False),
    ],
)
def test_loopback(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


def test_an_error_has_googles_form() -> None:
    from http import HTTPStatus

    response = error_response(HTTPStatus.NOT_FOUND, "NOT_FOUND", "no such thing")
    assert (response.status, response.ok) == (404, False)
    assert json.loads(response.body)["error"] == {
        "code": 404,
        "status": "NOT_FOUND",
        "message": "no such thing",
    }
