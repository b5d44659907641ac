"""Old files from a bucket into the archive, on the emulator; the batch as Dataproc takes it."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from google.cloud.storage import Client as StorageClient

from cdk.settings import Settings
from copier.moving import move_legacy
from feed import Feed, unpack
from local.emulators import Emulators
from operate.backfill import backfill, changed
from operate.cloud import Cloud
from operate.errors import OperateError
from operate.place import Place
from tests.conftest import storage_client
from tests.operate.conftest import Google, refusal

CLOUD = Place("dev")
ORIGINALS = {
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
    """A bucket of originals beside a deployed environment."""

    client: StorageClient
    cloud: Cloud
    settings: Settings
    google: Google
    feeds: list[Feed]
    said: list[str] = field(default_factory=list)

    @property
    def root(self) -> str:
        return f"/dataproc/projects/{self.settings.project}/regions/{self.settings.region}"

    @property
    def source(self) -> str:
        return f"{self.settings.project}-old"

    def run(self, *, answer: bool = True, dry_run: bool = False, keep: bool = True) -> int:
        self.said.clear()
        return backfill(
            self.cloud,
            self.settings,
            CLOUD,
            self.feeds,
            source=f"gs://{self.source}",
            keep=keep,
            dry_run=dry_run,
            ask=lambda _: answer,
            say=self.said.append,
            pause=lambda _: None,
        )

    def held(self, bucket: str) -> dict[str, bytes]:
        return {blob.name: unpack(blob.download_as_bytes()) for blob in self.client.list_blobs(bucket)}

    @property
    def archived(self) -> dict[str, bytes]:
        return self.held(self.settings.bucket("archive"))


@pytest.fixture
def old(
    emulators: Emulators, cloud: Cloud, settings: Settings, google: Google, feeds: dict[str, Feed]
) -> Old:
    client = storage_client(emulators, settings.project)
    one = Old(client, cloud, settings, google, list(feeds.values()))
    for bucket in (one.source, settings.bucket("archive")):
        client.create_bucket(bucket)
    for name, content in ORIGINALS.items():
        client.bucket(one.source).blob(name).upload_from_string(content)
    operation = f"GET {one.root.replace('/dataproc/', '/dataproc/')}/operations/7"
    google.queues = {
        f"GET {one.root}/workflowTemplates/rebuild-days": [(200, TEMPLATE)] * 2,
        f"POST {one.root}/workflowTemplates:instantiateInline": [
            (200, {"name": f"{one.root.removeprefix('/dataproc/')}/operations/7"})
        ]
        * 2,
        operation: [
            (200, {"name": f"{one.root.removeprefix('/dataproc/')}/operations/7"}),
            (200, {"done": True}),
        ]
        * 2,
    }
    return one


@pytest.mark.emulator
@pytest.mark.parametrize(("dry_run", "status"), [(True, 0), (False, 1)])
def test_nothing_is_done_before_it_is_agreed_to(old: Old, dry_run: bool, status: int) -> None:
    assert old.run(dry_run=dry_run, answer=False) == status
    assert old.archived == {}
    assert old.said[0] == "to archive   2 objects, 0.00 GiB: 2 under old names, 0 under today's"
    assert any(line.startswith("cluster      4 minutes at $") for line in old.said)
    assert not any("instantiate" in call for call in old.google.calls)


@pytest.mark.emulator
def test_archived_and_rebuilt_and_the_originals_stay(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    assert old.run() == 0
    assert old.archived == ARCHIVED
    assert old.held(old.source) == ORIGINALS
    [_, (_, begun), *_] = old.google.asked
    assert begun["jobs"][0]["pysparkJob"]["args"] == [
        *("--feed", "vlille_ods", "--from", "2023-10-26", "--to", "2023-10-27"),
    ]
    assert "2 objects archived, 0 were already, 1 are left alone" in old.said[-2]
    assert old.said[-1].startswith("vlille_ods: 2023-10-26 to 2023-10-27 rebuilt")
    assert old.run() == 0
    assert "0 objects archived, 2 were already" in old.said[-2]


@pytest.mark.emulator
def test_what_fails_is_gone_on_with(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_at_one(source: Any, *rest: Any, **options: Any) -> Any:
        if "10-27" in source.name:
            raise OSError("the line is down")
        return move_legacy(source, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr("copier.sweep.move_legacy", fail_at_one)
        with pytest.raises(OperateError, match=r"1 objects failed, .*the line is down; run this again"):
            old.run(keep=False)
    assert list(old.held(old.source)) == ["data___2023-10-27_22:50:00.json", "notes.txt"]
    assert old.run(keep=False) == 0
    assert (old.archived, list(old.held(old.source))) == (ARCHIVED, ["notes.txt"])


@pytest.mark.emulator
def test_a_batch_that_fails_says_where_to_look(old: Old) -> None:
    [operation] = [call for call in old.google.queues if "operations" in call]
    old.google.queues[operation] = [(200, {"done": True, "error": {"message": "no quota"}})]
    with pytest.raises(
        OperateError, match=r"failed \(no quota\): `make logs JOB=batch ENV=dev`; run this again"
    ):
        old.run()
    assert old.archived == ARCHIVED


@pytest.mark.emulator
def test_a_bucket_without_answers_and_one_that_is_not_there(old: Old) -> None:
    for name in list(ORIGINALS)[:2]:
        old.client.bucket(old.source).blob(name).delete()
    with pytest.raises(
        OperateError, match=r"has nothing to archive, only 1 objects such as notes.txt: not a name"
    ):
        old.run()
    old.google.answers = {f"GET /storage/v1/b/{old.source}/o": refusal(404, "no such bucket")}
    with pytest.raises(OperateError, match=r"cannot be listed: .*no such bucket"):
        old.run()


@pytest.mark.unit
def test_a_template_is_changed_in_a_copy() -> None:
    once = changed(TEMPLATE, {"--feed": "trams", "--from": "2023-10-01"})
    assert once["jobs"][0]["pysparkJob"]["args"][:4] == ["--feed", "trams", "--from", "2023-10-01"]
    assert TEMPLATE["jobs"][0]["pysparkJob"]["args"][1] == "vlille_ogc"  # type: ignore[index]
    assert once.keys() == {"placement", "jobs"}
