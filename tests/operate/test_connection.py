"""Commands without a connection: one sentence that names the host and the cause, and blames no credentials."""

import io
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.exceptions import RetryError
from google.auth.credentials import Credentials
from google.auth.exceptions import RefreshError, TransportError
from google.cloud.storage.retry import DEFAULT_RETRY

from operate.__main__ import main
from operate.cloud import (
    ApiError,
    Cloud,
    CredentialsError,
    Endpoints,
    UnreachableError,
    describe_connection,
    find_connection_error,
    make_credentials_error,
)
from operate.data import querying
from operate.deployment.prerequisites import NEEDS

pytestmark = pytest.mark.unit
NOBODY = "http://127.0.0.1:9/"
POOL = "HTTPSConnectionPool(host='oauth2.googleapis.com', port=443): Max retries exceeded with url: /token"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            requests.ConnectionError(f"{POOL} (NameResolutionError: Name or service not known)"),
            "its name cannot be resolved",
        ),
        (requests.ConnectionError(f"{POOL} ([Errno 111] Connection refused)"), "the connection is refused"),
        (
            requests.exceptions.ProxyError(f"{POOL} (Tunnel failed)"),
            "the proxy does not let the call through",
        ),
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), "its certificate is not trusted"),
        (requests.ConnectTimeout("x"), "there was no response in time"),
        (requests.ConnectionError("[Errno 101] Network is unreachable"), "there is no route to it"),
        (requests.ConnectionError("Connection aborted."), "the connection broke"),
    ],
)
def test_a_connection_error_is_described_in_a_few_words(error: Exception, expected: str) -> None:
    assert describe_connection(error).startswith(expected)


class Session(requests.Session):
    """A transport that fails or responds as the test sets it."""

    def __init__(self, *outcomes: Exception | int) -> None:
        super().__init__()
        self.outcomes = list(outcomes)

    def request(self, *_: Any, **__: Any) -> requests.Response:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        response = requests.Response()
        response.status_code, response._content = outcome, b"{}"
        return response


def cloud(*outcomes: Exception | int) -> Cloud:
    return Cloud(Session(*outcomes), storage=None, endpoints=Endpoints())


def test_an_unreachable_cloud_ends_the_command() -> None:
    with pytest.raises(
        UnreachableError, match=r"^a\.example cannot be reached: the connection broke; check this"
    ):
        cloud(requests.ConnectionError("x")).call("GET", "https://a.example/b?c")


def test_a_single_call_without_a_response_is_reported_by_itself() -> None:
    """A service may be down while others respond: the caller decides."""
    client = cloud(200, requests.ConnectionError("[Errno 111] Connection refused"))
    client.call("GET", "https://a.example/b")
    with pytest.raises(ApiError, match=r"^no response from https://b\.example/c: the connection is refused$"):
        client.call("GET", "https://b.example/c?d")


def test_a_slow_service_is_not_a_missing_connection() -> None:
    with pytest.raises(ApiError, match="there was no response in time"):
        cloud(requests.ReadTimeout("timed out")).call("GET", "https://a.example/b")


def test_credentials_are_blamed_only_where_google_refused_them() -> None:
    lost = make_credentials_error(TransportError(f"{POOL} (Name or service not known)"))  # type: ignore[no-untyped-call]
    assert str(lost).startswith("oauth2.googleapis.com cannot be reached: its name cannot be resolved; ")
    refused = make_credentials_error(RefreshError("invalid_grant"))  # type: ignore[no-untyped-call]
    assert isinstance(refused, CredentialsError)
    assert "run `gcloud auth application-default login`" in str(refused)


def test_a_cause_deep_inside_a_librarys_error_is_found() -> None:
    inner = requests.ConnectionError("[Errno 111] Connection refused")
    outer = RetryError("Timeout of 30.0s exceeded", cause=inner)  # type: ignore[no-untyped-call]
    assert str(find_connection_error(outer, "Cloud Storage")).startswith(
        "Cloud Storage cannot be reached: the connection is"
    )
    assert find_connection_error(ValueError("x"), "Cloud Storage") is None


REQUIRED_OPTIONS = {
    "run": ["--job", "collect"],
    "backfill": ["--source", "gs://old-files"],
    "export": ["--day", "2026-11-26"],
}
COMMANDS = sorted({*NEEDS} - {"unbootstrap"})
TOKEN, LOGIN = "token", "login"


class LostLogin(Credentials):
    """Credentials whose token request fails, as without a connection."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def refresh(self, request: object) -> None:
        raise TransportError(f"{POOL} (Name or service not known)")  # type: ignore[no-untyped-call]


@pytest.fixture(params=[TOKEN, LOGIN])
def offline(
    request: pytest.FixtureRequest,
    program: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, str]:
    """Variables with which all services refuse the connection, and so does the token endpoint."""
    for module in ("data.backfill", "state.bucket", "state.locks", "state.state_files"):
        monkeypatch.setattr(f"operate.{module}.RETRY", DEFAULT_RETRY.with_timeout(0.1))
    monkeypatch.setattr(querying, "RETRY", querying.RETRY.with_timeout(0.1))
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 1;\n"))
    monkeypatch.setattr("operate.cloud.RETRY", 0)
    monkeypatch.setattr("operate.deployment.terraform.Cdktf.synthesize", lambda *_: {})  # needs no connection
    environ = {f"GOOGLE_{each.name.upper()}_CUSTOM_ENDPOINT": NOBODY for each in fields(Endpoints)}
    environ["GOOGLE_OAUTH_ACCESS_TOKEN"] = "made"  # noqa: S105 - opens nothing
    if request.param == LOGIN:
        monkeypatch.setattr("operate.cloud.AccessToken", lambda _token: LostLogin())
    return environ | {"PATH": str(program())}


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_without_a_connection_reports_one_message(
    command: str, offline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--env", "dev", *REQUIRED_OPTIONS.get(command, [])], offline) == 1
    printed = capsys.readouterr()
    lines = (printed.out + printed.err).splitlines()
    shown = [
        line
        for line in lines
        if not any(each in line for each in ("environment: ", "listing gs://", "writing "))
    ]
    assert len(shown) == 1, shown
    assert "cannot be reached: " in shown[0]
    assert len(shown[0]) < 250
    assert "credentials" not in shown[0]
