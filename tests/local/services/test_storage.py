"""Buckets and objects of a stack in the emulator."""

from pathlib import Path
from typing import Any

import pytest
import requests

from local.environment.environment import LocalEnvironment
from local.errors import LocalError, NotFoundError, ServiceError
from local.services.storage import HANDLERS, Storage, bucket_as_rest
from local.stack.loading import Resource

BUCKET = {
    "name": "demo-landing",
    "location": "europe-west1",
    "uniform_bucket_level_access": True,
    "public_access_prevention": "enforced",
    "soft_delete_policy": {"retention_duration_seconds": 0},
    "versioning": [{"enabled": False}],
    "labels": {"environment": "dev"},
    "lifecycle_rule": [{"action": {"type": "Delete"}, "condition": {"age": 30, "with_state": "ARCHIVED"}}],
}


def make(environment: LocalEnvironment, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return HANDLERS[kind](Resource(f"{kind}.r", kind, "r", {}), arguments, environment)


def bucket_arguments(environment: LocalEnvironment, **more: Any) -> dict[str, Any]:
    """Return a bucket's arguments with a unique name."""
    return BUCKET | {"name": f"{environment.project}-landing"} | more


@pytest.mark.unit
def test_settings_as_in_the_json_api() -> None:
    assert bucket_as_rest(BUCKET) == {
        "name": "demo-landing",
        "location": "EUROPE-WEST1",
        "storageClass": "STANDARD",
        "labels": {"environment": "dev"},
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": True},
            "publicAccessPrevention": "enforced",
        },
        "lifecycle": {
            "rule": [{"action": {"type": "Delete"}, "condition": {"age": 30, "withState": "ARCHIVED"}}]
        },
        "softDeletePolicy": {"retentionDurationSeconds": 0},
        "versioning": {"enabled": False},
    }


@pytest.mark.emulator
def test_bucket(environment_with_emulators: LocalEnvironment) -> None:
    environment = environment_with_emulators
    attributes = make(environment, "google_storage_bucket", bucket_arguments(environment))
    name = f"{environment.project}-landing"
    assert (
        attributes.items()
        >= {"id": name, "name": name, "url": f"gs://{name}", "location": "EUROPE-WEST1"}.items()
    )
    assert requests.get(f"{environment.gcs_url}/storage/v1/b/{name}", timeout=10).status_code == 200
    assert environment.service(Storage).buckets.get(name)["softDeletePolicy"] == {
        "retentionDurationSeconds": 0
    }
    assert [sentence.split(":")[0] for sentence in environment.unsupported] == [
        "google_storage_bucket.uniform_bucket_level_access",
        "google_storage_bucket.public_access_prevention",
        "google_storage_bucket.soft_delete_policy",
        "google_storage_bucket.versioning",
        "google_storage_bucket.lifecycle_rule",
    ]


@pytest.mark.emulator
def test_an_updated_bucket_keeps_its_objects(
    environment_with_emulators: LocalEnvironment,
) -> None:
    environment = environment_with_emulators
    name = make(environment, "google_storage_bucket", bucket_arguments(environment))["name"]
    service = environment.service(Storage)
    service.put_object(name, "a/b.txt", b"here", "text/plain", {})
    make(environment, "google_storage_bucket", bucket_arguments(environment, labels={"environment": "prod"}))
    assert service.buckets.get(name)["labels"] == {"environment": "prod"}
    found = service.find_object(name, "a/b.txt")
    assert found is not None
    assert found["size"] == "4"


@pytest.mark.emulator
@pytest.mark.parametrize("given", [{"source": "assets/x/code.zip"}, {"content": "zip bytes é"}])
def test_object(environment_with_emulators: LocalEnvironment, given: dict[str, str]) -> None:
    environment, content = environment_with_emulators, "zip bytes é".encode()
    (environment.stack_folder / "assets" / "x").mkdir(parents=True)
    (environment.stack_folder / "assets" / "x" / "code.zip").write_bytes(content)
    bucket = make(environment, "google_storage_bucket", bucket_arguments(environment))["name"]
    arguments = {"bucket": bucket, "name": "functions/a b+é.zip", "content_type": "application/zip"}
    attributes = make(environment, "google_storage_bucket_object", arguments | given)
    assert attributes["id"] == f"{bucket}-functions/a b+é.zip"
    assert attributes["output_name"] == "functions/a b+é.zip"
    assert attributes["media_link"].endswith(f"?generation={attributes['generation']}&alt=media")
    url = f"{environment.gcs_url}/storage/v1/b/{bucket}/o/functions%2Fa%20b%2B%C3%A9.zip"
    described = requests.get(url, timeout=10).json()
    assert (described["contentType"], described["md5Hash"]) == ("application/zip", attributes["md5hash"])
    assert requests.get(f"{url}?alt=media", timeout=10).content == content


@pytest.mark.emulator
def test_the_same_object_is_not_uploaded_again(environment_with_emulators: LocalEnvironment) -> None:
    environment = environment_with_emulators
    bucket = make(environment, "google_storage_bucket", bucket_arguments(environment))["name"]
    arguments = {"bucket": bucket, "name": "o", "content": "one", "metadata": {"k": "v"}}
    first = make(environment, "google_storage_bucket_object", arguments)
    again = make(environment, "google_storage_bucket_object", arguments)
    changed = make(environment, "google_storage_bucket_object", arguments | {"content": "two"})
    assert first["generation"] == again["generation"] != changed["generation"]


@pytest.mark.emulator
def test_the_error_of_a_missing_source_names_the_folder(environment_with_emulators: LocalEnvironment) -> None:
    arguments = {"bucket": "b", "name": "o", "source": "assets/gone.zip"}
    with pytest.raises(
        LocalError, match=r"'assets/gone\.zip' cannot be read in .*synthesize the stack again"
    ):
        make(environment_with_emulators, "google_storage_bucket_object", arguments)


@pytest.mark.emulator
def test_object_in_a_missing_bucket(environment_with_emulators: LocalEnvironment) -> None:
    with pytest.raises(ServiceError, match="status 404"):
        make(
            environment_with_emulators,
            "google_storage_bucket_object",
            {"bucket": "no", "name": "o", "content": "x"},
        )


@pytest.mark.emulator
def test_delete_bucket(environment_with_emulators: LocalEnvironment) -> None:
    environment = environment_with_emulators
    name = make(environment, "google_storage_bucket", bucket_arguments(environment))["name"]
    service = environment.service(Storage)
    service.delete_bucket(name)
    assert requests.get(f"{environment.gcs_url}/storage/v1/b/{name}", timeout=10).status_code == 404
    with pytest.raises(NotFoundError):
        service.delete_bucket(name)


@pytest.mark.emulator
def test_an_unknown_argument_is_reported(environment_with_emulators: LocalEnvironment) -> None:
    make(
        environment_with_emulators,
        "google_storage_bucket",
        bucket_arguments(environment_with_emulators, rpo="ASYNC_TURBO"),
    )
    assert (
        "google_storage_bucket.rpo: unknown to the local run, so it has no effect"
        in environment_with_emulators.unsupported
    )


@pytest.mark.unit
def test_settings_survive_on_disk(environment: LocalEnvironment, tmp_path: Path) -> None:
    environment.collection("storage", "buckets").put("b", {"name": "b"})
    file = tmp_path / "test" / "control_plane" / "storage" / "buckets.json"
    assert '"name": "b"' in file.read_text()
