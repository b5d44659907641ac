"""The cost of a month: how often each resource runs, what it costs, and what is not known."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review.cost.calls import count_monthly_runs
from review.cost.estimate import Cost, estimate_cost
from review.cost.price_book import load_price_book
from review.errors import ReviewError
from review.findings.text import strip_markup
from tests.review.conftest import build_context, change, review_changes

pytestmark = pytest.mark.unit

BOOK = load_price_book()
JOB, TOPIC, PUSH = "google_cloud_scheduler_job.j", "google_pubsub_topic.t", "google_pubsub_subscription.s"
FUNCTION, BUCKET = "google_cloudfunctions2_function.f", "google_storage_bucket.b"
TEMPLATE = "google_dataproc_workflow_template.w"


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * *", 43_800),
        ("*/10 * * * *", 4_380),
        ("30 3 * * *", 365 / 12),
        ("0 0 1 * *", 1),
        ("0 0 * * MON-FRI", 261 / 12),
        (
            "0 0 13 * FRI",
            (12 + 52 - 1) / 12,
        ),  # cron matches the 13th or a Friday; in 2025 one day is both
        ("0 0 L * *", 1),
        ("0 9,17 * 1 *", 31 * 2 / 12),
        ("every 5 minutes", None),
        ("", None),
        ("99 * * * *", None),
        ("1," * 90 + "1 * * * *", 730),
        ("1," * 900, None),
    ],
)
def test_a_schedule_is_counted_over_a_year(schedule: str, expected: float | None) -> None:
    found = count_monthly_runs(schedule)
    assert found == (None if expected is None else pytest.approx(expected))


@given(st.text(alphabet="0123456789*/,- LW#", max_size=20))
def test_no_schedule_raises_or_runs_more_often_than_each_minute(schedule: str) -> None:
    found = count_monthly_runs(schedule)
    assert found is None or 0 <= found <= 43_800


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("e2-standard-4", (4, 16, "e2")),
        ("n1-standard-4", (4, 15, "n1")),
        ("n2-highmem-8", (8, 64, "n2")),
        ("n2-highcpu-8", (8, 8, "n2")),
        ("n1-highcpu-16", (16, 14.4, "n1")),
        ("n2-custom-6-20480", (6, 20, "n2")),
        ("custom-2-4096", (2, 4, "n1")),
        ("e2-medium", (1, 4, "e2")),
        ("zones/z/machineTypes/e2-standard-2", (2, 8, "e2")),
        ("x9-standard-4", None),
        ("", None),
    ],
)
def test_machines_have_a_shape(type_: str, expected: tuple[float, float, str] | None) -> None:
    assert BOOK.find_machine(type_) == expected


def system(**changed: Any) -> list[dict[str, Any]]:
    """Return a schedule → topic → push → function with a bucket, and a nightly batch."""
    resources: dict[str, dict[str, Any]] = {
        JOB: {"schedule": "* * * * *", "pubsub_target": [{"topic_name": "projects/p/topics/t"}]},
        TOPIC: {"name": "t", "id": "projects/p/topics/t"},
        PUSH: {"topic": "projects/p/topics/t", "push_config": [{"push_endpoint": "https://f.run.app"}]},
        FUNCTION: {
            "name": "f",
            "service_config": [
                {"uri": "https://f.run.app", "available_memory": "512Mi", "environment_variables": {"B": "b"}}
            ],
        },
        BUCKET: {
            "name": "b",
            "lifecycle_rule": [{"action": [{"type": "Delete"}], "condition": [{"age": 7}]}],
        },
        "google_cloud_scheduler_job.n": {
            "schedule": "0 3 * * *",
            "http_target": [
                {
                    "uri": "https://dataproc.googleapis.com/v1/projects/p/regions/r/workflowTemplates/w:instantiate"
                }
            ],
        },
        TEMPLATE: {
            "name": "w",
            "placement": [
                {
                    "managed_cluster": [
                        {
                            "config": [
                                {
                                    "master_config": [
                                        {
                                            "num_instances": 1,
                                            "machine_type": "e2-standard-4",
                                            "disk_config": [{"boot_disk_size_gb": 50}],
                                        }
                                    ],
                                    "software_config": [
                                        {"properties": {"dataproc:dataproc.allow.zero.workers": "true"}}
                                    ],
                                }
                            ]
                        }
                    ]
                }
            ],
        },
    }
    return [
        change(address, values, {**values, **changed.get(address, {})})
        for address, values in resources.items()
    ]


def counted(*changes: dict[str, Any], **more: Any) -> Cost:
    found = estimate_cost(build_context(*changes, **more), BOOK)
    assert found is not None
    return found


def after(found: Cost) -> dict[str, float]:
    return {strip_markup(line.what): round(line.month, 2) for line in found.after if line.month >= 0.005}


def test_a_month_is_counted_from_the_schedules_on() -> None:
    found = counted(*system())
    assert after(found) == {
        "storage operations": 0.47,  # 2 writes and 2 reads × 43,800
        f"batch {TEMPLATE}": 0.39,  # 30.4 runs of 4 minutes
    }
    assert found.is_unchanged
    assert found.headline == "about $0.86 a month, before and after"
    basis = {strip_markup(line.what): strip_markup(line.basis) for line in found.after}
    assert basis[f"batch {TEMPLATE}"] == "122 Dataproc minutes: 30 runs of 4 minutes on 1 × e2-standard-4"
    assert basis[f"bucket {BUCKET}"] == "7 days of 25 KiB per call, 0.24 GiB"


def test_a_batch_twice_a_day_costs_twice() -> None:
    found = counted(*system(**{"google_cloud_scheduler_job.n": {"schedule": "0 3,15 * * *"}}))
    assert found.totals[1] - found.totals[0] == pytest.approx(0.385, abs=0.01)
    assert found.answer.startswith("About $0.86 → $1.25 a month (+$0.39): batch")


def test_data_kept_for_longer_costs_more() -> None:
    kept = {"lifecycle_rule": [{"action": [{"type": "Delete"}], "condition": [{"age": 3650}]}]}
    found = counted(*system(**{BUCKET: kept}))
    assert after(found)[f"bucket {BUCKET}"] == pytest.approx(2.51, abs=0.05)


def test_a_paused_schedule_calls_nothing() -> None:
    assert after(counted(*system(**{JOB: {"paused": True}}))) == {f"batch {TEMPLATE}": 0.39}


def test_references_replace_values_that_are_not_known_yet() -> None:
    configuration = {
        "root_module": {
            "resources": [
                {
                    "address": JOB,
                    "expressions": {
                        "pubsub_target": [{"topic_name": {"references": [f"{TOPIC}.id", TOPIC]}}]
                    },
                },
                {
                    "address": PUSH,
                    "expressions": {
                        "topic": {"references": [f"{TOPIC}.id", TOPIC]},
                        "push_config": [{"push_endpoint": {"references": [f"{FUNCTION}.url", FUNCTION]}}],
                    },
                },
            ]
        }
    }
    new = [
        change(
            JOB,
            None,
            {"schedule": "* * * * *", "pubsub_target": [{}]},
            unknown={"pubsub_target": [{"topic_name": True}]},
        ),
        change(TOPIC, None, {"name": "t"}, unknown={"id": True}),
        change(
            PUSH,
            None,
            {"push_config": [{}]},
            unknown={"topic": True, "push_config": [{"push_endpoint": True}]},
        ),
        change(FUNCTION, None, {"name": "f", "service_config": [{"environment_variables": {"B": "b"}}]}),
        change(BUCKET, None, {"name": "b"}),
    ]
    assert after(counted(*new, configuration=configuration))["storage operations"] == 0.47


def writer(*, known: bool) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a table that the function's service account may write to, and the configuration of the references."""
    account, table = "google_service_account.a", "google_bigquery_table.rows"
    email = "a@p.iam.gserviceaccount.com"
    service = {"available_memory": "512Mi", "timeout_seconds": 100, "uri": "https://f.run.app"}
    grant = {"role": "roles/bigquery.dataEditor"}
    if known:
        service |= {"service_account_email": email}
        grant |= {"member": f"serviceAccount:{email}", "table_id": "rows"}
    references = {
        FUNCTION: {
            "service_config": [{"service_account_email": {"references": [f"{account}.email", account]}}]
        },
        "google_bigquery_table_iam_member.g": {
            "member": {"references": [f"{account}.member", account]},
            "table_id": {"references": [f"{table}.table_id", table]},
        },
    }
    resources = [
        *system(**{FUNCTION: {"service_config": [service]}}),
        change(account, None, {"account_id": "a"}),
        change(table, None, {"table_id": "rows"}),
        change("google_bigquery_table.other", None, {"table_id": "other"}),
        change("google_bigquery_table_iam_member.g", None, grant),
    ]
    expressions = [{"address": address, "expressions": each} for address, each in references.items()]
    return resources, {} if known else {"configuration": {"root_module": {"resources": expressions}}}


