"""The local environment that handlers create resources in. It stands for one Google Cloud project."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any, Protocol

from local.data_plane.emulators import Emulators
from local.environment.metadata_server import MetadataServer
from local.environment.resources import ResourceCollection
from local.processes.supervisor import Supervisor
from local.processes.variables import make_child_variables


class Clock(Protocol):
    """A clock that can run faster than real time."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...


@dataclass
class LocalEnvironment:
    """One local environment; all its data is below `folder`."""

    name: str
    folder: Path  # .local/<environment>
    stack_folder: Path  # the folder of cdk.tf.json, to which the paths of assets are relative
    project: str
    region: str
    supervisor: Supervisor
    gcs_url: str  # http://127.0.0.1:<port>, without a trailing slash
    bigquery_url: str
    metadata: MetadataServer
    clock: Clock
    python: Path  # the interpreter that runs the workloads
    workload_endpoints: Emulators | None = (
        None  # the IAM proxy's URLs; None: workloads call the emulators directly
    )
    unsupported: list[str] = field(default_factory=list)  # differences from Google Cloud, a sentence each
    _services: dict[type[Any], Any] = field(default_factory=dict)
    _collections: dict[tuple[str, str], ResourceCollection] = field(default_factory=dict)
    _lock: RLock = field(default_factory=RLock)

    @property
    def project_number(self) -> str:
        """The project's number: twelve digits, derived from its ID."""
        return project_number(self.project)

    def report_unsupported(self, sentence: str) -> None:
        """Add a sentence to the differences from Google Cloud that the run lists; each is listed once."""
        with self._lock:
            if sentence not in self.unsupported:
                self.unsupported.append(sentence)

    def service[S](self, kind: Callable[["LocalEnvironment"], S]) -> S:
        """Return the environment's only instance of a service class, created at its first use.

        `environment.service(Storage)` is always the same `Storage(environment)`.
        """
        with self._lock:
            if kind not in self._services:
                self._services[kind] = kind(self)  # type: ignore[index]  # a class is a Callable
            return self._services[kind]  # type: ignore[index, no-any-return]

    def collection(self, service: str, name: str) -> ResourceCollection:
        """Return the resources of one type, stored in `control_plane/<service>/<name>.json`."""
        with self._lock:
            key = service, name
            if key not in self._collections:
                file = self.folder / "control_plane" / service / f"{name}.json"
                self._collections[key] = ResourceCollection(f"{service} {name}", file)
            return self._collections[key]

    def workload_variables(self, service_account_email: str) -> dict[str, str]:
        """Return all environment variables of a workload that runs as that service account.

        They lead Google's client libraries to the IAM proxy and the metadata server. The workload gets nothing of the
        user: no key, no gcloud configuration, no home folder.
        """
        host = self.metadata.host_for(service_account_email)
        workload_endpoints = self.workload_endpoints or self
        return make_child_variables(self.folder) | {
            # With STORAGE_EMULATOR_HOST the storage client would send no token.
            "API_ENDPOINT_OVERRIDE": workload_endpoints.gcs_url,
            "BIGQUERY_EMULATOR_HOST": workload_endpoints.bigquery_url,
            "GCE_METADATA_HOST": host,
            "GCE_METADATA_ROOT": host,
            "GCE_METADATA_IP": host,  # google.auth tries this one first
            "GCE_METADATA_MTLS_MODE": "none",
            "GOOGLE_CLOUD_PROJECT": self.project,
            "GOOGLE_APPLICATION_CREDENTIALS": "",
            "NO_GCE_CHECK": "",
        }


def project_number(project: str) -> str:
    """Return a project number derived from the project's ID, where Google Cloud assigns one."""
    digest = int.from_bytes(hashlib.sha256(project.encode()).digest()[:8])
    return str(10**11 + digest % (9 * 10**11))
