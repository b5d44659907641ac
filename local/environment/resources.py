"""Resources of the emulated services, stored on disk as the services' REST APIs represent them."""

import copy
import json
from pathlib import Path
from threading import RLock
from typing import Any

from local.errors import AlreadyExistsError, LocalError, NotFoundError
from local.processes.disk import retry_while_disk_full

Json = dict[str, Any]


class ResourceCollection:
    """Resources of one type by name, in one JSON file; safe to use from any thread.

    Arguments and results are copied: only `create`, `update`, `put`, `delete` and `clear` change the collection.
    """

    def __init__(self, kind: str, file: Path) -> None:
        self.kind, self._file = kind, file
        self.version = 0  # incremented by each change
        self._lock = RLock()
        self._resources: dict[str, Json] = self._load()

    def names(self) -> list[str]:
        """Return the names of all resources, sorted."""
        with self._lock:
            return sorted(self._resources)

    def list(self) -> list[Json]:
        """Return all resources, by name."""
        with self._lock:
            return [copy.deepcopy(self._resources[name]) for name in sorted(self._resources)]

    def find(self, name: str) -> Json | None:
        """Return a resource, or None where it does not exist."""
        with self._lock:
            return copy.deepcopy(self._resources.get(name))

    def get(self, name: str) -> Json:
        """Return a resource. Raises NotFoundError."""
        found = self.find(name)
        if found is None:
            raise NotFoundError(self.kind, name)
        return found

    def create(self, name: str, resource: Json) -> Json:
        """Store a new resource and return it. Raises AlreadyExistsError."""
        with self._lock:
            if name in self._resources:
                raise AlreadyExistsError(self.kind, name)
            return self.put(name, resource)

    def update(self, name: str, changes: Json) -> Json:
        """Set top-level fields of a resource (None removes one) and return it. Raises NotFoundError."""
        with self._lock:
            merged = self.get(name) | changes
            return self.put(name, {key: value for key, value in merged.items() if value is not None})

    def put(self, name: str, resource: Json) -> Json:
        """Create or replace a resource and return it."""
        with self._lock:
            self._resources[name] = copy.deepcopy(resource)
            self._save()
            return copy.deepcopy(resource)

    def delete(self, name: str) -> None:
        """Delete a resource. Raises NotFoundError."""
        with self._lock:
            if self._resources.pop(name, None) is None:
                raise NotFoundError(self.kind, name)
            self._save()

    def clear(self) -> None:
        """Delete all resources."""
        with self._lock:
            self._resources = {}
            self._save()

    def _load(self) -> dict[str, Json]:
        try:
            return dict(json.loads(self._file.read_text()))
        except FileNotFoundError:
            return {}
        except (ValueError, OSError) as error:
            raise LocalError(
                f"{self._file} cannot be read ({error}): delete it, then run the command again, "
                "which creates it from the stack"
            ) from error

    @retry_while_disk_full
    def _save(self) -> None:
        self.version += 1
        self._file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._file.with_suffix(".tmp")
        temporary.write_text(json.dumps(self._resources, indent=1, sort_keys=True))
        temporary.replace(self._file)
