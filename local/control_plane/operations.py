"""Long-running operations: work that continues after its request got a response, and is polled by name."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.errors import LocalError, NotFoundError
from local.http.rest import ApiRequest, Route


class Operations:
    """The long-running operations of this process, by full name; safe to use from any thread."""

    def __init__(self, _environment: LocalEnvironment) -> None:
        self._operations: dict[str, Json] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def start(self, parent: str, kind: str, work: Callable[[], Json]) -> Json:
        """Start work in a thread of its own and return its operation, which is not done yet.

        `kind` is the type of the result (`google.cloud.functions.v2.Function`). An error of the work becomes the
        operation's.
        """
        with self._lock:
            name = f"{parent}/operations/operation-{next(self._ids)}"
            self._operations[name] = {"name": name, "done": False}

        def run() -> None:
            result: Json
            try:
                result = {"response": {"@type": f"type.googleapis.com/{kind}", **work()}}
            except LocalError as error:
                result = {"error": {"code": 13, "message": str(error)}}
            with self._lock:
                self._operations[name] = {"name": name, "done": True, **result}

        threading.Thread(target=run, name=name, daemon=True).start()
        return self.get(name)

    def get(self, name: str) -> Json:
        """Return the current state of an operation. Raises NotFoundError."""
        with self._lock:
            if name not in self._operations:
                raise NotFoundError("operations", name)
            return dict(self._operations[name])

    def route(self, root: str) -> Route:
        """Return the route that reads operations below a service's root, such as `/run/v2/`."""

        def read_operation(_request: ApiRequest, params: dict[str, str]) -> Json:
            return self.get(
                f"projects/{params['project']}/locations/{params['location']}/operations/{params['id']}"
            )

        return Route("GET", root + "projects/{project}/locations/{location}/operations/{id}", read_operation)


def compute_operation(environment: LocalEnvironment, scope: str, target: str, kind: str) -> Json:
    """Return an operation of Compute Engine that is done already.

    `scope` is `global` or `regions/<region>`, `target` the path of the resource.
    """
    base = f"https://www.googleapis.com/compute/v1/projects/{environment.project}"
    name = f"operation-{kind}-{abs(hash(target)):x}"
    operation: dict[str, Any] = {
        "kind": "compute#operation",
        "name": name,
        "operationType": kind,
        "status": "DONE",
        "progress": 100,
        "selfLink": f"{base}/{scope}/operations/{name}",
        "targetLink": f"{base}/{target}",
    }
    if scope.startswith("regions/"):
        operation["region"] = f"{base}/{scope}"
    return operation
