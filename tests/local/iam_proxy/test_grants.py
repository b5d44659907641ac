"""Every grant of the stack is required: without it, a request fails with Google's 403."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.environment.environment import LocalEnvironment
from local.iam_proxy.access import AccessControl
from local.iam_proxy.denials import RequiredPermission
from local.iam_proxy.storage import object_resource
from local.services.iam import Policies
from local.workloads.builds import check_build
from tests.conftest import EXAMPLE

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[3]
DEADLINE_S = 240
COPIED = ("cdk", "commands", "local", "sources", "src")
WORDS = ("demo", "--ticks", "1", "--feed", "vlille_ods", "--replay")
GRANT = re.compile(r"google_\w+_iam_member")
# Grants without which nothing here fails, each with the reason: only the real cloud would show it.
ONLY_THE_CLOUD: dict[tuple[str, str, str], str] = {}


@dataclass(frozen=True)
class FinishedDemo:
    """A finished demo; `used` has the permissions that it used."""

    code: int
    output: str
    folder: Path
    report: dict[str, Any]
    used: list[dict[str, Any]]


def demo(code: Path, cwd: Path, response_file: Path) -> FinishedDemo:
    """Run a demo of one tick with a copy of the code."""
    environment = {**os.environ, "PYTHONPATH": f"{code}:{code / 'src'}", "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "local", *WORDS, str(response_file)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    folder = cwd / ".local" / "dev"
    report, used = (json.loads((folder / name).read_text()) for name in ("report.json", "access.json"))
    return FinishedDemo(done.returncode, done.stdout + done.stderr, folder, report, used)


REMOVED = (
    "google_storage_bucket_iam_member.collection_collector_creates_landing",
    "google_cloud_run_v2_service_iam_member.archiving_scheduler_invokes_copier",
)
# What is added to a copy of stacks.py: the synthesized stack without these grants.
WITHOUT = f"""
import json

file = Path(os.environ["CDKTF_OUTDIR"], "stacks", "vlille-dev", "cdk.tf.json")
stack, removed = json.loads(file.read_text()), {REMOVED!r}
for address in removed:
    kind, name = address.split(".")
    del stack["resource"][kind][name]
for named in stack["resource"].values():
    for arguments in named.values():
        arguments["depends_on"] = [each for each in arguments.get("depends_on", []) if each not in removed]
file.write_text(json.dumps(stack))
"""


@pytest.fixture(scope="module")
def response_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full-size response, with one record without a key for the quarantine."""
    damaged = json.loads(EXAMPLE.read_text())
    damaged["records"][0]["fields"]["libelle"] = "many"
    file = tmp_path_factory.mktemp("answer") / "answer.json"
    file.write_text(json.dumps(damaged))
    return file


