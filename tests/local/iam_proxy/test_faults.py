"""Injected faults in the workloads' requests to Cloud Storage and BigQuery, by Google's client libraries."""

from collections.abc import Iterator

import pytest
from google.api_core.exceptions import GoogleAPICallError, PreconditionFailed, ServiceUnavailable
from google.cloud.storage import Bucket
from requests.exceptions import ConnectionError as ConnectionBroken

from local.http import faults, proxy
from local.http.faults import Fault
from local.services.storage import Storage
from tests.local.conftest import account
from tests.local.iam_proxy.test_enforcement import IamProxySetup, iam_setup

__all__ = ["iam_setup"]

pytestmark = pytest.mark.emulator


@pytest.fixture
def bucket(iam_setup: IamProxySetup) -> Iterator[Bucket]:
    user = account(iam_setup.environment, "faulty")
    iam_setup.grant(user, f"b/{iam_setup.bucket}", "roles/storage.objectUser")
    yield iam_setup.storage(user).bucket(iam_setup.bucket)
    iam_setup.iam_proxy.faults.set(None)


def is_there(one: IamProxySetup, name: str) -> bool:
    return one.environment.service(Storage).find_object(one.bucket, name) is not None


def upload(bucket: Bucket, name: str, *, retries: bool = False) -> None:
    options = {} if retries else {"retry": None}
    bucket.blob(name).upload_from_string(b"x", if_generation_match=0, **options)


def test_the_first_requests_of_a_kind_fail_and_the_next_succeeds(
    iam_setup: IamProxySetup, bucket: Bucket
) -> None:
    iam_setup.iam_proxy.faults.set(Fault.parse("503@POST .*/ox2"))
    for name in ("a", "b"):
        with pytest.raises(ServiceUnavailable, match="injected fault"):
            upload(bucket, name)
        assert not is_there(iam_setup, name)
    upload(bucket, "c")
    assert is_there(iam_setup, "c")


def test_a_retried_request_succeeds(iam_setup: IamProxySetup, bucket: Bucket) -> None:
    iam_setup.iam_proxy.faults.set(Fault.parse("503@POST .*/o"))
    upload(bucket, "retried", retries=True)
    assert is_there(iam_setup, "retried")


@pytest.mark.parametrize(("what", "is_done"), [("drop", False), ("cut", True)])
def test_a_broken_connection_has_an_effect_only_if_it_was_cut(
    iam_setup: IamProxySetup,
    bucket: Bucket,
    what: str,
    is_done: bool,
) -> None:
    iam_setup.iam_proxy.faults.set(Fault.parse(f"{what}@POST .*/o"))
    with pytest.raises((ConnectionBroken, GoogleAPICallError)):
        upload(bucket, what)
    assert is_there(iam_setup, what) == is_done


def test_a_retried_upload_finds_its_own_object(iam_setup: IamProxySetup, bucket: Bucket) -> None:
    """The object that the collector takes for another delivery's is its own."""
    iam_setup.iam_proxy.faults.set(Fault.parse("cut@POST .*/o"))
    with pytest.raises(PreconditionFailed):
        upload(bucket, "twice", retries=True)
    assert is_there(iam_setup, "twice")


def test_a_slow_request_is_processed(
    iam_setup: IamProxySetup, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("local.http.proxy.time.sleep", slept.append)
    iam_setup.iam_proxy.faults.set(Fault.parse("slow@POST .*/o"))
    upload(bucket, "slow")
    assert (slept, is_there(iam_setup, "slow")) == ([faults.SLOW_S], True)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/storage/v1/b/p-landing/o/a%2Fb?alt=media", "/storage/v1/b/{}/o/{}"),
        ("/upload/storage/v1/b/p-landing/o?uploadType=multipart", "/upload/storage/v1/b/{}/o"),
        ("/bigquery/v2/projects/p/jobs/j?location=x", "/bigquery/v2/projects/{}/jobs/{}"),
    ],
)
def test_the_kind_of_a_request_has_no_names(target: str, kind: str) -> None:
    assert proxy.path_pattern(target) == kind
