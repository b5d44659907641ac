"""Start a batch run in Dataproc, wait for it and report it."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cdk.settings import Settings
from operate.cloud import Cloud
from operate.data.rebuild import BatchRebuild, customize_template, derive_request_id, describe_failure
from operate.errors import OperateError, StoppedError
from operate.target import Target
from tests.operate.conftest import Google, Response, refusal

DAYS = {date(2023, 10, 26), date(2023, 10, 27)}
LOCAL = Target("dev", Path(".local/dev"))
CLOUD = Target("dev")
TEMPLATE: dict[str, Any] = {
    "id": "rebuild-days",
    "version": 4,
    "parameters": [{"name": "FROM"}],
    "placement": {"managedCluster": {"clusterName": "vlille-batch"}},
    "jobs": [{"pysparkJob": {"args": ["--feed", "vlille_ogc", "--from", "yesterday", "--to", "yesterday"]}}],
}


def make_operation(**metadata: Any) -> dict[str, Any]:
    return {"done": True, "metadata": metadata}


def steps(*nodes: dict[str, str]) -> dict[str, Any]:
    return make_operation(graph={"nodes": list(nodes)}, state="DONE")


@pytest.mark.unit
@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"done": True}, ""),
        (steps({"stepId": "rebuild", "state": "COMPLETED"}), ""),
        (make_operation(createCluster={"done": True}, deleteCluster={"error": "busy"}), ""),
        ({"done": True, "error": {"code": 13, "message": "no quota"}}, "no quota"),
        ({"done": True, "error": {"code": 13}}, "no reason given"),
        (
            {"done": True, "error": {"code": 1, "message": "by ada"}},
            "it was cancelled before its end (by ada)",
        ),
        (make_operation(createCluster={"error": "no subnet"}), "no subnet"),
        # Seen in 2018: a step that failed, and an operation without an error.
        (
            steps({"stepId": "rebuild", "state": "FAILED", "error": "Agent reports job failure."})
            | {"response": {}},
            "Agent reports job failure.",
        ),
        (steps({"stepId": "rebuild", "state": "FAILED"}), "step rebuild failed"),
        (steps({"state": "FAILED", "error": "a\n"}) | {"error": {"code": 13, "message": "a"}}, "a"),
    ],
)
def test_the_reason_of_a_failed_run_is_reported(operation: dict[str, Any], expected: str) -> None:
    assert describe_failure(operation) == expected


@pytest.mark.unit
def test_a_template_is_changed_in_a_copy() -> None:
    once = customize_template(TEMPLATE, {"--feed": "trams", "--from": "2023-10-01"})
    assert once["jobs"][0]["pysparkJob"]["args"][:4] == ["--feed", "trams", "--from", "2023-10-01"]
    assert TEMPLATE["jobs"][0]["pysparkJob"]["args"][1] == "vlille_ogc"
    assert once.keys() == {"placement", "jobs"}


@pytest.mark.unit
def test_the_same_work_has_the_same_request_id() -> None:
    first = derive_request_id(TEMPLATE, "2 100 0 0")
    assert len(first) == 36
    assert first == derive_request_id(dict(reversed(TEMPLATE.items())), "2 100 0 0")
    assert first != derive_request_id(TEMPLATE, "3 150 0 0")
    assert first != derive_request_id(customize_template(TEMPLATE, {"--to": "2023-10-01"}), "2 100 0 0")


@dataclass
class StubbedRebuild:
    """A rebuild with Dataproc's responses set by a test; it records what is printed, and the waits."""

    cloud: Cloud
    settings: Settings
    google: Google
    printed: list[str] = field(default_factory=list)
    paused: list[float] = field(default_factory=list)

    @property
    def region(self) -> str:
        return f"projects/{self.settings.project}/regions/{self.settings.region}"

    def set_responses(self, *operations: Response, begun: Response | None = None) -> None:
        """Set the responses: the template exists, its run starts, and its operation is polled once per response."""
        root, name = f"/dataproc/{self.region}", f"{self.region}/operations/7"
        self.google.queues = {
            f"GET {root}/workflowTemplates/rebuild-days": [(200, TEMPLATE)],
            f"POST {root}/workflowTemplates:instantiateInline": [begun or (200, {"name": name})],
            f"GET /dataproc/{name}": list(operations),
        }

    def rebuild(self, target: Target = CLOUD, pause: Callable[[float], None] | None = None) -> str:
        batch = BatchRebuild(
            self.cloud, self.settings, target, "AGAIN", self.printed.append, pause or self.paused.append
        )
        return batch.rebuild("vlille_ods", DAYS, "2 100 0 0")


@pytest.fixture
def rebuild(cloud: Cloud, settings: Settings, google: Google) -> StubbedRebuild:
    return StubbedRebuild(cloud, settings, google)


