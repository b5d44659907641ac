"""checkov on the synthesized stacks: no check fails, and every skip is needed."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cdk.conftest import Synthesis

pytestmark = pytest.mark.synth

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".cache" / "checkov" / "bin" / "python"
CONFIGURATION = ROOT / ".checkov.yaml"
TIMEOUT_S = 120
SKIP = re.compile(r"^  - (CKV2?_GCP_\d+) # \S", re.MULTILINE)


def checkov(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Run checkov in a folder without configuration, and return its exit code and report."""
    if not PYTHON.exists():
        pytest.fail("checkov is not installed: run `make checkov` once, it installs what is pinned")
    done = subprocess.run(
        [str(PYTHON), "-m", "checkov.main", "--output", "json", *arguments],
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


def failed(report: dict[str, Any], stack: str = "") -> set[str]:
    return {
        check["check_id"] for check in report["results"]["failed_checks"] if f"/{stack}" in check["file_path"]
    }


def test_no_check_fails(synthesis: Synthesis) -> None:
    code, report = checkov(
        "--config-file", str(CONFIGURATION), "--directory", str(synthesis.outdir / "stacks")
    )
    assert failed(report) == set()
    assert code == 0
    # For a file that checkov cannot parse, its report is empty and passes.
    assert report["check_type"] == "terraform_json"
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 100


def test_every_skip_is_needed_and_what_is_broken_is_found(synthesis: Synthesis, tmp_path: Path) -> None:
    broken = json.loads(json.dumps(synthesis.stacks["dev"]))
    del broken["resource"]["google_storage_bucket"]["storage_archive"]["public_access_prevention"]
    broken["resource"]["google_project_iam_member"]["batch_batch_runs_jobs"]["role"] = "roles/editor"
    for name in ("vlille-dev", "vlille-prod"):
        (tmp_path / name).mkdir()
        shutil.copy(synthesis.outdir / "stacks" / name / "cdk.tf.json", tmp_path / name)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "cdk.tf.json").write_text(json.dumps(broken), "utf-8")
    code, report = checkov("--framework", "terraform_json", "--skip-download", "--directory", str(tmp_path))
    assert code == 1
    skipped = SKIP.findall(CONFIGURATION.read_text("utf-8"))
    assert failed(report, "vlille-") == set(skipped)
    assert len(skipped) == len(set(skipped)) == CONFIGURATION.read_text("utf-8").count("\n  - ")
    assert failed(report, "broken") - set(skipped) == {"CKV_GCP_49", "CKV_GCP_114", "CKV_GCP_117"}
