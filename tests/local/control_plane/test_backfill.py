"""A backfill of old files: from a bucket into the archive, and by the batch into tables."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cdk.settings import Settings, load_environments
from feed import decompress, load_feeds
from local.control_plane.server import ControlPlane
from local.data_plane.emulators import Emulators
from local.environment.clock import RealClock
from local.environment.environment import LocalEnvironment
from local.iam_proxy.enforcement import IamProxy
from local.runs.report import count_rows
from local.services import HANDLERS
from local.services.dataproc import Dataproc
from local.services.storage import Storage
from local.stack.applying import apply
from local.stack.loading import load_stack
from operate.cloud import Cloud, connect
from operate.data.backfill import backfill
from operate.errors import OperateError, StoppedError
from operate.target import Target
from tests.conftest import ENVIRONMENTS, start_empty_emulators, storage_client
from tests.local.control_plane.test_provider import ENTRIES

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[3]
PROJECT = "vlille-dev"
OLD = "old-files"
MINUTES = ("10-26_22:50", "10-26_22:51", "10-27_23:10")


@pytest.fixture
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulators]:
    """Emulators for a single test, because the project's name is that of the stack."""
    with start_empty_emulators(tmp_path_factory) as one:
        yield one


@pytest.fixture
def environment(
    new_environment: Callable[..., LocalEnvironment],
    emulators: Emulators,
    clock: RealClock,
    stack_folder: Path,
) -> Iterator[LocalEnvironment]:
    """The stack of dev; its grants decide what workloads may do."""
    one = replace(new_environment(emulators), project=PROJECT, clock=clock, stack_folder=stack_folder)
    iam_proxy = one.service(IamProxy)
    one.workload_endpoints = iam_proxy.workload_endpoints
    apply(load_stack(stack_folder), one, HANDLERS, lambda _resource, _what: None)
    yield one
    iam_proxy.close()


@dataclass
class OldFiles:
    """Old files in a bucket beside the deployed stack."""

    environment: LocalEnvironment
    cloud: Cloud
    settings: Settings
    contents: dict[str, bytes]
    printed: list[str] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        """Wait for that time, or until the run has ended."""
        self.environment.service(Dataproc).workflows[-1].finished.wait(seconds)

    def run(self, pause: Callable[[float], None] | None = None) -> int:
        return backfill(
            self.cloud,
            self.settings,
            Target("dev", self.environment.folder),
            list(load_feeds(ROOT / "sources").values()),
            source=OLD,
            keep=True,
            dry_run=False,
            confirm=lambda _: True,
            report=self.printed.append,
            pause=pause or self.wait,
        )

    def held(self, bucket: str) -> dict[str, bytes]:
        client = storage_client(Emulators(self.environment.gcs_url, self.environment.bigquery_url), PROJECT)
        return {blob.name: decompress(blob.download_as_bytes()) for blob in client.list_blobs(bucket)}

    @property
    def rows(self) -> int:
        return count_rows(self.environment, f"{PROJECT}.vlille.vlille_ods")


@pytest.fixture
def old_files(plane: ControlPlane, environment: LocalEnvironment) -> OldFiles:
    """The template as Terraform's provider sent it, with the names of the current stack."""
    cloud = connect(PROJECT, plane.variables())
    [sent] = [each["body"] for each in ENTRIES if each["target"].endswith("/workflowTemplates?alt=json")]
    [kept] = environment.service(Dataproc).templates.list()
    template = sent | {part: kept[part] for part in ("jobs", "parameters")}
    region = f"projects/{PROJECT}/locations/{environment.region}"
    cloud.call("POST", f"{cloud.endpoints.dataproc}{region}/workflowTemplates", json=template)
    cloud.call("POST", f"{cloud.endpoints.storage}b", json={"name": OLD})
    sample = (ROOT / "sources" / "vlille_ods" / "sample.json").read_bytes()
    contents = {f"data___2023-{minute}:00.json": sample for minute in MINUTES}
    for name, content in contents.items():
        environment.service(Storage).put_object(OLD, name, content, "application/json", {})
    dev = load_environments(ENVIRONMENTS, ["vlille_gbfs"], only="dev")["dev"]
    return OldFiles(environment, cloud, replace(dev, project=PROJECT), contents)


def test_old_files_become_rows_and_an_abandoned_run_is_waited_for(old_files: OldFiles) -> None:
    def leave(_seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(
        StoppedError, match=r"continues in the local environment \(`make down ENV=dev` would end it\)"
    ):
        old_files.run(pause=leave)
    assert old_files.run() == 0
    [workflow] = old_files.environment.service(Dataproc).workflows
    records = len(json.loads(old_files.contents[f"data___2023-{MINUTES[0]}:00.json"])["records"])
    assert workflow.summaries["rebuild"]["rows_loaded"] == old_files.rows == 3 * records
    assert old_files.printed[-2:] == [
        "0 objects archived, 3 were archived before, 0 skipped",
        "vlille_ods: 2023-10-26 to 2023-10-27 rebuilt; the table batch_runs has the run statistics",
    ]
    assert old_files.held(OLD) == old_files.contents
    assert sorted(old_files.held(old_files.settings.bucket("archive"))) == [
        "feed=vlille_ods/date=2023-10-26/hour=20/20231026T205000Z.json.gz",
        "feed=vlille_ods/date=2023-10-26/hour=20/20231026T205100Z.json.gz",
        "feed=vlille_ods/date=2023-10-27/hour=21/20231027T211000Z.json.gz",
    ]


def test_a_batch_without_read_permission_is_reported(old_files: OldFiles) -> None:
    policies = old_files.environment.collection("iam", "policies")
    bucket = f"b/{old_files.settings.bucket('archive')}"
    reader = f"serviceAccount:{old_files.settings.service_account('batch')}"
    bindings = [binding for binding in policies.get(bucket)["bindings"] if reader not in binding["members"]]
    policies.put(bucket, policies.get(bucket) | {"bindings": bindings})
    with pytest.raises(OperateError, match=r"(?s)is archived and not rebuilt: .*403.*make logs"):
        old_files.run()
    assert (len(old_files.held(old_files.settings.bucket("archive"))), old_files.rows) == (3, 0)
