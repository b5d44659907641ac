"""Injected faults: which requests they affect, what these return, and that a request can be repeated."""

import http.client
import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from local.control_plane.server import FAULTS_PATH, ControlPlane
from local.environment.clock import RealClock
from local.environment.environment import LocalEnvironment
from local.errors import LocalError
from local.http.faults import CUT, DROP, MAX_TIMES, NO_RESPONSE, Fault, Faults
from local.http.rest import REASONS, ApiResponse

pytestmark = pytest.mark.local

TOPIC = "pubsub/v1/projects/p/topics/t"
KIND = "PUT /pubsub/v1/projects/{project}/topics/{id}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("503", Fault("503")),
        ("drop", Fault("drop")),
        ("cutx3", Fault("cut", "", 3)),
        ("403@POST /pubsub", Fault("403", "POST /pubsub")),
        ("429@topics|bucketsx99", Fault("429", "topics|buckets", 99)),
    ],
)
def test_a_fault_is_parsed(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("200", "FAULT: found '200', accepted: WHAT[@KINDS][xTIMES] with WHAT one of 400, 401, 403"),
        ("", "FAULT: found ''"),
        ("lost", "FAULT: found 'lost'"),
        ("503@(", "FAULT: '(' is not a regular expression"),
    ],
)
def test_an_invalid_fault_is_refused_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(LocalError) as raised:
        Fault.parse(text)
    assert str(raised.value).startswith(message)


@given(
    st.sampled_from([*map(str, REASONS), DROP, CUT]),
    st.sampled_from(["", "POST", "topics|buckets", "GET /x"]),
    st.integers(0, MAX_TIMES),
)
def test_a_formatted_fault_parses_to_itself(what: str, pattern: str, times: int) -> None:
    assert Fault.parse(str(Fault(what, pattern, times))) == Fault(what, pattern, times)


@pytest.mark.parametrize(
    ("text", "kind", "gets", "worked"),
    [
        ("503", KIND, [503, 200, 200], 2),
        ("503x2", KIND, [503, 503, 200], 1),
        ("drop", KIND, [0, 200, 200], 2),
        ("cut", KIND, [0, 200, 200], 3),
        ("403@GET", KIND, [200, 200, 200], 3),
        ("403@PUT /pubsub", KIND, [403, 200, 200], 2),
    ],
)
def test_the_first_requests_of_a_kind_meet_the_fault(
    text: str, kind: str, gets: list[int], worked: int
) -> None:
    faults, done = Faults(), []
    faults.set(Fault.parse(text))

    def work() -> ApiResponse:
        done.append(kind)
        return ApiResponse()

    assert [faults.apply(kind, work).status for _ in gets] == gets
    assert len(done) == worked
    assert faults.apply("another kind", ApiResponse).status == (200 if "@" in text else gets[0])
    faults.set(None)
    assert faults.apply(kind, work).status == 200


def test_no_response_is_none_that_a_server_could_send() -> None:
    assert NO_RESPONSE.status not in range(100, 600)


@pytest.fixture
def environment(new_environment: Callable[..., LocalEnvironment], clock: RealClock) -> LocalEnvironment:
    """An environment without emulators."""
    return replace(new_environment(), project="p", clock=clock)


def test_a_cut_connection_leaves_the_effect_of_its_request(plane: ControlPlane) -> None:
    requests.put(plane.url + FAULTS_PATH, data="cut@PUT", timeout=10).raise_for_status()
    parts = urlsplit(plane.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("PUT", f"/{TOPIC}", body="{}")
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()
    again = requests.put(f"{plane.url}/{TOPIC}", json={}, timeout=10)
    assert (again.status_code, again.json()["error"]["status"]) == (409, "ALREADY_EXISTS")
    requests.put(plane.url + FAULTS_PATH, data="403@GET", timeout=10).raise_for_status()
    refused = requests.get(f"{plane.url}/{TOPIC}", timeout=10)
    assert refused.status_code == 403
    assert json.loads(refused.content)["error"]["message"] == (
        "GET /pubsub/v1/projects/{project}/topics/{id}: injected fault (FAULT=403)"
    )
    requests.put(plane.url + FAULTS_PATH, timeout=10).raise_for_status()
    assert requests.get(f"{plane.url}/{TOPIC}", timeout=10).ok
