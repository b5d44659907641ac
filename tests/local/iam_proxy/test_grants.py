"""Every grant of the stack is required: without it, a request fails with Google's 403."""

import json
import re
import shutil
from pathlib import Path

import pytest

from local.environment.environment import LocalEnvironment
from local.iam_proxy.access import AccessControl
from local.iam_proxy.denials import RequiredPermission
from local.iam_proxy.storage import object_resource
from local.services.iam import Policies
from local.workloads.builds import check_build
from tests.conftest import EXAMPLE
from tests.local.finished_run import FinishedRun, run

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[3]
COPIED = ("cdk", "commands", "local", "sources", "src")
DEMO = ("demo", "--ticks", "1", "--feed", "vlille_ods", "--replay")
GRANT = re.compile(r"google_\w+_iam_member")
# Grants without which nothing here fails, each with the reason: only the real cloud would show it.
ONLY_THE_CLOUD: dict[tuple[str, str, str], str] = {}


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
def broken(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A demo of a stack without two grants: the collector cannot land, and the Scheduler cannot call the copier."""
    code = tmp_path_factory.mktemp("code")
    for name in COPIED:
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "cdktf.json", code / "cdktf.json")
    (code / "stacks.py").write_text((ROOT / "stacks.py").read_text() + WITHOUT)
    (code / ".cache").symlink_to(ROOT / ".cache")
    path = f"{code}:{code / 'src'}"
    return run(tmp_path_factory.mktemp("broken"), *DEMO, str(EXAMPLE), PYTHONPATH=path)


def test_the_whole_pipeline_runs_under_its_roles(unusual_demo: FinishedRun) -> None:
    assert unusual_demo.code == 0, unusual_demo.output
    figures = {"rows_rebuilt": 3 * 289 - 1, "quarantined": 1, "mismatches": 0, "denied": []}
    assert {key: unusual_demo.report[key] for key in figures} == figures
    assert not [each for each in unusual_demo.used if each["denied"]]
    identities = {each["identity"].partition("@")[0] for each in unusual_demo.used}
    assert identities == {
        f"vlille-{name}"
        for name in ("batch", "build", "collector", "copier", "dashboard", "push", "scheduler")
    }


def test_without_its_grant_the_collector_lands_nothing_and_each_report_has_the_reason(
    broken: FinishedRun,
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
    # The function's own log has the error that Google's client makes of the response.
    log = (broken.folder / "logs" / "function-collector.log").read_text()
    assert (
        f"{identity} does not have storage.objects.create access to the Google Cloud Storage object. Permission "
        "'storage.objects.create' denied on resource (or it may not exist)." in log
    )
    assert re.search(denied, (broken.folder / "logs" / "local.log").read_text())


def test_without_its_grant_the_scheduler_cannot_call_the_copier(broken: FinishedRun) -> None:
    denied = (
        "403: vlille-scheduler@vlille-dev.iam.gserviceaccount.com lacks run.routes.invoke on "
        "projects/vlille-dev/locations/europe-west1/services/copier"
    )
    assert broken.report["problem"].startswith("the sweep failed with 403 The request was not authorized")
    assert denied in broken.report["problem"]
    (denial,) = broken.report["denied"][1:]
    assert re.fullmatch(re.escape(denied) + r" \(\d+ times\)", denial)


def test_every_single_grant_is_required(
    unusual_demo: FinishedRun, broken: FinishedRun, environment: LocalEnvironment
) -> None:
    """The required permissions are those that these runs used, and those of the builds, which do not run."""
    project = "vlille-dev"
    environment.project = project
    held = json.loads((unusual_demo.folder / "control_plane" / "iam" / "policies.json").read_text())
    grants = [
        (resource, binding["role"], member)
        for resource, policy in held.items()
        for binding in policy["bindings"]
        for member in binding["members"]
    ]
    stack = json.loads((unusual_demo.folder / "synth" / "stacks" / project / "cdk.tf.json").read_text())
    declared = [name for kind, named in stack["resource"].items() if GRANT.fullmatch(kind) for name in named]
    assert len(grants) == len(declared) == len(set(grants)) > 20
    for role in json.loads(
        (unusual_demo.folder / "control_plane" / "iam" / "roles.json").read_text()
    ).values():
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
        for each in [*unusual_demo.used, *broken.used, *(vars(usage) for usage in access.usages())]
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