@pytest.mark.parametrize("known", [True, False])
def test_a_table_is_counted_by_the_calls_of_its_writer(*, known: bool) -> None:
    resources, configuration = writer(known=known)
    basis = {each.what: each.basis for each in counted(*resources, **configuration).after}
    assert basis["BigQuery storage"].startswith("1 table, 2.06 GiB at 50 KiB per call")


def test_the_highest_amount_of_functions_is_stated() -> None:
    """43,800 calls of 100 s: 0.29 vCPU and 0.5 GiB, beyond 180,000 vCPU seconds and 360,000 GiB seconds."""
    resources, _ = writer(known=True)
    found = counted(*resources)
    assert [each.month for each in found.at_most] == [pytest.approx(30.74, abs=0.01)]
    expected = "functions and services: at most $30.74 if every scheduled call ran until its timeout"
    assert expected in [strip_markup(line) for line in found.details[0].lines]
    assert counted(*system()).at_most == ()


MACHINES: dict[str, tuple[dict[str, Any], float]] = {
    "google_compute_instance": (
        {"machine_type": "e2-standard-2", "boot_disk": [{"initialize_params": [{"size": 20}]}]},
        54.61,
    ),
    "google_compute_disk": ({"size": 100, "type": "pd-ssd"}, 17.0),
    "google_sql_database_instance": ({"settings": [{"tier": "db-custom-2-8192", "disk_size": 10}]}, 102.88),
    "google_redis_instance": ({"memory_size_gb": 1, "tier": "BASIC"}, 35.77),
    "google_container_cluster": ({}, 73.0),
    "google_dataproc_cluster": (
        {"cluster_config": [{"master_config": [{"machine_type": "n1-standard-4"}]}]},
        605.33,
    ),
    "google_cloud_run_v2_service": (
        {
            "template": [
                {
                    "scaling": [{"min_instance_count": 1}],
                    "containers": [{"resources": [{"limits": {"cpu": "1"}}]}],
                }
            ]
        },
        9.86,
    ),
}


