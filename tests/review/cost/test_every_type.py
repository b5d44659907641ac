"""No answer about money is silent about a type that is billed, whatever the plan does with it."""

from typing import Any

import pytest

from review.cost.estimate import Cost, estimate_cost
from review.cost.price_book import load_price_book
from review.cost.registry import COUNTED
from review.findings.text import strip_markup
from review.google_cloud.resource_types import is_kind, read_types
from tests.review.conftest import build_context, change

pytestmark = pytest.mark.unit

BOOK = load_price_book()
BILLED = sorted(each for each in read_types() if is_kind(each, "costs"))
UNKNOWN = ["google_future_thing", "aws_instance", "datadog_monitor"]
OLD, NEW = {"name": "x"}, {"name": "y"}
CACHE = change("google_redis_instance.cache", None, {"memory_size_gb": 1, "tier": "BASIC"})


def estimate(*changes: dict[str, Any]) -> Cost | None:
    return estimate_cost(build_context(*changes), BOOK)


@pytest.mark.parametrize(("before", "after"), [(None, NEW), (OLD, NEW), (OLD, None)])
def test_a_billed_type_is_counted_or_named(
    before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    assert len(BILLED) > 250
    for type_ in [*BILLED, *UNKNOWN]:
        found = estimate(change(f"{type_}.x", before, after))
        assert found is not None, type_
        assert found.before or found.after or type_ in strip_markup(found.answer), (type_, found.answer)
        assert not found.answer.lower().startswith("nothing"), type_


def test_a_type_that_is_not_counted_is_named_beside_one_that_is() -> None:
    for type_ in [*BILLED, *UNKNOWN]:
        found = estimate(change(f"{type_}.x", None, NEW), CACHE)
        assert found is not None, type_
        if type_ not in COUNTED:
            assert strip_markup(found.answer).endswith(f"not counted: {type_}"), (type_, found.answer)


# What a plan does not contain about a type that is counted, and how the review names it.
PARTS = {
    "a bucket that nothing writes to by schedule": (
        change("google_storage_bucket.b", None, {"name": "b"}),
        "not counted: stored data of google_storage_bucket",
    ),
    "a table that nothing writes to by schedule": (
        change("google_bigquery_table.t", None, {"table_id": "t"}),
        "not counted: stored data of google_bigquery_table",
    ),
    "a job without a schedule": (
        change("google_cloud_run_v2_job.j", None, {"name": "j"}),
        "not counted: runs of google_cloud_run_v2_job",
    ),
    "a template without a schedule": (
        change("google_dataproc_workflow_template.w", None, {"name": "w"}),
        "not counted: runs of google_dataproc_workflow_template",
    ),
    "a topic that nothing publishes to by schedule": (
        change("google_pubsub_topic.t", None, {"name": "t"}),
        "not counted: messages of google_pubsub_topic",
    ),
    "a GPU that is reserved": (
        change(
            "google_compute_reservation.r",
            None,
            {
                "specific_reservation": [
                    {
                        "count": 1,
                        "instance_properties": [
                            {
                                "machine_type": "n1-standard-4",
                                "guest_accelerators": [
                                    {"accelerator_type": "nvidia-tesla-t4", "accelerator_count": 1}
                                ],
                            }
                        ],
                    }
                ]
            },
        ),
        "not known: compute reservation google_compute_reservation.r (GPU nvidia-tesla-t4)",
    ),
    "a GPU of a Dataproc cluster": (
        change(
            "google_dataproc_cluster.c",
            None,
            {
                "cluster_config": [
                    {
                        "worker_config": [
                            {
                                "num_instances": 2,
                                "accelerators": [
                                    {"accelerator_type": "nvidia-tesla-t4", "accelerator_count": 1}
                                ],
                            }
                        ]
                    }
                ]
            },
        ),
        "not known: dataproc cluster google_dataproc_cluster.c (GPU nvidia-tesla-t4)",
    ),
}


@pytest.mark.parametrize("what", PARTS)
def test_a_part_that_a_plan_does_not_tell_is_named(what: str) -> None:
    made, sentence = PARTS[what]
    found = estimate(made)
    assert found is not None
    assert strip_markup(found.answer).endswith(sentence), found.answer


def test_a_resource_that_stores_nothing_costs_nothing() -> None:
    assert estimate(change("google_bigquery_table.v", None, {"view": [{"query": "SELECT 1"}]})) is None
    assert estimate(change("google_compute_global_address.a", None, {"address_type": "INTERNAL"})) is None
    assert estimate(change("google_project_iam_custom_role.r", None, {"role_id": "r"})) is None
