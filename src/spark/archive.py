"""Access to Cloud Storage for the batch: list days, read objects, store files."""

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import google.auth
import urllib3
from google.auth.transport.urllib3 import AuthorizedHttp
from google.cloud.storage import Blob
from google.cloud.storage import Client as StorageClient
from google.cloud.storage.retry import DEFAULT_RETRY

from feed import archive_prefix, parse_charset
from spark.rebuild.planning import StoredObject

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
# https://cloud.google.com/storage/docs/retry-strategy
ATTEMPTS = 7
RETRYABLE_STATUSES = (408, 429, 500, 502, 503, 504)


class ArchiveError(RuntimeError):
    """An object that was listed cannot be read; the message says which, and the status.

    What to do: run the batch again; on status 403 compare the batch's roles with docs/access.md.
    """


def load_credentials() -> Any:
    """Return the credentials of this process: the cluster's service account."""
    found, _ = google.auth.default(scopes=(SCOPE,))
    return found


def make_storage_client(project: str, credentials: Any) -> StorageClient:
    """Return a client that does not request bucket metadata.

    By default it requests them for traces, which are not used here; the cluster's service account has no role for that.
    """
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    return StorageClient(project=project, credentials=credentials)


def list_day(client: StorageClient, bucket: str, feed_name: str, day: date) -> list[StoredObject]:
    """Return the objects archived for one UTC day, sorted by name."""
    return list_objects(client, bucket, archive_prefix(feed_name, day))


def list_objects(client: StorageClient, bucket: str, prefix: str) -> list[StoredObject]:
    """Return the objects whose names begin with a prefix, sorted by name."""
    found = client.list_blobs(
        bucket, prefix=prefix, fields="items(name,size,generation,metadata),nextPageToken"
    )
    return [
        StoredObject(blob.name, blob.size or 0, blob.generation or 0, _read_charset(blob)) for blob in found
    ]


def _read_charset(blob: Blob) -> str:
    """Return the charset of the response's Content-Type, which the collector stored as metadata."""
    return parse_charset((blob.metadata or {}).get("content-type", ""))


def make_object_reader(
    credentials: Any, storage_url: str, bucket: str, *, connections: int, attempts: int = ATTEMPTS
) -> Callable[[str], bytes]:
    """Return a thread-safe function that returns the stored bytes of an object.

    The storage client's download takes three times the CPU time of this plain request (1.4 instead of 0.5 ms),
    which limits a batch of small objects. Instead of the client's checksum, gzip's checksum detects damage. The
    function raises ArchiveError, after retries.
    """
    pool = urllib3.PoolManager(maxsize=connections, block=True)
    http: Any = AuthorizedHttp(credentials, http=pool)  # type: ignore[no-untyped-call]  # google-auth has no types here
    retries = urllib3.Retry(
        total=attempts - 1,
        backoff_factor=0.25,
        backoff_max=30,
        backoff_jitter=0.25,
        status_forcelist=RETRYABLE_STATUSES,
        raise_on_status=False,
    )
    timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S)

    def read(name: str) -> bytes:
        url = f"{storage_url}/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
        try:
            response = http.urlopen("GET", url, retries=retries, timeout=timeout)
        except urllib3.exceptions.HTTPError as error:
            raise ArchiveError(f"gs://{bucket}/{name}: cannot be read: {error}") from error
        if response.status != 200:
            raise ArchiveError(
                f"gs://{bucket}/{name}: was listed and cannot be read: status {response.status}"
            )
        data: bytes = response.data
        return data

    return read


def store_file(client: StorageClient, bucket: str, name: str, file: Path) -> str:
    """Store a Parquet file and return its gs:// URI; a file of an earlier attempt is replaced."""
    blob = client.bucket(bucket).blob(name)
    blob.upload_from_filename(str(file), content_type="application/vnd.apache.parquet", retry=DEFAULT_RETRY)
    return f"gs://{bucket}/{name}"
