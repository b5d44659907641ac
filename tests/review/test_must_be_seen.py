"""A whole review: a plan that loses data, widens access and changes one line of a function's code."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from review.__main__ import main
from tests.review.conftest import change, plan_document

pytestmark = pytest.mark.unit

OLD_CODE = "import logging\n\n\ndef collect(event):\n    rows = fetch(timeout=30)\n    load(rows)\n"
NEW_CODE = OLD_CODE.replace("timeout=30", "timeout=90")
COLUMNS = [{"name": "id", "type": "STRING"}, {"name": "adresse", "type": "STRING"}]
TABLE = {"dataset_id": "vlille", "table_id": "stations", "deletion_protection": False}
BUCKET = {"name": "archive", "location": "EUROPE-WEST1", "force_destroy": True, "storage_class": "STANDARD"}
GRANT = {
    "bucket": "b/landing",
    "role": "roles/storage.objectViewer",
    "member": "serviceAccount:c@p.iam.gserviceaccount.com",
}
FUNCTION = {
    "name": "collector",
    "service_config": [{"environment_variables": {"BUCKET": "archive"}, "uri": "https://f"}],
}
JOB = {"schedule": "* * * * *", "time_zone": "Etc/UTC", "http_target": [{"uri": "https://f/"}]}


def write_zip(path: Path, code: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("main.py", code)
        archive.writestr("requirements.txt", "requests==2.32.0\n")
    path.parent.mkdir(parents=True)
    path.write_bytes(buffer.getvalue())


def built(object_: str) -> dict[str, Any]:
    source = [{"storage_source": [{"bucket": "artifacts", "object": object_}]}]
    return {**FUNCTION, "build_config": [{"runtime": "python313", "source": source}]}


def uploaded(name: str) -> dict[str, Any]:
    return {"name": name, "bucket": "artifacts", "source": f"assets/{name}"}


CHANGES = [
    change(
        "google_bigquery_table.warehouse_stations",
        {**TABLE, "schema": json.dumps(COLUMNS)},
        {**TABLE, "schema": json.dumps(COLUMNS[:1])},
    ),
    change(
        "google_storage_bucket_iam_member.reads",
        GRANT,
        {**GRANT, "bucket": "landing", "role": "roles/storage.objectAdmin"},
        "delete",
        "create",
        replace_paths=[["role"]],
        action_reason="replace_because_cannot_update",
    ),
    change(
        "google_storage_bucket.archive",
        BUCKET,
        {**BUCKET, "location": "EU", "storage_class": "NEARLINE"},
        "delete",
        "create",
        replace_paths=[["location"]],
        action_reason="replace_because_cannot_update",
    ),
    change(
        "google_storage_bucket_object.upload_collector",
        uploaded("old/code-1111.zip"),
        uploaded("new/code-2222.zip"),
        "create",
        "delete",
        replace_paths=[["name"], ["source"]],
    ),
    change(
        "google_cloudfunctions2_function.collector", built("old/code-1111.zip"), built("new/code-2222.zip")
    ),
    change("google_cloud_scheduler_job.collect", JOB, {**JOB, "schedule": "*/2 * * * *"}),
]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """Return the plan's path; the new archive is beside it and the old one in another folder."""
    write_zip(tmp_path / "head/assets/new/code-2222.zip", NEW_CODE)
    write_zip(tmp_path / "base/assets/old/code-1111.zip", OLD_CODE)
    path = tmp_path / "head/plan.json"
    path.write_text(json.dumps(plan_document(*CHANGES)))
    return path


