"""The URL of a service: callers that may invoke it reach it, others get Cloud Run's error page."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from local.environment.environment import LocalEnvironment
from local.environment.metadata_server import identity_token
from local.iam_proxy.access import AccessControl
from local.processes.ports import free_port
from local.service_router.ingress import Ingress
from local.service_router.router import ServiceRouter
from tests.local.conftest import account, allow

pytestmark = pytest.mark.unit

SERVICE = "projects/p/locations/l/services/s"


class Page(BaseHTTPRequestHandler):
    """A page that is compressed for clients that accept it, and the requests it got."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        packs = "gzip" in self.headers.get("Accept-Encoding", "")
        body = gzip.compress(b"the page") if packs else b"the page"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"a"')
        if packs:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Do not log."""


@pytest.fixture
def service(environment: LocalEnvironment) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    upstream, router, ingress = (
        f"http://127.0.0.1:{server.server_port}",
        environment.service(ServiceRouter),
        environment.service(Ingress),
    )
    url = ingress.listen(free_port(), upstream)
    router.limit_concurrency(url, 4)
    router.require_invoker(url, SERVICE)
    router.forward_to(url, upstream)
    yield url
    ingress.close()
    server.shutdown()
    server.server_close()


def get(url: str, token: str = "", **headers: str) -> requests.Response:
    sent = headers | ({"Authorization": f"Bearer {token}"} if token else {})
    return requests.get(url, headers=sent, timeout=10)


@pytest.mark.parametrize(
    ("caller", "audience", "role", "status", "expected"),
    [
        (
            "",
            "",
            "",
            403,
            "Your client does not have permission to get URL <code>/data/now.json</code> from this server.",
        ),
        ("visitor@p.iam", "", "", 403, "<title>403 Forbidden</title>"),
        ("visitor@p.iam", "", "run.services.get", 403, "<title>403 Forbidden</title>"),
        ("stranger@p.iam", "", "run.routes.invoke", 401, "<h1>Error: Unauthorized</h1>"),
        ("visitor@p.iam", "http://127.0.0.1:1", "run.routes.invoke", 401, "<code>/data/now.json</code>."),
        ("visitor@p.iam", "", "run.routes.invoke", 200, "the page"),
    ],
)
def test_only_an_invoker_reaches_a_service(  # noqa: PLR0917 - a row of the table
    environment: LocalEnvironment,
    service: str,
    caller: str,
    audience: str,
    role: str,
    status: int,
    expected: str,
) -> None:
    if role:
        allow(environment, account(environment, "visitor@p.iam"), SERVICE, role)
    elif caller == "visitor@p.iam":
        account(environment, caller)
    token = identity_token(caller, audience or service, 0) if caller else ""
    found = get(f"{service}/data/now.json?q=1", token)
    assert (found.status_code, expected in found.text) == (status, True), found.text


def test_the_error_page_escapes_the_requests_path(service: str) -> None:
    assert "<script>" not in get(f"{service}/<script>").text


def test_a_public_service_is_open_to_everybody(environment: LocalEnvironment, service: str) -> None:
    policies = environment.collection("iam", "policies")
    authenticated = {"bindings": [{"role": "roles/run.invoker", "members": ["allAuthenticatedUsers"]}]}
    policies.put(SERVICE, authenticated)
    assert get(service).status_code == 403, "who has no token is not authenticated"
    policies.put(SERVICE, {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]})
    assert get(service).text == "the page"
    assert get(service, "what.is.this").text == "the page"


def test_the_users_own_url_needs_no_token(environment: LocalEnvironment, service: str) -> None:
    ingress = environment.service(Ingress)
    own = ingress.open_user_proxy(service)
    assert own != service
    assert ingress.open_user_proxy(service) == own
    found = get(own)
    assert (found.text, found.headers["Content-Encoding"], found.headers["ETag"]) == (
        "the page",
        "gzip",
        '"a"',
    )
    assert get(own, **{"Accept-Encoding": "identity"}).text == "the page"
    assert get(own, Host="evil.example").status_code == 403
    assert get(own, Host=own.removeprefix("http://").replace("127.0.0.1", "localhost")).status_code == 200


def test_the_deployers_token_is_accepted(environment: LocalEnvironment, service: str) -> None:
    token = identity_token(environment.service(AccessControl).deployer, service, 0)
    assert get(service, token).status_code == 200


def test_a_restarted_service_listens_at_the_same_url(environment: LocalEnvironment, service: str) -> None:
    ingress = environment.service(Ingress)
    own = ingress.open_user_proxy(service)
    ingress.stop(service)
    for url in (service, own):
        with pytest.raises(requests.ConnectionError):
            get(url)
    assert ingress.listen(int(service.rpartition(":")[2]), "http://127.0.0.1:1") == service
    assert (
        get(service, identity_token(environment.service(AccessControl).deployer, service, 0)).status_code
        == 503
    )