@pytest.mark.parametrize("type_", MACHINES)
def test_resources_that_always_run_are_counted_by_the_hour(type_: str) -> None:
    values, month = MACHINES[type_]
    found = counted(change(f"{type_}.x", None, values))
    assert found.totals[0] == 0
    assert found.totals[1] == pytest.approx(month, abs=0.02)


def test_resources_that_cannot_be_counted_are_listed() -> None:
    found = counted(
        change("google_compute_instance.x", None, {"machine_type": "x9-mega-1"}),
        change("google_spanner_instance.y", None, {"name": "y"}),
        change(JOB, None, {"schedule": "every full moon"}),
    )
    lines = [strip_markup(line) for line in found.details[0].lines]
    assert f"not known, and not in the total: schedule {JOB} (how often it runs)" in lines
    assert "not known, and not in the total: compute instance google_compute_instance.x (x9-mega-1)" in lines
    assert "not counted: google_spanner_instance" in lines
    assert "list prices of europe-west1 as of 2026-11; `--prices` overrides them" in lines


def test_the_months_cost_is_a_part_of_the_review() -> None:
    found = review_changes(*system(**{"google_cloud_scheduler_job.n": {"schedule": "0 3,15 * * *"}}))
    assert found.cost is not None
    assert found.cost.as_json(str)["after"] == pytest.approx(1.25, abs=0.01)
    assert ("change", "changes: about $0.86 → $1.25") in [
        (each.severity.label, each.sentence) for each in found.findings
    ]


