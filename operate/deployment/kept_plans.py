"""A plan that is kept: made without a lock, read as JSON, reviewed, and applied as it is or not at all."""

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
class KeptPlan:
    """Where the plan of one environment lies; none of it is for other eyes but the review."""

    folder: Path

    @property
    def plan(self) -> Path:
        """Terraform's own file, the only one that can be applied."""
        return self.folder / "plan"

    @property
    def json(self) -> Path:
        """What `terraform show -json` tells of it."""
        return self.folder / "plan.json"

    @property
    def log(self) -> Path:
        """What Terraform printed, which may hold what a review hides."""
        return self.folder / "terraform.log"

    @property
    def before(self) -> Path:
        """The artifacts that are deployed and would go, below the paths that they were uploaded from."""
        return self.folder / "before"

    def renew(self) -> None:
        """Remove what an earlier plan left, so that nobody takes it for this one."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700, parents=True)


def fetch_replaced_artifacts(client: StorageClient, kept: KeptPlan) -> list[str]:
    """Download each deployed artifact that the plan replaces; return a sentence for each that cannot be had.

    Without them a review knows the new code and not the old.
    """
    problems: list[str] = []
    for bucket, name, source in _replaced(json.loads(kept.json.read_bytes())):
        try:
            _fetch(client.bucket(bucket).blob(name), kept.before / source)
        except (GoogleAPICallError, GoogleAuthError, RetryError, OperateError) as error:
            problems.append(f"the deployed {name} cannot be compared: {error}")
    return problems


def _replaced(plan: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield bucket, name and source path of each uploaded file that goes."""
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
        raise OperateError(f"it has {blob.size} bytes, more than {MOST_BYTES}")
    file.parent.mkdir(parents=True, exist_ok=True)
    blob.download_to_filename(str(file), retry=RETRY)
