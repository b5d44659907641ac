"""The methods that most resource types share: create, get, list, update and delete by name."""

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from local.control_plane.operations import Operations
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json, ResourceCollection
from local.http.rest import ApiError, ApiRequest, ApiResponse, Route
from local.services.iam import Policies
from local.stack.arguments import derive_number

Apply = Callable[
    [LocalEnvironment, Json, Json | None], Json
]  # wanted resource, previous one → stored resource


IdOf = Callable[[ApiRequest], str]  # create request → the last part of the name


def id_from_query(parameter: str) -> IdOf:
    """Take a new resource's ID from a query parameter."""
    return lambda request: request.query.get(parameter, "")


def id_from_field(field: str) -> IdOf:
    """Take a new resource's ID from a field of the body, which has the ID or the full name."""
    return lambda request: str(request.json.get(field, "")).rpartition("/")[2]


id_from_name = id_from_field("name")


def generated_id(request: ApiRequest) -> str:
    """Generate a new resource's ID; it is the same for the same display name."""
    return derive_number(f"{request.path}/{request.json.get('displayName')}", 19)


@dataclass(frozen=True)
class ResourceType:
    """A resource type of an API.

    `item` is the pattern of its full name below `root`; `id_of` returns the `{id}` of a new resource. `apply` creates
    or updates the resource and returns it with the fields that the server adds. `operation` is the result type of its
    long-running operations, empty where requests complete at once.
    """

    root: str
    item: str
    service: str
    collection: str
    apply: Apply
    delete: Callable[[LocalEnvironment, Json], None]
    id_of: IdOf = id_from_name
    create_method: str = "POST"
    update_field: str = ""  # the field with the resource in the body of an update
    operation: str = ""
    as_response: Callable[[LocalEnvironment, Json], Json] = lambda _environment, resource: resource

    def routes(self, environment: LocalEnvironment) -> Iterator[Route]:
        """Yield the routes of create, get, list, update and delete."""
        parent = self.item.rpartition("/")[0]
        made = self.root + (self.item if self.create_method == "PUT" else parent)
        yield Route(
            self.create_method, made, lambda request, params: self._create(environment, request, params)
        )
        yield Route(
            "GET",
            self.root + self.item,
            lambda _, params: self.read(environment, self.item.format_map(params)),
        )
        yield Route(
            "GET", self.root + parent, lambda _, params: self._list(environment, parent.format_map(params))
        )
        for method in ("PATCH", "PUT"):
            if method != self.create_method:
                yield Route(
                    method, self.root + self.item, lambda request, p: self._update(environment, request, p)
                )
        yield Route("DELETE", self.root + self.item, lambda _, params: self._delete(environment, params))

    def stored(self, environment: LocalEnvironment) -> ResourceCollection:
        """Return the stored resources of this type."""
        return environment.collection("rest", f"{self.service}.{self.collection}")

    def read(self, environment: LocalEnvironment, name: str) -> Json:
        """Return a resource as the API returns it. Raises NotFoundError."""
        return self.as_response(environment, self.stored(environment).get(name))

    def _list(self, environment: LocalEnvironment, parent: str) -> Json:
        found = [
            each for each in self.stored(environment).list() if str(each["name"]).startswith(f"{parent}/")
        ]
        return {self.collection: [self.as_response(environment, each) for each in found]}

    def _create(
        self, environment: LocalEnvironment, request: ApiRequest, params: dict[str, str]
    ) -> Json | ApiResponse:
        wanted = request.json
        if self.create_method == "POST":
            if not (given := self.id_of(request)):
                raise ApiError(400, f"{request.path}: the new resource has no name")
            params = params | {"id": given}
        name = self.item.format_map(params)
        if self.stored(environment).find(name) is not None:
            raise ApiError(409, f"Resource '{name}' already exists")
        return self._run_or_start(environment, params, lambda: self._apply(environment, name, wanted, None))

    def _update(
        self, environment: LocalEnvironment, request: ApiRequest, params: dict[str, str]
    ) -> Json | ApiResponse:
        name = self.item.format_map(params)
        before = self.stored(environment).get(name)
        sent = request.json
        sent = sent.get(self.update_field, sent) if self.update_field else sent
        wanted = apply_update_mask(
            before, sent, request.query.get("updateMask") or str(request.json.get("updateMask", ""))
        )
        return self._run_or_start(environment, params, lambda: self._apply(environment, name, wanted, before))

    def _delete(self, environment: LocalEnvironment, params: dict[str, str]) -> Json | ApiResponse:
        name = self.item.format_map(params)
        resource = self.stored(environment).get(name)

        def work() -> Json:
            self.delete(environment, resource)
            self.stored(environment).delete(name)
            environment.service(Policies).delete(name)
            return {}

        return self._run_or_start(environment, params, work)

    def _apply(self, environment: LocalEnvironment, name: str, wanted: Json, before: Json | None) -> Json:
        completed = self.apply(environment, wanted | {"name": name}, before)
        return self.as_response(environment, self.stored(environment).put(name, completed | {"name": name}))

    def _run_or_start(
        self, environment: LocalEnvironment, params: dict[str, str], work: Callable[[], Json]
    ) -> Json:
        if not self.operation:
            return work()
        parent = f"projects/{params['project']}/locations/{params['location']}"
        return environment.service(Operations).start(parent, self.operation, work)


def apply_update_mask(before: Json, sent: Json, mask: str) -> Json:
    """Return an updated resource: only the fields of the mask change, or all sent fields where there is no mask."""
    if not mask or mask == "*":
        return before | sent
    after = copy.deepcopy(before)
    for path in mask.split(","):
        _set(after, sent, [_camel(part) for part in path.strip().split(".")])
    return after


def _set(after: Json, sent: Json, path: list[str]) -> None:
    for part in path[:-1]:
        after = after.setdefault(part, {})
        sent = sent.get(part) or {}
    if sent.get(path[-1]) is None:
        after.pop(path[-1], None)
    else:
        after[path[-1]] = sent[path[-1]]


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def compute_etag(value: Any) -> str:
    """Return a short text that changes with a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