def test_a_month_that_costs_much_more_needs_care() -> None:
    found = review_changes(
        change("google_redis_instance.r", None, {"memory_size_gb": 5, "tier": "BASIC"})
    ).findings
    assert (found[0].severity.label, found[0].sentence) == ("needs care", "changes: about $0.00 → $98.55")


def test_a_users_prices_override_the_tables() -> None:
    mine = {"as_of": "2027-01", "prices": {"scheduler_job_month": 5}, "free": {"scheduler_jobs": 0}}
    found = estimate_cost(build_context(*system()), load_price_book(json.dumps(mine).encode()))
    assert found is not None
    assert {strip_markup(line.what): line.month for line in found.after}["schedules"] == 10
    assert "as of 2027-01" in found.details[0].lines[-1]


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (b"x", "not JSON"),
        (b"[]", "not a JSON object"),
        (
            b'{"prices": {"scheduler_job_month": "much"}}',
            "prices.scheduler_job_month: expected a number of 0 or more",
        ),
        (b'{"prices": {"scheduler_job_month": -1}}', "expected a number of 0 or more"),
        (b'{"assumptions": {"cal_seconds": 1}}', "assumptions.cal_seconds"),
        (b'{"assumptions": 5}', "assumptions: expected a number of 0 or more"),
        (b'{"machines": {"e2-micro": "x"}}', "machines.e2-micro: expected a pair of vCPUs and GiB"),
        (
            b'{"prices": {"vcpu_hour": {"x9": true}}}',
            "prices.vcpu_hour.x9: expected a number of 0 or more",
        ),
        (b'{"as_of": 5}', "as_of: expected a text"),
        (b'{"price": {}}', "price"),
    ],
)
def test_invalid_prices_are_refused(given_: bytes, message: str) -> None:
    with pytest.raises(ReviewError, match=message):
        load_price_book(given_)


def create(type_: str, **values: Any) -> dict[str, Any]:
    return change(f"{type_}.x", None, {"name": "x", **values})


