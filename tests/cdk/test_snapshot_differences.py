"""How a stack that differs from its snapshot is described."""

from typing import Any

import pytest

from tests.cdk.conftest import find_differences

pytestmark = pytest.mark.unit

BUCKET = {"name": "landing", "location": "EUROPE-WEST1"}


def stack(**buckets: dict[str, str]) -> dict[str, Any]:
    return {"resource": {"google_storage_bucket": buckets}, "output": {"url": {"value": "u"}}}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (stack(landing=BUCKET), []),
        (stack(landing=BUCKET, exports=BUCKET), ["google_storage_bucket.exports is new"]),
        (stack(), ["google_storage_bucket.landing is gone"]),
        (stack(landing=BUCKET | {"name": "l"}), ["google_storage_bucket.landing has changed: name"]),
        (
            stack(landing={"location": "US", "labels": "l"}),
            ["google_storage_bucket.landing has changed: labels, location, name"],
        ),
        (stack(landing=BUCKET) | {"output": {}}, ["output has changed: url"]),
        (stack(landing=BUCKET) | {"data": {"google_project": {}}}, ["data is new"]),
    ],
)
def test_differences_from_a_snapshot_are_named(found: dict[str, Any], expected: list[str]) -> None:
    assert list(find_differences(stack(landing=BUCKET), found)) == expected
