"""Resources of a bootstrap besides service accounts and grants: APIs, the identity pool and its provider."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import requests

from local.control_plane.server import ControlPlane
from local.environment.clock import RealClock
from local.environment.environment import LocalEnvironment

pytestmark = pytest.mark.local

POOLS = "iambeta/v1/projects/p/locations/global/workloadIdentityPools"
PROVIDERS = f"{POOLS}/vlille-github/providers"
SERVICES = "serviceusage/v1/projects/p/services"


@pytest.fixture
def environment(new_environment: Callable[..., LocalEnvironment], clock: RealClock) -> LocalEnvironment:
    """An environment without emulators."""
    return replace(new_environment(), project="p", clock=clock)


@pytest.fixture
def send(plane: ControlPlane) -> Callable[..., tuple[int, Any]]:
    """Send a request, wait for the operation it may have started, and return status and resource."""

    def send_json(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        response = requests.request(method, f"{plane.url}/{path}", json=body, timeout=10)
        operation = response.json()
        end = time.monotonic() + 10
        while "/operations/" in str(operation.get("name")) and not operation["done"]:
            assert time.monotonic() < end, operation
            operation = requests.get(f"{plane.url}/iambeta/v1/{operation['name']}", timeout=10).json()
        return response.status_code, operation.get("response", operation)

    return send_json


def test_a_deleted_pool_keeps_its_id_until_it_is_undeleted(send: Callable[..., tuple[int, Any]]) -> None:
    for parent, parameter, name in (
        (POOLS, "workloadIdentityPoolId", "vlille-github"),
        (PROVIDERS, "workloadIdentityPoolProviderId", "github"),
    ):
        create = f"{parent}?{parameter}={name}"
        full = f"{parent.removeprefix('iambeta/v1/')}/{name}"
        made = send("POST", create, {"displayName": "GitHub"})[1]
        assert (made["name"], made["state"]) == (full, "ACTIVE")
        assert send("DELETE", f"{parent}/{name}")[1]["state"] == "DELETED"
        assert send("POST", create, {})[0] == 409
        assert send("GET", f"{parent}/{name}")[1]["state"] == "DELETED"
        assert send("POST", f"{parent}/{name}:undelete", {})[1]["state"] == "ACTIVE"
        assert send("GET", f"{parent}/{name}")[1] == {
            "name": full,
            "displayName": "GitHub",
            "state": "ACTIVE",
        }


def test_an_unknown_pool_is_neither_deleted_nor_undeleted(send: Callable[..., tuple[int, Any]]) -> None:
    assert send("DELETE", f"{POOLS}/none")[0] == 404
    assert send("POST", f"{POOLS}/none:undelete", {})[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "enabled"),
    [
        (f"{SERVICES}:batchEnable", {"serviceIds": ["a.example.com", "b.example.com"]}, {"a", "b"}),
        (f"{SERVICES}/c.example.com:enable", {}, {"c"}),
    ],
)
def test_an_api_is_enabled_and_listed(
    send: Callable[..., tuple[int, Any]], path: str, body: Any, enabled: set[str]
) -> None:
    services = send("POST", path, body)[1]["services"]
    names = {f"projects/p/services/{name}.example.com" for name in enabled}
    assert {each["name"] for each in services} == names
    listed = {each["name"] for each in send("GET", SERVICES)[1]["services"] if each["state"] == "ENABLED"}
    assert listed > {*names, "projects/p/services/run.googleapis.com"}
