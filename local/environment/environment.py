"""This machine, standing for one Google Cloud project: what the handlers make resources with."""

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
from local.processes.variables import child_variables


class Clock(Protocol):
    """What tells the time here; it may run faster than life."""

    def now(self) -> datetime:
        """Return the time, with its zone UTC."""
        ...


@dataclass
class LocalEnvironment:
    """One environment running here; everything of it lies below `folder`."""

    name: str
    folder: Path  # .local/<environment>
    stack_folder: Path  # where cdk.tf.json lies: paths of assets are relative to it
    project: str
    region: str
    supervisor: Supervisor
    gcs_url: str  # http://127.0.0.1:<port>, without a slash at the end
    bigquery_url: str
    metadata: MetadataServer
    clock: Clock
    python: Path  # interpreter of the environment that the workloads run in
    workload_endpoints: Emulators | None = (
        None  # where workloads reach the emulators; None: at their own addresses, unguarded
    )
    not_honoured: list[str] = field(default_factory=list)  # sentences for the user, each once
    _services: dict[type[Any], Any] = field(default_factory=dict)
    _collections: dict[tuple[str, str], ResourceCollection] = field(default_factory=dict)
    _lock: RLock = field(default_factory=RLock)

    @property
    def project_number(self) -> str:
        """A number of twelve digits that is always the same for a project's name."""
        return project_number(self.project)

    def report_unsupported(self, sentence: str) -> None:
        """Keep a sentence about something that the stack asks for and that is not done here."""
        with self._lock:
            if sentence not in self.not_honoured:
                self.not_honoured.append(sentence)

    def service[S](self, kind: Callable[["LocalEnvironment"], S]) -> S:
        """Return this machine's one instance of a service's class, made at its first use.

        `machine.service(Storage)` is always the same `Storage(machine)`.
        """
        with self._lock:
            if kind not in self._services:
                self._services[kind] = kind(self)  # type: ignore[index]  # a class is a Callable
            return self._services[kind]  # type: ignore[index, no-any-return]

    def collection(self, service: str, name: str) -> ResourceCollection:
        """Return the resources of one kind, kept in `control/<service>/<name>.json`."""
        with self._lock:
            key = service, name
            if key not in self._collections:
                file = self.folder / "control" / service / f"{name}.json"
                self._collections[key] = ResourceCollection(f"{service} {name}", file)
            return self._collections[key]

    def workload_variables(self, service_account_email: str) -> dict[str, str]:
        """Return the whole environment of a workload that runs as that service account.

        Google's client libraries reach the emulators and the metadata server with it, and nothing of
        the user: no key, no gcloud configuration, no home folder.
        """
        host = self.metadata.host_for(service_account_email)
        workload_endpoints = self.workload_endpoints or self
        return child_variables(self.folder) | {
            # With STORAGE_EMULATOR_HOST, the storage client would send no token and be nobody.
            "API_ENDPOINT_OVERRIDE": workload_endpoints.gcs_url,
            "BIGQUERY_EMULATOR_HOST": workload_endpoints.bigquery_url,
            "GCE_METADATA_HOST": host,
            "GCE_METADATA_ROOT": host,
            "GCE_METADATA_IP": host,  # the one that google.auth asks first
            "GCE_METADATA_MTLS_MODE": "none",
            "GOOGLE_CLOUD_PROJECT": self.project,
            "GOOGLE_APPLICATION_CREDENTIALS": "",
            "NO_GCE_CHECK": "",
        }


def project_number(project: str) -> str:
    """Return the number that stands for a project's name here, as the cloud would give one."""
    digest = int.from_bytes(hashlib.sha256(project.encode()).digest()[:8])
    return str(10**11 + digest % (9 * 10**11))
