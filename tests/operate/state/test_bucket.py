"""The state bucket: created once, corrected, refused if it is another project's, and deleted if it is empty."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import requests

from cdk.settings import Settings
from operate.cloud import Cloud, CredentialsError
from operate.errors import OperateError
from operate.state.bucket import ensure_bucket, find_bucket, remove_bucket
from operate.state.state_files import DamagedStateError, State, read_states
from tests.operate.conftest import NUMBER, Google, refusal, state_of

pytestmark = pytest.mark.emulator

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"versioning": {"enabled": False}}, "versioned"),
    ({"labels": {"app": "other", "team": "bikes"}}, "labelled"),
    ({"lifecycle": {}}, "the last 100 versions kept"),
    (
        {
            "iamConfiguration": {
                "publicAccessPrevention": "inherited",
                "uniformBucketLevelAccess": {"enabled": True},
            }
        },
        "public access prevented",
    ),
    (
        {
            "iamConfiguration": {
                "publicAccessPrevention": "enforced",
                "uniformBucketLevelAccess": {"enabled": False},
            }
        },
        "uniform access",
    ),
]


def make(cloud: Cloud, settings: Settings) -> str:
    return ensure_bucket(cloud.storage, settings, NUMBER)


def test_the_bucket_is_created_with_its_configuration(
    google: Google, cloud: Cloud, settings: Settings
) -> None:
    name = f"{settings.project}-tfstate"
    assert find_bucket(cloud.storage, settings) is None
    assert make(cloud, replace(settings, labels={"team": "bikes"})) == (
        f"the state bucket {name} was created in europe-west1"
    )
    found = google.buckets[name]
    assert found["location"] == "EUROPE-WEST1"
    assert found["versioning"] == {"enabled": True}
    assert found["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"] is True
    assert found["iamConfiguration"]["publicAccessPrevention"] == "enforced"
    assert found["labels"] == {"app": "vlille", "environment": "dev", "team": "bikes"}
    assert found["lifecycle"]["rule"] == [
        {"action": {"type": "Delete"}, "condition": {"numNewerVersions": 100}}
    ]
    assert find_bucket(cloud.storage, settings) is not None


def test_a_second_time_changes_nothing(google: Google, cloud: Cloud, settings: Settings) -> None:
    make(cloud, settings)
    before = json.dumps(google.buckets)
    assert make(cloud, settings) == f"the state bucket {settings.project}-tfstate is configured correctly"
    assert json.dumps(google.buckets) == before
    assert not [call for call in google.calls if call.startswith("PATCH")]


@pytest.mark.parametrize(("changed", "message"), WRONG, ids=[case[1] for case in WRONG])
def test_a_different_configuration_is_corrected(
    google: Google, cloud: Cloud, settings: Settings, changed: dict[str, Any], message: str
) -> None:
    make(cloud, settings)
    right = json.loads(json.dumps(google.buckets[f"{settings.project}-tfstate"]))
    google.buckets[f"{settings.project}-tfstate"] |= changed
    assert make(cloud, settings) == f"the state bucket {settings.project}-tfstate was corrected: {message}"
    if message == "labelled":
        right["labels"]["team"] = "bikes"  # another label is kept
    assert google.buckets[f"{settings.project}-tfstate"] == right


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"projectNumber": "99"}, r"is in the project with the number 99, not in operate-\S+ \(4711\)"),
        ({"location": "US"}, r"is in US, not in EUROPE-WEST1, and cannot be moved"),
    ],
)
def test_a_bucket_of_another_project_or_region_is_refused(
    google: Google, cloud: Cloud, settings: Settings, changed: dict[str, Any], words: str
) -> None:
    make(cloud, settings)
    google.buckets[f"{settings.project}-tfstate"] |= changed | {"versioning": {"enabled": False}}
    with pytest.raises(OperateError, match=words):
        make(cloud, settings)
    assert google.buckets[f"{settings.project}-tfstate"]["versioning"] == {"enabled": False}


@pytest.mark.parametrize("public", ["allUsers", "allAuthenticatedUsers"])
def test_a_public_bucket_is_refused(google: Google, cloud: Cloud, settings: Settings, public: str) -> None:
    make(cloud, settings)
    google.bindings = [
        {"role": "roles/storage.admin", "members": ["user:a@example.org"]},
        {"role": "roles/storage.objectViewer", "members": ["user:a@example.org", public]},
    ]
    with pytest.raises(OperateError) as caught:
        make(cloud, settings)
    assert f"is public: {public} has roles/storage.objectViewer" in str(caught.value)
    assert str(caught.value).endswith(f"--member={public} --role=roles/storage.objectViewer")


@pytest.mark.parametrize(
    ("call", "response", "error", "words"),
    [
        (
            "GET /storage/v1/b/{}",
            refusal(403, "no"),
            OperateError,
            "exists, but these credentials have no access to it",
        ),
        (
            "GET /storage/v1/b/{}",
            refusal(401, "no"),
            CredentialsError,
            "run `gcloud auth application-default",
        ),
        ("POST /storage/v1/b", refusal(409, "no"), OperateError, "is taken, and names are global"),
        (
            "POST /storage/v1/b",
            refusal(403, "billing is off"),
            OperateError,
            "billing is off; link a billing",
        ),
    ],
)
def test_a_bucket_that_cannot_be_read_is_reported(
    google: Google,
    cloud: Cloud,
    settings: Settings,
    *,
    call: str,
    response: Any,
    error: type[Exception],
    words: str,
) -> None:
    google.responses[call.format(f"{settings.project}-tfstate")] = response
    with pytest.raises(error, match=words):
        make(cloud, settings)


TABLE = ("google_bigquery_table", "stations", {"deletion_protection": True})
BUCKET = ("google_storage_bucket", "archive", {"force_destroy": False, "location": "EUROPE-WEST1"})
DATASET = ("google_bigquery_dataset", "dataset", {"delete_contents_on_destroy": False})
UNPROTECTED_TABLE = ("google_bigquery_table", "view", {"deletion_protection": False})
TOPIC = ("google_pubsub_topic", "topic", {"name": "collect"})


def test_states_list_deployed_and_protected_resources(
    cloud: Cloud, settings: Settings, put_state: Callable[..., None]
) -> None:
    make(cloud, settings)
    data = {"mode": "data", "type": "google_project", "name": "p", "instances": [{"attributes": {}}]}
    document = state_of(TABLE, BUCKET, DATASET, UNPROTECTED_TABLE, TOPIC)
    document["resources"].append(data)
    put_state("vlille-dev/default.tfstate", document)
    put_state("vlille-dev-bootstrap/default.tfstate", state_of())
    bucket = find_bucket(cloud.storage, settings)
    assert bucket is not None
    protected = (
        "google_bigquery_table.stations",
        "google_storage_bucket.archive",
        "google_bigquery_dataset.dataset",
    )
    addresses = (*protected, "google_bigquery_table.view", "google_pubsub_topic.topic")
    assert read_states(cloud.storage, bucket) == [
        State("vlille-dev-bootstrap", (), (), {}),
        State("vlille-dev", addresses, protected, {"google_storage_bucket.archive": "europe-west1"}),
    ]


DAMAGED: list[Any] = [
    b"",
    b"hello",
    b'{"version": 4, "resources": [{"mode"',
    b"[1]",
    b"null",
    b"{}",
    b'{"version": "4"}',
    b'{"version": 4, "resources": {}}',
    b'{"version": 4, "resources": [{"mode": "managed"}]}',
    b"\x1f\x8b\x08\x00",
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_state_is_reported_with_its_replacement(
    google: Google, cloud: Cloud, settings: Settings, content: bytes
) -> None:
    """Of three versions of the state, the last two are damaged."""
    make(cloud, settings)
    bucket = find_bucket(cloud.storage, settings)
    assert bucket is not None
    name, root = "vlille-dev/default.tfstate", f"/storage/v1/b/{bucket.name}/o"
    versions = [
        {
            "bucket": bucket.name,
            "name": name,
            "generation": str(generation),
            "updated": f"2026-11-2{generation}T10:00:00Z",
        }
        for generation in (1, 2, 3)
    ]
    download = f"GET /download{root}/{name.replace('/', '%2F')}"
    listed = [(200, {"items": versions[2:]}), (200, {"items": versions})]
    for good, words in (
        (
            state_of(TOPIC),
            "; restore its last good version, written 2026-11-21 10:00 UTC: "
            f"`gcloud storage cp gs://{bucket.name}/{name}#1 gs://{bucket.name}/{name}`",
        ),
        (
            b"also damaged",
            f", and no earlier version is one either: delete it with `gcloud storage rm gs://{bucket.name}/{name}`; "
            "the next deploy imports the resources of vlille-dev",
        ),
    ):
        google.queues = {
            f"GET {root}": list(listed),
            download: [(200, content), (200, content), (200, good)],
        }
        with pytest.raises(DamagedStateError) as caught:
            read_states(cloud.storage, bucket)
        message = str(caught.value)
        assert message.startswith(
            f"the state of vlille-dev is damaged: gs://{bucket.name}/{name} is not a state of Terraform ("
        )
        assert message.endswith(words)
        assert "\n" not in message


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (
            {"vlille-dev/default.tfstate": state_of(TOPIC)},
            r"by stack: vlille-dev \(1\); destroy these stacks",
        ),
        ({"notes.txt": "mine"}, r"holds 1 objects that are not states, such as notes\.txt"),
        ({"vlille-dev/default.tflock": {}}, r"vlille-dev/default\.tflock exists, so Terraform is running"),
    ],
)
def test_a_bucket_that_is_not_empty_is_kept(
    google: Google,
    cloud: Cloud,
    settings: Settings,
    put_state: Callable[..., None],
    *,
    objects: dict[str, Any],
    words: str,
) -> None:
    make(cloud, settings)
    put_state("vlille-dev-bootstrap/default.tfstate", state_of())
    for name, document in objects.items():
        put_state(name, document)
    bucket = find_bucket(cloud.storage, settings)
    assert bucket is not None
    with pytest.raises(OperateError, match=words):
        remove_bucket(cloud.storage, bucket)
    listed = requests.get(f"{google.emulator_url}/storage/v1/b/{bucket.name}/o", timeout=30).json()["items"]
    assert {each["name"] for each in listed} == {"vlille-dev-bootstrap/default.tfstate", *objects}


def test_a_bucket_with_empty_states_is_deleted(
    google: Google, cloud: Cloud, settings: Settings, put_state: Callable[..., None]
) -> None:
    make(cloud, settings)
    for stack in ("vlille-dev", "vlille-dev-bootstrap"):
        put_state(f"{stack}/default.tfstate", state_of())
    bucket = find_bucket(cloud.storage, settings)
    assert bucket is not None
    remove_bucket(cloud.storage, bucket)
    assert google.buckets == {}
    assert requests.get(f"{google.emulator_url}/storage/v1/b/{bucket.name}", timeout=30).status_code == 404