def test_data_access_code_and_cost_are_reported_in_order_of_severity(
    plan: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = plan.parent.parent / "base"
    assert main([str(plan), "--gate", "--name", "dev", "--base-files", str(base)]) == 2
    out, err = capfd.readouterr()
    assert err == (
        "needs acknowledgement: data loss, access widened; once acknowledged, add --acknowledged data-loss "
        "--acknowledged access-widened\n"
    )

    headline, *rest = out.splitlines()
    assert headline == (
        "### `dev`: data loss (2), access widened, code: 3 updated, 3 replaced; about $0.49 → $0.24 a month"
    )
    rows = [line for line in rest if line.startswith("|")]
    assert [row.split(" | ")[0] for row in rows if "🛑" in row or "🔓" in row or row.startswith("| code")] == [
        "| 🛑 **data loss**", "| 🛑 **data loss**", "| 🔓 **access widened**", "| code",
    ]  # fmt: skip
    bucket, column, role, code = (
        row for row in rows if "🛑" in row or "🔓" in row or row.startswith("| code")
    )
    assert "bucket `archive` is replaced because its location changes, with all its objects" in bucket
    assert "in `vlille.stations`, column `adresse` (STRING) is removed" in column
    assert "can now read, create, replace and delete the objects of" in role
    assert "new code goes live: `main.py` (+1 −1)" in code
    assert "-    rows = fetch(timeout=30)\n+    rows = fetch(timeout=90)\n" in out

    answers = {row.split("**")[1]: row.split(" | ", 1)[1] for row in rows if row.startswith("| **")}
    assert answers["Is data lost?"].startswith(
        "**yes**: bucket `google_storage_bucket.archive`, table `google_bigquery_table.warehouse_stations`"
    )
    assert answers["Who gains access?"].startswith(
        "service account `c@p.iam.gserviceaccount.com` can now read, create"
    )
    assert answers["What code goes live?"].startswith(
        "function `google_cloudfunctions2_function.collector`: new code"
    )
    assert answers["What does it cost?"].startswith(
        "About $0.49 → $0.24 a month (−$0.25): storage operations $0.47"
    )
    assert answers["Can it be reverted?"].startswith("**no**: bucket `google_storage_bucket.archive`")


def test_the_archives_of_two_stacks_are_found_beside_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for side, name, code in (
        ("base", "old/code-1111.zip", OLD_CODE),
        ("head", "new/code-2222.zip", NEW_CODE),
    ):
        write_zip(tmp_path / side / "assets" / name, code)
        resources = {
            "google_storage_bucket_object": {"upload_collector": uploaded(name)},
            "google_cloudfunctions2_function": {
                "collector": built("${google_storage_bucket_object.upload_collector.name}")
            },
        }
        (tmp_path / side / "cdk.tf.json").write_text(json.dumps({"resource": resources}))
    base, head = (str(tmp_path / side / "cdk.tf.json") for side in ("base", "head"))
    assert main(["--base", base, "--head", head, "--gate"]) == 0
    out = capfd.readouterr().out
    assert out.startswith("### code: ")
    assert "+    rows = fetch(timeout=90)" in out
    assert "Compares two synthesized stacks without credentials" in out


def test_an_image_is_reported_by_the_source_that_its_tag_comes_from(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def service(tag: str) -> dict[str, Any]:
        return {"name": "s", "template": [{"containers": [{"image": f"eu-docker.pkg.dev/p/r/copier:{tag}"}]}]}

    old, new = "copier-0123456789abcdef.zip", "copier-fedcba9876543210.zip"
    write_zip(tmp_path / "head/assets" / new, NEW_CODE)
    write_zip(tmp_path / "base/assets" / old, OLD_CODE)
    path = tmp_path / "head/plan.json"
    changes = [
        change("google_storage_bucket_object.copier", uploaded(old), uploaded(new), "create", "delete"),
        change("google_cloud_run_v2_service.s", service("0123456789abcdef"), service("fedcba9876543210")),
    ]
    path.write_text(json.dumps(plan_document(*changes)))
    assert main([str(path), "--base-files", str(tmp_path / "base"), "--format", "terminal"]) == 0
    sentence = " ".join(capfd.readouterr().out.split())
    assert "built from object google_storage_bucket_object.copier; changes: main.py (+1 −1)" in sentence


def test_an_old_archive_that_is_not_the_deployed_one_is_not_compared(
    plan: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(plan.read_text())
    object_ = next(
        each for each in found["resource_changes"] if each["type"] == "google_storage_bucket_object"
    )
    object_["change"]["before"]["md5hash"] = "1B2M2Y8AsgTpgAmY7PhCfg=="
    plan.write_text(json.dumps(found))
    main([str(plan), "--base-files", str(plan.parent.parent / "base")])
    assert "the old archive was not found, so its changes cannot be shown" in capfd.readouterr().out


def test_names_of_constructs_come_from_the_stack_beside_the_plan(
    plan: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    metadata = {"//": {"metadata": {"path": "vlille-dev/warehouse/stations"}}}
    stack = {"resource": {"google_bigquery_table": {"warehouse_stations": metadata}}}
    (plan.parent / "cdk.tf.json").write_text(json.dumps(stack))
    main([str(plan)])
    assert "table `warehouse/stations`" in capfd.readouterr().out


def test_code_that_runs_for_the_first_time_is_reported(plan: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = [
        change("google_storage_bucket_object.o", None, uploaded("new/code-2222.zip")),
        change("google_cloudfunctions2_function.f", None, built("new/code-2222.zip")),
    ]
    plan.write_text(json.dumps(plan_document(*made)))
    assert main([str(plan)]) == 0
    sentence = "new code goes live for the first time, from object `google_storage_bucket_object.o`: 2 files"
    assert sentence in capfd.readouterr().out
