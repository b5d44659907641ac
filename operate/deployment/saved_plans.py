"""The files of a saved plan: made without a lock, read as JSON, reviewed, and applied unchanged or not at all."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Blob
from google.cloud.storage import Client as StorageClient

from operate.errors import OperateError
from operate.state.state_files import RETRY

OBJECT = "google_storage_bucket_object"
MOST_BYTES = 256 * 1024 * 1024  # of a deployed artifact, as in the review


@dataclass(frozen=True)
class SavedPlan:
    """The folder of one environment's plan, which may contain secrets: only the review reads it."""

    folder: Path

    @property
    def plan(self) -> Path:
        """Terraform's plan file, which can be applied."""
        return self.folder / "plan"

    @property
    def json(self) -> Path:
        """The output of `terraform show -json`."""
        return self.folder / "plan.json"

    @property
    def log(self) -> Path:
        """What Terraform printed, which may contain values that a review masks."""
        return self.folder / "terraform.log"

    @property
    def replaced_artifacts(self) -> Path:
        """The folder of deployed artifacts that the plan deletes, below the paths that they were uploaded from."""
        return self.folder / "replaced"

    def renew(self) -> None:
        """Delete the files of an earlier plan, so that they are not mistaken for this one."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700, parents=True)


def fetch_replaced_artifacts(client: StorageClient, saved: SavedPlan) -> list[str]:
    """Download each deployed artifact that the plan replaces; return a message for each that cannot be downloaded.

    The review compares the code in them with the new code.
    """
    problems: list[str] = []
    for bucket, name, source in _replaced(json.loads(saved.json.read_bytes())):
        try:
            _fetch(client.bucket(bucket).blob(name), saved.replaced_artifacts / source)
        except (GoogleAPICallError, GoogleAuthError, RetryError, OperateError) as error:
            problems.append(f"the deployed {name} cannot be compared: {error}")
    return problems


def _replaced(plan: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield bucket, name and source path of each uploaded file that the plan deletes."""
    for each in plan.get("resource_changes", []):
        change = each["change"]
        before = change.get("before") or {}
        if each["type"] != OBJECT or "delete" not in change["actions"]:
            continue
        found = tuple(before.get(key) for key in ("bucket", "name", "source"))
        if all(isinstance(value, str) and value for value in found):
            bucket, name, source = map(str, found)
            path = PurePosixPath(source)
            if not path.is_absolute() and ".." not in path.parts:
                yield bucket, name, source


def _fetch(blob: Blob, file: Path) -> None:
    blob.reload(retry=RETRY)
    if (blob.size or 0) > MOST_BYTES:
        raise OperateError(f"the archive has {blob.size} bytes, and at most {MOST_BYTES} are compared")
    file.parent.mkdir(parents=True, exist_ok=True)
    blob.download_to_filename(str(file), retry=RETRY)
