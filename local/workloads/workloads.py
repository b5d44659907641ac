"""Artifacts of the stack, unpacked and run as supervised processes: what functions and services share."""

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
    """Starts workloads beside one another, so that their start-up times do not add up.

    `replaced` holds the environment variables that have another value here than in the stack, `passed_on`
    what workloads get of the user's own environment.
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
        )  # changes an unpacked archive before it starts
        self.ports: dict[str, int] = {}  # by name: where a workload of an earlier run was, and is again

    def variables(self, name: str, declared: Mapping[str, str], service_account: str) -> dict[str, str]:
        """Return a workload's whole environment: what the stack declares, and what leads to this machine.

        A declared variable that is replaced here is said.
        """
        for key in declared.keys() & self.overrides.keys():
            if declared[key] != self.overrides[key]:
                self._environment.report_unsupported(
                    f"{name}: {key} is {self.overrides[key]} here, not {declared[key]}"
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
        """Begin to start a workload and return its URL; `argv` is given the port, as `PORT` is.

        `service` is the Cloud Run service that callers must be allowed to invoke. It is ready when `ready_path`
        is answered with a status below 500. `at_once` is how many requests it gets at a time.
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
        """Return the file that holds a workload's output."""
        return self._environment.folder / "logs" / f"{name.replace(' ', '-')}.log"

    def keep_port(self, name: str, url: str) -> None:
        """Let a workload, when it is begun next, listen where it did: its URL is known to others."""
        self.ports[name] = urlsplit(url).port or 0

    def stop(self, name: str) -> None:
        """Stop a workload; one that does not run is as stopped as can be."""
        self.wait_until_ready()
        if url := self.urls.pop(name, None):
            self._environment.service(Ingress).stop(url)
        self._environment.supervisor.stop(name)

    def wait_until_ready(self) -> None:
        """Wait until all that was begun is ready. Raises ProcessError."""
        starting, self._starting = self._starting, []
        for each in starting:
            each.result()


def read_object(environment: LocalEnvironment, bucket: str, name: str) -> bytes:
    """Return an object's content from the storage emulator. Raises LocalError."""
    return _download(
        environment, f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media", f"gs://{bucket}/{name}"
    )


def list_objects(environment: LocalEnvironment, bucket: str, prefix: str = "") -> list[dict[str, Any]]:
    """Return the resources of a bucket's objects below a prefix, by name. Raises LocalError."""
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
        raise LocalError(f"a URI like gs://bucket/object is needed, found {uri!r}")
    return bucket, name


def unpack_archive(content: bytes, folder: Path, what: str) -> None:
    """Unpack a zip into a folder, which then holds nothing else. Raises LocalError where it is no zip."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    archive = folder.with_name(folder.name + ".zip")
    archive.write_bytes(content)
    try:
        with zipfile.ZipFile(archive) as file:
            size = sum(each.file_size for each in file.infolist())
            if size > UNPACKED_LIMIT:
                raise LocalError(f"{what} unpacks to {size} bytes, more than {UNPACKED_LIMIT}")
            file.extractall(folder)
    except zipfile.BadZipFile as error:
        raise LocalError(f"{what} is no zip archive ({error}): run `make synth` again") from error
    finally:
        archive.unlink()


def _download(environment: LocalEnvironment, path: str, what: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(environment.gcs_url + path, timeout=READ_TIMEOUT_S) as answer:
            content: bytes = answer.read()
    except urllib.error.HTTPError as error:
        raise ServiceError(f"reading {what}", error.code, error.read().decode("utf-8", "replace")) from error
    except OSError as error:
        raise LocalError(f"{what} cannot be read from the storage emulator: {error}") from error
    return content
