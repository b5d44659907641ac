"""Old files of a bucket are archived, on the emulator; a test sets Dataproc's responses."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.cloud.storage import Client as StorageClient

from cdk.settings import Settings
from copier.archiving import move_legacy
from feed import Feed, decompress
from local.data_plane.emulators import Emulators
from operate.cloud import Cloud
from operate.command_line import parse
from operate.data.backfill import backfill
from operate.errors import OperateError, StoppedError
from operate.target import Target
from tests.conftest import storage_client
from tests.operate.conftest import Google

CLOUD = Target("dev")
OLD_FILES = {
    "data___2023-10-26_22:50:00.json": b'{"records": [1]}',
    "data___2023-10-27_22:50:00.json": b'{"records": [2]}',
    "notes.txt": b"mine",
}
ARCHIVED = {
    f"feed=vlille_ods/date=2023-10-{day}/hour=20/202310{day}T205000Z.json.gz": content
    for day, content in ((26, b'{"records": [1]}'), (27, b'{"records": [2]}'))
}
TEMPLATE = {
    "id": "rebuild-days",
    "version": 4,
    "parameters": [{"name": "FROM"}],
    "placement": {"managedCluster": {"clusterName": "vlille-batch"}},
    "jobs": [{"pysparkJob": {"args": ["--feed", "vlille_ogc", "--from", "yesterday", "--to", "yesterday"]}}],
}


@dataclass
class Old:
    """A bucket of old files beside a deployed environment."""

    client: StorageClient
    cloud: Cloud
    settings: Settings
    google: Google
    feeds: list[Feed]
    printed: list[str] = field(default_factory=list)

    @property
    def root(self) -> str:
        return f"/dataproc/projects/{self.settings.project}/regions/{self.settings.region}"

    @property
    def source(self) -> str:
        return f"{self.settings.project}-old"

    def run(
        self, *, confirm: Callable[[str], bool] = lambda _: True, dry_run: bool = False, keep: bool = True
    ) -> int:
        self.printed.clear()
        return backfill(
            self.cloud,
            self.settings,
            CLOUD,
            self.feeds,
            source=self.source,
            keep=keep,
            dry_run=dry_run,
            confirm=confirm,
            report=self.printed.append,
            pause=lambda _: None,
        )

    def held(self, bucket: str) -> dict[str, bytes]:
        return {blob.name: decompress(blob.download_as_bytes()) for blob in self.client.list_blobs(bucket)}

    @property
    def archived(self) -> dict[str, bytes]:
        return self.held(self.settings.bucket("archive"))


@pytest.fixture
def old(
    emulators: Emulators, cloud: Cloud, settings: Settings, google: Google, feeds: dict[str, Feed]
) -> Old:
    client = storage_client(emulators, settings.project)
    files = Old(client, cloud, settings, google, list(feeds.values()))
    for bucket in (files.source, settings.bucket("archive")):
        client.create_bucket(bucket)
    for name, content in OLD_FILES.items():
        client.bucket(files.source).blob(name).upload_from_string(content)
    operation = f"GET {files.root}/operations/7"
    google.queues = {
        f"GET {files.root}/workflowTemplates/rebuild-days": [(200, TEMPLATE)] * 3,
        f"POST {files.root}/workflowTemplates:instantiateInline": [
            (200, {"name": f"{files.root.removeprefix('/dataproc/')}/operations/7"})
        ]
        * 3,
        operation: [
            (200, {"name": f"{files.root.removeprefix('/dataproc/')}/operations/7"}),
            (200, {"done": True}),
        ]
        * 3,
    }
    return files


@pytest.mark.unit
@pytest.mark.parametrize(
    ("source", "bucket"), [("gs://old-files", "old-files"), ("gs://old-files/", "old-files"), ("old", "old")]
)
def test_a_source_is_a_bucket(source: str, bucket: str) -> None:
    assert parse(["backfill", "--env", "dev", "--source", source]).source == bucket


@pytest.mark.unit
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", "no bucket: name that of the old files, such as SOURCE=gs://old-files"),
        ("gs://", "no bucket: name that of the old files, such as SOURCE=gs://old-files"),
        ("gs://old/2023", "gs://old/2023: expected a bucket without an object path, such as gs://old-files"),
    ],
)
def test_another_source_is_refused(source: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["backfill", "--env", "dev", "--source", source])
    assert expected in capsys.readouterr().err


@pytest.mark.emulator
@pytest.mark.parametrize(("dry_run", "status"), [(True, 0), (False, 1)])
def test_nothing_is_archived_without_a_confirmation(old: Old, dry_run: bool, status: int) -> None:
    assert old.run(dry_run=dry_run, confirm=lambda _: False) == status
    assert old.archived == {}
    assert old.printed[0] == "to archive   2 objects, 0.00 GiB: 2 under old names, 0 under today's"
    assert any(line.startswith("cluster      4 minutes at $") for line in old.printed)
    assert not any("instantiate" in call for call in old.google.calls)


@pytest.mark.emulator
def test_objects_are_archived_days_rebuilt_and_old_files_kept(
    old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert old.run() == 0
    assert old.archived == ARCHIVED
    assert old.held(old.source) == OLD_FILES
    [_, (query, begun), *_] = old.google.received
    assert begun["jobs"][0]["pysparkJob"]["args"] == [
        *("--feed", "vlille_ods", "--from", "2023-10-26", "--to", "2023-10-27"),
    ]
    assert "2 objects archived, 0 were archived before, 1 skipped" in old.printed[-2]
    assert old.printed[-1].startswith("vlille_ods: 2023-10-26 to 2023-10-27 rebuilt")
    assert old.run() == 0
    assert "0 objects archived, 2 were archived before" in old.printed[-2]
    assert old.google.received[-3][0]["requestId"] == query["requestId"]  # the same work


@pytest.mark.emulator
def test_a_second_run_continues_after_a_failure(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_at_one(source: Any, *rest: Any, **options: Any) -> Any:
        if "10-27" in source.name:
            raise OSError("the line is down")
        return move_legacy(source, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr("copier.sweep.move_legacy", fail_at_one)
        with pytest.raises(OperateError, match=r"1 objects failed, .*the line is down; run this again"):
            old.run(keep=False)
    assert OLD_FILES.items() <= old.held(old.source).items()
    assert old.run(keep=False) == 0
    assert (old.archived, list(old.held(old.source))) == (ARCHIVED, ["notes.txt"])
    assert old.printed[-1] == "2 old files deleted, each copy verified"


@pytest.mark.emulator
@pytest.mark.parametrize("keep", [True, False])
def test_ctrl_c_during_archiving_loses_nothing(old: Old, monkeypatch: pytest.MonkeyPatch, keep: bool) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("copier.sweep.move_legacy", stopping_at_one)
        expected = (
            "what is archived stays, and no table was changed; run this again: it continues where it stopped"
        )
        with pytest.raises(StoppedError, match=expected):
            old.run(keep=keep)
    assert OLD_FILES.items() <= old.held(old.source).items()
    assert old.run(keep=keep) == 0
    assert old.archived == ARCHIVED


@pytest.mark.emulator
def test_a_second_run_continues_after_ctrl_c_during_deletion(
    old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert old.run() == 0
    with monkeypatch.context() as patch:
        patch.setattr("copier.sweep.move_legacy", stopping_where_not_kept)
        with pytest.raises(StoppedError, match="the days are rebuilt, and the remaining old files stay"):
            old.run(keep=False)
    assert "data___2023-10-27_22:50:00.json" in old.held(old.source)
    assert old.run(keep=False) == 0
    assert (old.archived, list(old.held(old.source))) == (ARCHIVED, ["notes.txt"])


def stopping_at_one(source: Any, *rest: Any, **options: Any) -> Any:
    if "10-27" in source.name:
        raise KeyboardInterrupt
    return move_legacy(source, *rest, **options)


def stopping_where_not_kept(source: Any, *rest: Any, keep: bool, **options: Any) -> Any:
    return (move_legacy if keep else stopping_at_one)(source, *rest, keep=keep, **options)
