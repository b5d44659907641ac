"""The days that an unfinished run has replaced already, so that the next run continues after them.

After each batch of days the run stores an object in the staging bucket. It names the days, the digest of the objects
and the code that they were rebuilt from, and their statistics. A run that succeeds deletes these objects; otherwise
the bucket's lifecycle rule does.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date

from google.api_core.exceptions import NotFound
from google.cloud.storage import Client as StorageClient
from google.cloud.storage.retry import DEFAULT_RETRY

from spark.rebuild.planning import ArchiveHour
from spark.rebuild.statistics import RunStatistics


@dataclass(frozen=True)
class FinishedDay:
    """The statistics of one replaced day, and the digest of what it was rebuilt from."""

    digest: str
    statistics: RunStatistics


def digest_objects(hours: Iterable[ArchiveHour], code: str) -> str:
    """Return a digest of the objects of some hours and of the code version: equal digests give equal rows."""
    digest = hashlib.sha256(code.encode())
    for hour in hours:
        for stored in hour.objects:
            digest.update(f"\n{stored.name}\t{stored.size}\t{stored.generation}".encode())
    return digest.hexdigest()


class Progress:
    """The days of one feed that unfinished runs have replaced."""

    def __init__(self, client: StorageClient, bucket: str, feed: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, f"batch/unended/{feed}/"

    def read(self) -> dict[date, FinishedDay]:
        """Return the finished days; of a day that several runs replaced, the result of the latest run."""
        found: dict[date, FinishedDay] = {}
        blobs = self._client.list_blobs(self._bucket, prefix=self._prefix)
        for blob in sorted(blobs, key=lambda blob: (blob.time_created, blob.name)):
            try:
                batch = json.loads(blob.download_as_bytes())
            except NotFound:
                continue  # another run has just succeeded and deleted it
            for day, entry in batch.items():
                statistics = RunStatistics(**entry["account"])
                found[date.fromisoformat(day)] = FinishedDay(entry["digest"], statistics)
        return found

    def add(self, run: str, days: Mapping[date, FinishedDay]) -> None:
        """Store the finished days of one batch."""
        # The key stays `account`: objects that an earlier version has stored can still be read.
        batch = {
            day.isoformat(): {"digest": finished.digest, "account": asdict(finished.statistics)}
            for day, finished in days.items()
        }
        name = f"{self._prefix}{run}-{min(days)}.json"
        blob = self._client.bucket(self._bucket).blob(name)
        blob.upload_from_string(json.dumps(batch), "application/json", retry=DEFAULT_RETRY)

    def delete(self, days: Iterable[date]) -> None:
        """Delete the objects of batches that begin with one of the days."""
        first_days = {day.isoformat() for day in days}
        for blob in self._client.list_blobs(self._bucket, prefix=self._prefix):
            if blob.name.removesuffix(".json")[-10:] in first_days:
                try:
                    blob.delete()
                except NotFound:
                    continue  # another run has deleted it
