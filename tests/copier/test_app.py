"""The service's HTTP side, and its settings."""

import pytest
from flask.testing import FlaskClient

from copier.app import create_app
from copier.settings import Settings, SettingsError
from feed import Feed, compress, landing_name
from tests.copier.conftest import Buckets
from tests.copier.test_sweep import TICK

ENVIRONMENT = {
    "LANDING_BUCKET": "p-landing",
    "ARCHIVE_BUCKET": "p-archive",
    "SWEEP_DEADLINE_S": "270",
    "REDELIVERY_WINDOW_S": "4020",
    "SWEEP_THREADS": "16",
}


@pytest.fixture
def web(buckets: Buckets, old_feeds: list[Feed]) -> FlaskClient:
    """A client of the service on two empty buckets."""
    return create_app(buckets.settings, buckets.client, old_feeds).test_client()


@pytest.mark.emulator
def test_a_sweep_responds_with_its_counts(web: FlaskClient, buckets: Buckets) -> None:
    buckets.put(landing_name("trams", TICK), compress(b"{}"))
    buckets.put("notes.txt", b"keep me")
    response = web.post("/sweep")
    assert response.status_code == 200
    counts = response.get_json()
    assert counts.pop("seconds") >= 0
    [refusal] = counts.pop("refusals")
    assert counts == {
        "moved": 1, "skipped": 0, "retained": 0, "refused": 1, "failed": 0, "complete": True, "failures": [],
    }  # fmt: skip
    assert refusal["object"] == "notes.txt"


@pytest.mark.emulator
def test_a_sweep_that_cannot_run_is_an_error_in_json(buckets: Buckets) -> None:
    settings = Settings("no-such-bucket", "no-such-archive", deadline_s=10, threads=2)
    response = create_app(settings, buckets.client, []).test_client().post("/sweep")
    assert response.status_code == 500
    assert "no-such-bucket" in response.get_json()["detail"]


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/healthz", 200, None),
        ("GET", "/health", 200, None),
        ("GET", "/sweep", 405, "Method Not Allowed"),
        ("DELETE", "/healthz", 405, "Method Not Allowed"),
        ("POST", "/health", 405, "Method Not Allowed"),
        ("GET", "/", 404, "Not Found"),
        ("POST", "/sweep/", 404, "Not Found"),
    ],
)
def test_every_response_is_json(
    web: FlaskClient, method: str, path: str, status: int, error: str | None
) -> None:
    response = web.open(path, method=method)
    assert (response.status_code, response.get_json().get("error")) == (status, error)
    assert (status == 405) == ("Allow" in response.headers)


@pytest.mark.unit
def test_settings_are_read_once() -> None:
    assert Settings.of(ENVIRONMENT) == Settings(
        "p-landing", "p-archive", 270.0, 16, redelivery_window_s=4020.0
    )


@pytest.mark.unit
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"LANDING_BUCKET": ""}, "missing environment variables: LANDING_BUCKET"),
        ({"SWEEP_THREADS": "many"}, "SWEEP_THREADS: found 'many'"),
        ({"SWEEP_DEADLINE_S": "0"}, "SWEEP_DEADLINE_S: found '0'"),
        ({"REDELIVERY_WINDOW_S": ""}, "missing environment variables: REDELIVERY_WINDOW_S"),
        ({"REDELIVERY_WINDOW_S": "-1"}, "REDELIVERY_WINDOW_S: found '-1'"),
    ],
)
def test_missing_or_invalid_variables_are_named(changes: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Settings.of(ENVIRONMENT | changes)
