"""The workloads: artifacts of the stack, unpacked and run as supervised processes, for functions and services."""

import json
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from local.environment.environment import LocalEnvironment
from local.errors import LocalError, ServiceError
from local.processes.ports import LOOPBACK, free_port, http_ready_check, reserve_port
from local.service_router.ingress import Ingress
from local.service_router.router import ServiceRouter

READ_TIMEOUT_S = 60
UNPACKED_LIMIT = 512 * 2**20
ISOLATION = Path(__file__).parent / "isolation"


class Workloads:
    """Starts workloads concurrently, so that their start-up times do not add up.

    `overrides` has the environment variables with another value than in the stack, `inherited` those that workloads
    get from the user's environment.
    """

    def __init__(self, environment: LocalEnvironment) -> None:
        self._environment = environment
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="workload")
        self._starting: list[Future[None]] = []
        self.overrides: dict[str, str] = {}
        self.inherited: dict[str, str] = {}
        self.urls: dict[str, str] = {}
        self.prepare: Callable[[Path], None] = lambda _folder: (
            None
        )  # called with each unpacked archive before its workload starts
        self.ports: dict[
            str, int
        ] = {}  # by name: the port of a workload of an earlier run, which it gets again

    def variables(self, name: str, declared: Mapping[str, str], service_account: str) -> dict[str, str]:
        """Return a workload's environment variables: those of the stack, and those of the emulators' addresses.

        A declared variable that is overridden is reported as a difference from Google Cloud.
        """
        for key in declared.keys() & self.overrides.keys():
            if declared[key] != self.overrides[key]:
                self._environment.report_unsupported(
                    f"{name}: {key} is {self.overrides[key]} instead of {declared[key]}"
                )
        replaced = {key: value for key, value in self.overrides.items() if key in declared}
        base = self._environment.workload_variables(service_account)
        base["PATH"] = f"{self._environment.python.parent}:{base['PATH']}"
        return {**base, **self.inherited, "PYTHONPATH": str(ISOLATION), **declared, **replaced}

    def start(
        self,
        name: str,
        argv: Callable[[int], Sequence[str]],
        env: Mapping[str, str],
        cwd: Path,
        *,
        service: str,
        ready_path: str,
        max_concurrency: int,
        deadline_s: float,
    ) -> str:
        """Start a workload in the background and return its URL; `argv` gets the port, as does the variable `PORT`.

        Callers must be allowed to invoke the Cloud Run service `service`. The workload is ready when `ready_path`
        returns a status below 500. It gets at most `max_concurrency` requests at a time.
        """
        port = free_port()
        upstream = f"http://{LOOPBACK}:{port}"
        router = self._environment.service(ServiceRouter)
        known = self.ports.pop(name, 0)
        public = reserve_port(known, name) if known else free_port()
        url = self._environment.service(Ingress).listen(public, upstream)
        router.limit_concurrency(url, max_concurrency)
        router.require_invoker(url, service)
        router.forward_to(url, upstream)
        self.urls[name] = url

        def start_process() -> None:
            self._environment.supervisor.start(
                name,
                argv(port),
                env={**env, "PORT": str(port)},
                cwd=cwd,
                log=self.log_file(name),
                ready=http_ready_check(upstream + ready_path),
                restart=True,
                deadline_s=deadline_s,
            )

        self._starting.append(self._pool.submit(start_process))
        return url

    def log_file(self, name: str) -> Path:
        """Return the path of a workload's log."""
        return self._environment.folder / "logs" / f"{name.replace(' ', '-')}.log"

    def keep_port(self, name: str, url: str) -> None:
        """Let a workload listen on the port of this URL when it starts next, because other resources have the URL."""
        self.ports[name] = urlsplit(url).port or 0

    def stop(self, name: str) -> None:
        """Stop a workload; do nothing where it does not run."""
        self.wait_until_ready()
        if url := self.urls.pop(name, None):
            self._environment.service(Ingress).stop(url)
        self._environment.supervisor.stop(name)

    def wait_until_ready(self) -> None:
        """Wait until all started workloads are ready. Raises ProcessError."""
        starting, self._starting = self._starting, []
        for each in starting:
            each.result()


def read_object(environment: LocalEnvironment, bucket: str, name: str) -> bytes:
    """Return an object's content from the Cloud Storage emulator. Raises LocalError."""
    return _download(
        environment, f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media", f"gs://{bucket}/{name}"
    )


def list_objects(environment: LocalEnvironment, bucket: str, prefix: str = "") -> list[dict[str, Any]]:
    """Return a bucket's objects below a prefix as REST resources, sorted by name. Raises LocalError."""
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        query = f"?prefix={quote(prefix, safe='')}" + (f"&pageToken={quote(token, safe='')}" if token else "")
        page = json.loads(
            _download(environment, f"/storage/v1/b/{bucket}/o{query}", f"gs://{bucket}/{prefix}")
        )
        found += page.get("items", [])
        token = page.get("nextPageToken", "")
        if not token:
            return sorted(found, key=lambda each: str(each["name"]))


def parse_gs_uri(uri: str) -> tuple[str, str]:
    """Return bucket and object of a `gs://` URI. Raises LocalError."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not bucket or not name:
        raise LocalError(f"expected a URI such as gs://bucket/object, found {uri!r}")
    return bucket, name


def unpack_archive(content: bytes, folder: Path, what: str) -> None:
    """Unpack a zip archive into a folder, replacing its content. Raises LocalError where it is not a zip archive."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    archive = folder.with_name(folder.name + ".zip")
    archive.write_bytes(content)
    try:
        with zipfile.ZipFile(archive) as file:
            size = sum(each.file_size for each in file.infolist())
            if size > UNPACKED_LIMIT:
                raise LocalError(f"{what} has {size} bytes when unpacked, more than {UNPACKED_LIMIT}")
            file.extractall(folder)
    except zipfile.BadZipFile as error:
        raise LocalError(f"{what} is not a zip archive ({error}): run `make synth` again") from error
    finally:
        archive.unlink()


def _download(environment: LocalEnvironment, path: str, what: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(environment.gcs_url + path, timeout=READ_TIMEOUT_S) as response:
            content: bytes = response.read()
    except urllib.error.HTTPError as error:
        raise ServiceError(f"reading {what}", error.code, error.read().decode("utf-8", "replace")) from error
    except OSError as error:
        raise LocalError(f"{what} cannot be read from the Cloud Storage emulator: {error}") from error
    return content
