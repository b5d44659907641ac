"""Calls of the workloads to Cloud Storage and BigQuery that fail on demand, by the real clients."""

from collections.abc import Iterator

import pytest
from google.api_core.exceptions import GoogleAPICallError, PreconditionFailed, ServiceUnavailable
from google.cloud.storage import Bucket
from requests.exceptions import ConnectionError as ConnectionBroken

from local.http import faults, proxy
from local.http.faults import Fault
from local.services.storage import Storage
from tests.local.conftest import account
from tests.local.iam_proxy.test_enforcement import Guarded, here

__all__ = ["here"]

pytestmark = pytest.mark.emulator


@pytest.fixture
def bucket(here: Guarded) -> Iterator[Bucket]:
    user = account(here.environment, "faulty")
    here.grant(user, f"b/{here.bucket}", "roles/storage.objectUser")
    yield here.storage(user).bucket(here.bucket)
    here.guard.faults.set(None)


def is_there(one: Guarded, name: str) -> bool:
    return one.environment.service(Storage).find_object(one.bucket, name) is not None


def upload(bucket: Bucket, name: str, *, retries: bool = False) -> None:
    options = {} if retries else {"retry": None}
    bucket.blob(name).upload_from_string(b"x", if_generation_match=0, **options)


def test_the_first_calls_of_a_kind_are_refused_and_the_next_one_succeeds(
    here: Guarded, bucket: Bucket
) -> None:
    here.guard.faults.set(Fault.parse("503@POST .*/ox2"))
    for name in ("a", "b"):
        with pytest.raises(ServiceUnavailable, match="injected fault"):
            upload(bucket, name)
        assert not is_there(here, name)
    upload(bucket, "c")
    assert is_there(here, "c")


def test_what_the_client_retries_succeeds(here: Guarded, bucket: Bucket) -> None:
    here.guard.faults.set(Fault.parse("503@POST .*/o"))
    upload(bucket, "retried", retries=True)
    assert is_there(here, "retried")


@pytest.mark.parametrize(("what", "is_done"), [("drop", False), ("cut", True)])
def test_a_connection_that_ends_leaves_the_effect_or_not(
    here: Guarded,
    bucket: Bucket,
    what: str,
    is_done: bool,
) -> None:
    here.guard.faults.set(Fault.parse(f"{what}@POST .*/o"))
    with pytest.raises((ConnectionBroken, GoogleAPICallError)):
        upload(bucket, what)
    assert is_there(here, what) == is_done


def test_an_upload_whose_response_is_lost_meets_its_own_object(here: Guarded, bucket: Bucket) -> None:
    """What the collector takes for another delivery's object is its own."""
    here.guard.faults.set(Fault.parse("cut@POST .*/o"))
    with pytest.raises(PreconditionFailed):
        upload(bucket, "twice", retries=True)
    assert is_there(here, "twice")


def test_a_slow_call_is_done(here: Guarded, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("local.http.proxy.time.sleep", slept.append)
    here.guard.faults.set(Fault.parse("slow@POST .*/o"))
    upload(bucket, "slow")
    assert (slept, is_there(here, "slow")) == ([faults.SLOW_S], True)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/storage/v1/b/p-landing/o/a%2Fb?alt=media", "/storage/v1/b/{}/o/{}"),
        ("/upload/storage/v1/b/p-landing/o?uploadType=multipart", "/upload/storage/v1/b/{}/o"),
        ("/bigquery/v2/projects/p/jobs/j?location=x", "/bigquery/v2/projects/{}/jobs/{}"),
    ],
)
def test_a_kind_has_no_names(target: str, kind: str) -> None:
    assert proxy.path_pattern(target) == kind