@pytest.mark.emulator
@pytest.mark.parametrize(("target", "seconds"), [(CLOUD, 10.0), (LOCAL, 1.0)])
def test_a_run_is_started_once_and_polled_until_it_ends(
    rebuild: StubbedRebuild, target: Target, seconds: float
) -> None:
    rebuild.set_responses((200, {"done": False}), (200, {"done": True, "response": {}}))
    rebuild.rebuild(target)
    assert rebuild.paused == [seconds, seconds]
    [_, (query, once), *_] = rebuild.google.received
    assert once["jobs"][0]["pysparkJob"]["args"] == [
        *("--feed", "vlille_ods", "--from", "2023-10-26", "--to", "2023-10-27"),
    ]
    assert query == {"requestId": [derive_request_id(once, "2 100 0 0")]}
    assert rebuild.printed == [
        "vlille_ods: 2023-10-26 to 2023-10-27 rebuilt; the table batch_runs has the run statistics"
    ]


WHAT = "vlille_ods, 2023-10-26 to 2023-10-27,"


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("target", "begun", "operation", "expected"),
    [
        (
            CLOUD,
            refusal(409, "it runs"),
            None,
            f"{WHAT} is being rebuilt already (it runs): AGAIN",
        ),
        (
            LOCAL,
            refusal(404, "no"),
            None,
            f"{WHAT} is archived and not rebuilt: not found: run `make deploy ENV=dev TO=local`",
        ),
        (
            CLOUD,
            None,
            (200, {"done": True, "error": {"code": 13, "message": "no quota"}}),
            f"{WHAT} is archived and not rebuilt: no quota\n`make logs JOB=batch ENV=dev` says more; AGAIN",
        ),
        (
            CLOUD,
            None,
            refusal(404, "no"),
            f"{WHAT} is archived, and the process that ran its rebuild has ended: AGAIN",
        ),
        (
            CLOUD,
            None,
            refusal(403, "not you"),
            f"{WHAT} is archived, and the state of its rebuild is unknown (403 not you): it may continue: AGAIN",
        ),
    ],
)
def test_a_run_that_cannot_start_or_fails_is_reported(
    rebuild: StubbedRebuild, target: Target, begun: Response | None, operation: Response | None, expected: str
) -> None:
    rebuild.set_responses(*filter(None, [operation]), begun=begun)
    with pytest.raises(OperateError) as raised:
        rebuild.rebuild(target)
    assert str(raised.value) == expected


@pytest.mark.emulator
def test_a_cluster_that_was_not_deleted_is_reported(rebuild: StubbedRebuild) -> None:
    rebuild.set_responses((200, make_operation(deleteCluster={"error": "busy"})))
    assert rebuild.rebuild() == (
        f"{WHAT} is rebuilt, and its cluster was not deleted (busy): `make orphans ENV=dev` prints the command that "
        "deletes it"
    )


@pytest.mark.emulator
def test_a_local_environment_that_ended_is_reported(rebuild: StubbedRebuild) -> None:
    rebuild.set_responses()
    with pytest.raises(OperateError, match="the process that ran its rebuild has ended: AGAIN"):
        rebuild.rebuild(LOCAL, pause=lambda _: rebuild.google.close())


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("target", "where"),
    [
        (LOCAL, "in the local environment (`make down ENV=dev` would end it)"),
        (CLOUD, "in Google Cloud ({region}/operations/7)"),
    ],
)
def test_ctrl_c_reports_what_continues(rebuild: StubbedRebuild, target: Target, where: str) -> None:
    def stop(_seconds: float) -> None:
        raise KeyboardInterrupt

    rebuild.set_responses()
    with pytest.raises(StoppedError) as stopped:
        rebuild.rebuild(target, pause=stop)
    assert str(stopped.value) == (
        f"the rebuild of {WHAT} continues {where.format(region=rebuild.region)}; run this again to wait for it, "
        "or see batch_runs"
    )


@pytest.mark.unit
def test_a_backfill_does_not_rebuild_gbfs_systems() -> None:
    [job] = TEMPLATE["jobs"]
    packs = {
        "stepId": "rebuild-gbfs",
        "prerequisiteStepIds": ["rebuild"],
        "pysparkJob": {"args": ["--feed", "gbfs"]},
    }
    both = TEMPLATE | {"jobs": [{"stepId": "rebuild", **job}, packs]}
    once = customize_template(both, {"--from": "2023-10-01"})
    assert [each["stepId"] for each in once["jobs"]] == ["rebuild"]


@pytest.mark.unit
def test_the_commands_of_the_page_rebuild_gbfs_systems_alone() -> None:
    page = (Path(__file__).parents[3] / "docs" / "gbfs.md").read_text("utf-8")
    script = page.split("--format=json |\n  python3 -c '")[1].partition("' > ")[0]
    [feed] = TEMPLATE["jobs"]
    packs = {
        "stepId": "rebuild-gbfs",
        "prerequisiteStepIds": ["rebuild"],
        "pysparkJob": {"args": ["--feed", "gbfs", "--from", "yesterday", "--to", "yesterday"]},
        "scheduling": {"maxFailuresTotal": 1},
    }
    both = TEMPLATE | {"dagTimeout": "3600s", "jobs": [{"stepId": "rebuild", **feed}, packs]}
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(both), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {
        "placement": TEMPLATE["placement"],
        "dagTimeout": "3600s",
        "jobs": [
            {
                "stepId": "rebuild-gbfs",
                "pysparkJob": {"args": ["--feed", "gbfs", "--from", "2026-11-20", "--to", "2026-11-24"]},
                "scheduling": {"maxFailuresTotal": 1},
            }
        ],
    }
