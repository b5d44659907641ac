"""A function deployed by the API: uploaded, started, deployed again at its URL, deleted."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from local.control_plane.server import ControlPlane
from local.data_plane.emulators import Emulators
from local.environment.clock import RealClock
from local.environment.environment import LocalEnvironment
from local.http.rest import ApiRequest
from local.service_router.ingress import Ingress
from local.services.storage import Storage
from tests.local.control_plane.test_provider import zipped

pytestmark = pytest.mark.emulator

PARENT = "/cloudfunctions2/v2/projects/p/locations/l"
NAME = f"{PARENT}/functions/f"
FUNCTION = {"main.py": "import os\n\ndef collect(request):\n    return os.environ['WORD']\n"}
BROKEN = {"main.py": "import nothing_of_that_name\n"}


@pytest.fixture
def environment(
    new_environment: Callable[..., LocalEnvironment], emulators: Emulators, clock: RealClock
) -> LocalEnvironment:
    one = replace(new_environment(emulators), clock=clock)
    one.service(Storage).put_bucket(
        {"name": f"{one.project}-code", "location": "L", "storageClass": "STANDARD"}
    )
    for name, files in (("f-1.zip", FUNCTION), ("broken.zip", BROKEN)):
        one.service(Storage).put_object(f"{one.project}-code", name, zipped(files), "application/zip", {})
    return one


def function(environment: LocalEnvironment, name: str, word: str) -> dict[str, Any]:
    source = {"storageSource": {"bucket": f"{environment.project}-code", "object": name}}
    return {
        "buildConfig": {"runtime": "python313", "entryPoint": "collect", "source": source},
        "serviceConfig": {"environmentVariables": {"WORD": word}},
    }


def send_and_wait(
    plane: ControlPlane, method: str, path: str, query: dict[str, str], body: Any
) -> dict[str, Any]:
    response = plane.respond(ApiRequest(method, path, query, json.dumps(body).encode()))
    operation: dict[str, Any] = json.loads(response.body)
    end = time.monotonic() + 60
    while not operation.get("done"):
        assert response.status == 200, operation
        assert time.monotonic() < end
        time.sleep(0.02)
        operation = json.loads(
            plane.respond(ApiRequest("GET", f"/cloudfunctions2/v2/{operation['name']}")).body
        )
    return operation


def fetch_text(url: str) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as response:
        return str(response.read().decode())


def test_a_function_keeps_its_url_when_it_is_deployed_again(
    plane: ControlPlane, environment: LocalEnvironment
) -> None:
    made = send_and_wait(
        plane, "POST", f"{PARENT}/functions", {"functionId": "f"}, function(environment, "f-1.zip", "one")
    )
    url = made["response"]["url"]
    ingress = environment.service(Ingress)
    assert (fetch_text(ingress.open_user_proxy(url)), made["response"]["state"]) == ("one", "ACTIVE")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        fetch_text(url)
    mask = {"updateMask": "serviceConfig"}
    again = send_and_wait(plane, "PATCH", NAME, mask, function(environment, "f-1.zip", "two"))
    assert (again["response"]["url"], fetch_text(ingress.open_user_proxy(url))) == (url, "two")
    send_and_wait(plane, "DELETE", NAME, {}, {})
    assert environment.supervisor.processes == []
    with pytest.raises(OSError, match="refused"):
        fetch_text(url)


def test_an_archive_that_does_not_start_fails_with_its_reason_and_creates_nothing(
    plane: ControlPlane, environment: LocalEnvironment
) -> None:
    made = send_and_wait(
        plane, "POST", f"{PARENT}/functions", {"functionId": "f"}, function(environment, "broken.zip", "one")
    )
    assert "No module named 'nothing_of_that_name'" in made["error"]["message"]
    assert plane.respond(ApiRequest("GET", NAME)).status == 404
