"""Long-running operations: work that goes on after its call was answered, and is asked for by name."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.errors import LocalError, NotFoundError
from local.http.rest import ApiRequest, Route


class Operations:
    """The operations of one run of this machine, by full name; safe to use from any thread."""

    def __init__(self, _environment: LocalEnvironment) -> None:
        self._operations: dict[str, Json] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def start(self, parent: str, kind: str, work: Callable[[], Json]) -> Json:
        """Begin work in its own thread and return its operation, which is not done yet.

        `kind` is the type of what it gives (`google.cloud.functions.v2.Function`); an error of the work is
        the operation's.
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
        """Return an operation as it stands. Raises NotFoundError."""
        with self._lock:
            if name not in self._operations:
                raise NotFoundError("operations", name)
            return dict(self._operations[name])

    def route(self, root: str) -> Route:
        """Answer questions for operations below a service's root, such as `/run/v2/`."""

        def answer(_request: ApiRequest, params: dict[str, str]) -> Json:
            return self.get(
                f"projects/{params['project']}/locations/{params['location']}/operations/{params['id']}"
            )

        return Route("GET", root + "projects/{project}/locations/{location}/operations/{id}", answer)


def compute_operation(environment: LocalEnvironment, scope: str, target: str, kind: str) -> Json:
    """An operation of Compute Engine, whose work is done when its call is answered.

    `scope` is `global` or `regions/<region>`, `target` the path of what it made.
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
