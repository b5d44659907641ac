"""Which days a run that did not end has replaced: the next run goes on behind them.

After each stretch of days an object of the staging bucket says what they were made from, and by which code.
It is gone when the run has ended, or after two days, as all that lies there.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date

from google.api_core.exceptions import NotFound
from google.cloud.storage import Client as StorageClient
from google.cloud.storage.retry import DEFAULT_RETRY

from spark.accounting import Account
from spark.planning import Hour


@dataclass(frozen=True)
class Finished:
    """What became of one day, and the digest of what it was made from."""

    digest: str
    account: Account


def digest_of(hours: Iterable[Hour], code: str) -> str:
    """What tells whether a day would be made again from the same objects by the same code."""
    digest = hashlib.sha256(code.encode())
    for hour in hours:
        for stored in hour.objects:
            digest.update(f"\n{stored.name}\t{stored.size}\t{stored.generation}".encode())
    return digest.hexdigest()


class Progress:
    """The days of one feed that runs without an end have replaced."""

    def __init__(self, client: StorageClient, bucket: str, feed: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, f"batch/unended/{feed}/"

    def read(self) -> dict[date, Finished]:
        """Every such day; where it was replaced several times, what the latest run said."""
        found: dict[date, Finished] = {}
        blobs = self._client.list_blobs(self._bucket, prefix=self._prefix)
        for blob in sorted(blobs, key=lambda blob: (blob.time_created, blob.name)):
            try:
                stretch = json.loads(blob.download_as_bytes())
            except NotFound:
                continue  # another run has just ended
            for day, said in stretch.items():
                found[date.fromisoformat(day)] = Finished(said["digest"], Account(**said["account"]))
        return found

    def add(self, run: str, days: Mapping[date, Finished]) -> None:
        """Keep what became of the days of one stretch."""
        stretch = {day.isoformat(): asdict(said) for day, said in days.items()}
        name = f"{self._prefix}{run}-{min(days)}.json"
        blob = self._client.bucket(self._bucket).blob(name)
        blob.upload_from_string(json.dumps(stretch), "application/json", retry=DEFAULT_RETRY)

    def forget(self, days: Iterable[date]) -> None:
        """Forget stretches that begin with one of the days: their run has ended."""
        over = {day.isoformat() for day in days}
        for blob in self._client.list_blobs(self._bucket, prefix=self._prefix):
            if blob.name.removesuffix(".json")[-10:] in over:
                try:
                    blob.delete()
                except NotFound:
                    continue  # so it is forgotten
