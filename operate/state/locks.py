"""The locks that Terraform writes beside a state while it works on it."""

import json
from dataclasses import dataclass
from datetime import datetime

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob, Bucket

from operate.state.state_files import RETRY, download_blob

LOCK = ".tflock"


@dataclass(frozen=True)
class Lock:
    """The lock that Terraform writes beside a state, and that stays if Terraform is killed."""

    stack: str
    operation: str  # apply, plan, destroy
    who: str  # user@host
    created: datetime
    blob: Blob

    @property
    def id(self) -> str:
        """The lock object's generation, which Terraform calls the lock's ID."""
        return str(self.blob.generation)

    @property
    def uri(self) -> str:
        """The lock object's gs:// URI."""
        return f"gs://{self.blob.bucket.name}/{self.blob.name}"

    def __str__(self) -> str:
        return f"{self.who} at {self.created:%Y-%m-%d %H:%M} UTC, for {self.operation}"

    def release(self) -> bool:
        """Delete the lock unless another one has replaced it; return whether it was deleted."""
        try:
            self.blob.delete(if_generation_match=self.blob.generation, retry=RETRY)
        except (NotFound, PreconditionFailed):
            return False
        return True


def find_lock(bucket: Bucket, stack: str) -> Lock | None:
    """Return the lock on a stack's state, None if it is not locked."""
    blob = bucket.get_blob(f"{stack}/default{LOCK}", retry=RETRY)
    if blob is None:
        return None
    try:
        content = download_blob(blob)
    except NotFound:  # released in the meantime
        return None
    try:
        info = json.loads(content)
        operation = str(info["Operation"]).removeprefix("OperationType").lower()
        who, created = str(info["Who"]), datetime.fromisoformat(info["Created"])
    except (ValueError, KeyError, TypeError):  # an unreadable lock is a lock
        return Lock(stack, "an unknown operation", "an unknown user", blob.time_created, blob)
    return Lock(stack, operation, who, created, blob)
