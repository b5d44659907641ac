"""The loopback proxy in front of the private dashboard."""

import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from cdk.settings import Settings
from operate.cloud import connect
from operate.dashboard_proxy import find_dashboard_url, start_proxy
from operate.errors import OperateError
from operate.target import Target

pytestmark = pytest.mark.unit


class Service(BaseHTTPRequestHandler):
    """A private service: who has no token gets a 403, who has the file a 304."""

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer secret"
        has_it = self.headers.get("If-None-Match") == '"a"'
        body = b"" if has_it else f"{self.path}".encode()
        self.send_response(403 if not allowed else 304 if has_it else 200)
        self.send_header("ETag", '"a"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Do not log."""


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def proxied(service: str) -> Iterator[str]:
    tokens = iter(["secret"])  # one is enough for many requests
    server = start_proxy(service, lambda: next(tokens))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_proxy_adds_the_token_and_forwards_the_response(service: str, proxied: str) -> None:
    assert requests.get(f"{service}/data/now.json", timeout=10).status_code == 403
    for _ in range(3):
        found = requests.get(f"{proxied}/data/now.json?a=1", timeout=10)
        assert (found.status_code, found.text, found.headers["ETag"]) == (200, "/data/now.json?a=1", '"a"')
    again = requests.get(f"{proxied}/", headers={"If-None-Match": '"a"'}, timeout=10)
    assert (again.status_code, again.content) == (304, b"")


def raise_no_login() -> str:
    raise OperateError("gcloud returned no identity token: run `gcloud auth login`")


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (lambda: "secret", "the dashboard http://127.0.0.1:1 does not respond: "),
        (raise_no_login, "gcloud returned no identity token: run `gcloud auth login`; reload the page"),
    ],
)
def test_a_failed_request_is_a_502_with_the_cause(token: Callable[[], str], expected: str) -> None:
    server = start_proxy("http://127.0.0.1:1", token)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    found = requests.get(f"http://127.0.0.1:{server.server_port}/", timeout=10)
    server.shutdown()
    server.server_close()
    assert found.status_code == 502
    assert found.text.startswith(expected)


def test_an_environment_without_a_dashboard_has_none_to_open(settings: Settings) -> None:
    cloud = connect(settings.project, {"GOOGLE_OAUTH_ACCESS_TOKEN": "token"})  # it is not called
    with pytest.raises(OperateError, match=r"has no section \[dashboard\]"):
        find_dashboard_url(cloud, replace(settings, dashboard=None), Target("dev"))


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("@127.0.0.1:9/", "127.0.0.1:{port}"),  # the address would be http://service@127.0.0.1:9/
        (".example.org/", "127.0.0.1:{port}"),
        ("/data/now.json", "rebound.example"),  # a page whose name was led to this address
        ("/data/now.json", "127.0.0.1"),
    ],
)
def test_the_proxy_sends_the_token_only_to_the_service(proxied: str, target: str, host: str) -> None:
    address, port = proxied.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(address, int(port), timeout=10)
    connection.putrequest("GET", target, skip_host=True)
    connection.putheader("Host", host.format(port=port))
    connection.endheaders()
    assert connection.getresponse().status == 403
    connection.close()


def test_a_missing_token_is_reported(service: str) -> None:
    def no_token() -> str:
        raise OperateError("gcloud returned no identity token: run `gcloud auth login`")

    server = start_proxy(service, no_token)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    found = requests.get(f"http://127.0.0.1:{server.server_port}/", timeout=10)
    assert (found.status_code, "run `gcloud auth login`" in found.text) == (502, True)
    server.shutdown()
    server.server_close()