POOL = {"cluster": "c", "node_count": 3, "node_config": [{"machine_type": "e2-standard-4"}]}
SERVICE = {"resources": [{"limits": {"cpu": "2", "memory": "1Gi"}, "cpu_idle": False}]}
# Changes, and the dollars of each line after the apply, computed by hand from the price lists.
MONTHS: dict[str, tuple[list[dict[str, Any]], dict[str, float]]] = {
    "a pool of a region has its nodes in three zones": (
        [create("google_container_node_pool", location="europe-west1", **POOL)],
        {"nodes google_container_node_pool.x": 968.52, "node disks google_container_node_pool.x": 90.0},
    ),
    "a pool of a zone has them once": (
        [create("google_container_node_pool", location="europe-west1-b", **POOL)],
        {"nodes google_container_node_pool.x": 322.84, "node disks google_container_node_pool.x": 30.0},
    ),
    "a pool is where its cluster is": (
        [
            create("google_container_cluster", location="europe-west1", remove_default_node_pool=True),
            create("google_container_node_pool", **{**POOL, "cluster": "x"}),
        ],
        {
            "cluster google_container_cluster.x": 73.0,
            "nodes google_container_node_pool.x": 968.52,
            "node disks google_container_node_pool.x": 90.0,
        },
    ),
    "the default pool of a cluster counts": (
        [create("google_container_cluster", location="europe-west1-b", initial_node_count=1)],
        {
            "cluster google_container_cluster.x": 73.0,
            "nodes google_container_cluster.x": 26.90,
            "node disks google_container_cluster.x": 10.0,
        },
    ),
    "CPU that is always allocated": (
        [
            create(
                "google_cloud_run_v2_service",
                template=[{"scaling": [{"min_instance_count": 1}], "containers": [SERVICE]}],
            )
        ],
        {"minimum instances of google_cloud_run_v2_service.x": 99.86},
    ),
    "a gateway is paid for by its VMs": (
        [
            create("google_compute_router_nat", region="europe-west1"),
            *(
                change(f'google_compute_instance.m["{each}"]', None, {"zone": "europe-west1-b"})
                for each in range(3)
            ),
        ],
        {"NAT gateway google_compute_router_nat.x ($1.02 per VM, $32.12 at most)": 3.07},
    ),
    "and up to a most": (
        [
            create("google_compute_router_nat", region="europe-west1"),
            *(
                change(f'google_compute_instance.m["{each}"]', None, {"zone": "europe-west1-b"})
                for each in range(50)
            ),
        ],
        {"NAT gateway google_compute_router_nat.x ($1.02 per VM, $32.12 at most)": 32.12},
    ),
    "large caches cost less a GiB": (
        [create("google_redis_instance", memory_size_gb=40, tier="STANDARD_HA")],
        {"cache google_redis_instance.x": 1109.60},
    ),
    "an address that nothing uses costs twice": (
        [change("google_compute_address.x", {"users": []}, {"users": []})],
        {"addresses": 7.30},
    ),
    "a group is as large as its target size": (
        [
            create(
                "google_compute_instance_template", machine_type="e2-standard-2", disk=[{"disk_size_gb": 20}]
            ),
            create(
                "google_compute_instance_group_manager", target_size=3, version=[{"instance_template": "x"}]
            ),
        ],
        {"VMs of google_compute_instance_group_manager.x": 163.82},
    ),
    "a VM of another region has its prices": (
        [create("google_compute_instance", machine_type="e2-standard-2", zone="us-central1-a")],
        {"VM google_compute_instance.x": 49.32},
    ),
    "a stopped database keeps its disk": (
        [
            create(
                "google_sql_database_instance",
                settings=[{"tier": "db-custom-2-8192", "disk_size": 10, "activation_policy": "NEVER"}],
            )
        ],
        {"database google_sql_database_instance.x": 1.70},
    ),
}


@pytest.mark.parametrize("what", MONTHS)
def test_months_are_counted(what: str) -> None:
    changes, lines = MONTHS[what]
    assert after(counted(*changes)) == pytest.approx(lines, abs=0.011)