@pytest.fixture(scope="module")
def whole(response_file: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedDemo:
    """A demo of the stack as it is."""
    return demo(ROOT, tmp_path_factory.mktemp("whole"), response_file)


@pytest.fixture(scope="module")
def broken(response_file: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedDemo:
    """A demo of a stack without two grants: the collector cannot land, and the Scheduler cannot call the copier."""
    code = tmp_path_factory.mktemp("code")
    for name in COPIED:
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "cdktf.json", code / "cdktf.json")
    (code / "stacks.py").write_text((ROOT / "stacks.py").read_text() + WITHOUT)
    (code / ".cache").symlink_to(ROOT / ".cache")
    return demo(code, tmp_path_factory.mktemp("broken"), response_file)


def test_the_whole_pipeline_runs_under_its_roles(whole: FinishedDemo) -> None:
    assert whole.code == 0, whole.output
    assert (whole.report["rows_rebuilt"], whole.report["quarantined"], whole.report["mismatches"]) == (
        288,
        1,
        0,
    )
    assert whole.report["denied"] == []
    assert not [each for each in whole.used if each["denied"]]
    identities = {each["identity"].partition("@")[0] for each in whole.used}
    assert identities == {
        f"vlille-{name}"
        for name in ("batch", "build", "collector", "copier", "dashboard", "push", "scheduler")
    }


def test_without_its_grant_the_collector_lands_nothing_and_each_report_has_the_reason(
    broken: FinishedDemo,
) -> None:
    bucket, identity = "vlille-dev-landing", "vlille-collector@vlille-dev.iam.gserviceaccount.com"
    denied = rf"403: {identity} lacks storage\.objects\.create on projects/_/buckets/{bucket}/objects/vlille_ods/\S+"
    assert broken.code == 1
    report = broken.report
    assert (report["objects_landed"], report["rows_streamed"], report["dead_letters"]) == (0, 0, 1)
    denial = report["denied"][0]
    assert re.fullmatch(denied + r" \(10 times\)", denial)
    assert denial in report["problem"]
    assert denial in broken.output
    # The function's own log has what Google's client makes of the answer.
    log = (broken.folder / "logs" / "function-collector.log").read_text()
    assert (
        f"{identity} does not have storage.objects.create access to the Google Cloud Storage object. Permission "
        "'storage.objects.create' denied on resource (or it may not exist)." in log
    )
    assert re.search(denied, (broken.folder / "logs" / "local.log").read_text())


def test_without_its_grant_the_scheduler_cannot_call_the_copier(broken: FinishedDemo) -> None:
    denied = (
        "403: vlille-scheduler@vlille-dev.iam.gserviceaccount.com lacks run.routes.invoke on "
        "projects/vlille-dev/locations/europe-west1/services/copier"
    )
    assert broken.report["problem"].startswith("the sweep failed with 403 The request was not authorized")
    assert denied in broken.report["problem"]
    (denial,) = broken.report["denied"][1:]
    assert re.fullmatch(re.escape(denied) + r" \(\d+ times\)", denial)


def test_every_single_grant_is_required(
    whole: FinishedDemo, broken: FinishedDemo, environment: LocalEnvironment
) -> None:
    """The required permissions are those that these runs used, and those of the builds, which do not run."""
    project = "vlille-dev"
    environment.project = project
    held = json.loads((whole.folder / "control" / "iam" / "policies.json").read_text())
    grants = [
        (resource, binding["role"], member)
        for resource, policy in held.items()
        for binding in policy["bindings"]
        for member in binding["members"]
    ]
    stack = json.loads((whole.folder / "synth" / "stacks" / project / "cdk.tf.json").read_text())
    declared = [name for kind, named in stack["resource"].items() if GRANT.fullmatch(kind) for name in named]
    assert len(grants) == len(declared) == len(set(grants)) > 20
    for role in json.loads((whole.folder / "control" / "iam" / "roles.json").read_text()).values():
        environment.collection("iam", "roles").put(role["name"], role)
    policies, access = environment.service(Policies), environment.service(AccessControl)
    for resource, policy in held.items():
        policies.replace(resource, policy["bindings"])
    check_build(
        environment,
        f"vlille-build@{project}.iam.gserviceaccount.com",
        object_resource(f"{project}-artifacts", "copier/copier-0.zip"),
        f"projects/{project}/locations/europe-west1/repositories/vlille",
    )
    needed = {
        (each["identity"], RequiredPermission(each["permission"], each["resource"]))
        for each in [*whole.used, *broken.used, *(vars(usage) for usage in access.usages())]
        if each["allowed"]
    }
    assert all(access.is_allowed(identity, need) for identity, need in needed)
    idle = set()
    for resource, role, member in grants:
        bindings = [
            binding
            | {"members": [each for each in binding["members"] if (binding["role"], each) != (role, member)]}
            for binding in held[resource]["bindings"]
        ]
        policies.replace(resource, bindings)
        denied = [(identity, need) for identity, need in needed if not access.is_allowed(identity, need)]
        # Nobody else loses anything.
        assert {f"serviceAccount:{identity}" for identity, _ in denied} <= {member}
        if not denied:
            idle.add((member, role, resource))
        policies.replace(resource, held[resource]["bindings"])
    assert idle == set(ONLY_THE_CLOUD)