# What is not known, and how the answer lists it; never an amount of zero.
UNKNOWN = {
    "a machine type without a price": (
        create("google_compute_instance", machine_type="a2-highgpu-1g"),
        "not known: compute instance google_compute_instance.x (a2-highgpu-1g)",
    ),
    "a GPU": (
        create(
            "google_compute_instance",
            machine_type="n1-standard-4",
            guest_accelerator=[{"type": "nvidia-tesla-t4", "count": 1}],
        ),
        "not known: compute instance google_compute_instance.x (GPU nvidia-tesla-t4)",
    ),
    "an edition": (
        create(
            "google_sql_database_instance",
            settings=[{"tier": "db-custom-2-8192", "edition": "ENTERPRISE_PLUS"}],
        ),
        "not known: sql database instance google_sql_database_instance.x "
        "(db-custom-2-8192 of edition ENTERPRISE_PLUS)",
    ),
    "a kind of disk": (
        create("google_compute_disk", size=10, type="pd-mystery"),
        "not known: compute disk google_compute_disk.x (pd-mystery)",
    ),
    "VMs whose template is elsewhere": (
        create("google_compute_instance_group_manager", target_size=3),
        "not known: compute instance group manager google_compute_instance_group_manager.x "
        "(its size, or the template of its VMs)",
    ),
    "a type that is not counted": (
        create("google_spanner_instance", num_nodes=3),
        "not counted: google_spanner_instance",
    ),
    "another provider's": (create("aws_instance"), "not counted: aws_instance"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_the_answer_lists_what_the_amount_leaves_out(what: str) -> None:
    made_, sentence = UNKNOWN[what]
    found = counted(made_)
    assert strip_markup(found.answer).endswith(sentence)
    assert "about $0.00" not in f"{found.answer} {found.headline}".lower()


def test_a_region_without_prices_names_the_region_whose_prices_are_used() -> None:
    found = counted(create("google_compute_disk", size=10, zone="me-west1-a"))
    assert strip_markup(found.answer).endswith("counted at the prices of europe-west1: me-west1")


def test_services_are_counted_where_the_users_prices_have_them() -> None:
    mine = {
        "prices": {"spanner_node_hour": 1.0, "bigtable_node_hour": 0.5, "gpu_hour": {"nvidia-tesla-t4": 0.35}}
    }
    changes = [
        create("google_spanner_instance", processing_units=500),
        create("google_bigtable_instance", cluster=[{"num_nodes": 3}, {"num_nodes": 1}]),
    ]
    found = estimate_cost(build_context(*changes), load_price_book(json.dumps(mine).encode()))
    assert found is not None
    assert found.not_counted_changed == ()
    assert after(found) == {
        "spanner instance google_spanner_instance.x": 365.0,
        "bigtable instance google_bigtable_instance.x": 1460.0,
    }


def test_every_price_names_its_source() -> None:
    prices, sources = BOOK.table["prices"], BOOK.table["sources"]
    assert not [name for name in prices if not name.startswith(tuple(sources))]
    assert not [each for each in sources if not any(name.startswith(each) for name in prices)]
    assert all(url.startswith("https://cloud.google.com/") for url in sources.values())
    assert all(set(each["prices"]) <= set(prices) for each in BOOK.regions.values())


def test_a_users_price_file_with_a_region_counts_resources_without_a_region() -> None:
    mine = {"region": "europe-west4", "as_of": "2027-01", "prices": {"disk_gib_month": {"pd-standard": 1.0}}}
    book = load_price_book(json.dumps(mine).encode())
    found = estimate_cost(
        build_context(
            create("google_compute_disk", size=10, type="pd-standard"),
            change(
                "google_compute_disk.y", None, {"size": 10, "type": "pd-standard", "zone": "europe-west1-b"}
            ),
        ),
        book,
    )
    assert found is not None
    assert after(found) == {"disk google_compute_disk.x": 10.0, "disk google_compute_disk.y": 0.4}
    assert found.region == "europe-west4"


def test_a_service_without_a_schedule_counts_with_the_calls_that_are_assumed() -> None:
    service = {"name": "page", "template": [{"containers": [{"image": "i"}]}]}
    found = review_changes(change("google_cloud_run_v2_service.x", None, service)).cost
    assert found is not None
    basis = {strip_markup(each.what): each.basis for each in found.after}
    assert basis["functions and services"].startswith(
        "10,000 assumed calls of services without a schedule, 1 s"
    )


def test_alerts_are_not_counted_without_a_price_and_by_their_conditions_with_one() -> None:
    alert = change("google_monitoring_alert_policy.x", None, {"display_name": "a", "conditions": [{}, {}]})
    without = review_changes(alert).cost
    assert without is not None
    assert strip_markup(without.answer) == "not counted: google_monitoring_alert_policy"
    book = load_price_book(json.dumps({"prices": {"alert_condition_month": 0.5}}).encode())
    found = estimate_cost(build_context(alert), book)
    assert found is not None
    assert found.totals == (0.0, 1.0)
