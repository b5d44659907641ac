"""What most resource types have in common: made, read, changed and deleted by name, with what the server adds."""

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from local.control_plane.operations import Operations
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json, ResourceCollection
from local.http.rest import Call, RefusedError, Reply, Route
from local.services.iam import Policies
from local.stack.arguments import stable_number

Complete = Callable[[LocalEnvironment, Json, Json | None], Json]  # wanted, what was there → what is there now


Identify = Callable[[Call], str]  # a create's call → the last part of the name


def by_query(parameter: str) -> Identify:
    """The name is a query parameter's value."""
    return lambda call: call.query.get(parameter, "")


def by_field(field: str) -> Identify:
    """The name, or the full name, is a field of the body."""
    return lambda call: str(call.json.get(field, "")).rpartition("/")[2]


by_name = by_field("name")


def by_number(call: Call) -> str:
    """The server gives a number; here the same one to the same display name."""
    return stable_number(f"{call.path}/{call.json.get('displayName')}", 19)


@dataclass(frozen=True)
class Kind:
    """A resource type of one API.

    `item` is the pattern of its full name below `root`; `identify` tells what `{id}` in it is. `complete` makes it
    exist and returns it with what the server adds; `operation` is the type of what long-running calls give, empty
    where calls answer at once.
    """

    root: str
    item: str
    service: str
    collection: str
    complete: Complete
    forget: Callable[[LocalEnvironment, Json], None]
    identify: Identify = by_name
    created_by: str = "POST"
    wrapped_in: str = ""  # the field that holds the resource in the body of an update
    operation: str = ""
    shown: Callable[[LocalEnvironment, Json], Json] = lambda _environment, resource: resource

    def routes(self, environment: LocalEnvironment) -> Iterator[Route]:
        """Yield the routes of create, get, list, update and delete."""
        parent = self.item.rpartition("/")[0]
        made = self.root + (self.item if self.created_by == "PUT" else parent)
        yield Route(self.created_by, made, lambda call, places: self._create(environment, call, places))
        yield Route(
            "GET",
            self.root + self.item,
            lambda _, places: self.read(environment, self.item.format_map(places)),
        )
        yield Route(
            "GET", self.root + parent, lambda _, places: self._list(environment, parent.format_map(places))
        )
        for method in ("PATCH", "PUT"):
            if method != self.created_by:
                yield Route(method, self.root + self.item, lambda call, p: self._update(environment, call, p))
        yield Route("DELETE", self.root + self.item, lambda _, places: self._delete(environment, places))

    def held(self, environment: LocalEnvironment) -> ResourceCollection:
        """The resources of this type, as they were asked for and completed."""
        return environment.collection("rest", f"{self.service}.{self.collection}")

    def read(self, environment: LocalEnvironment, name: str) -> Json:
        """Return a resource as it is shown. Raises NotFoundError."""
        return self.shown(environment, self.held(environment).get(name))

    def _list(self, environment: LocalEnvironment, parent: str) -> Json:
        found = [each for each in self.held(environment).list() if str(each["name"]).startswith(f"{parent}/")]
        return {self.collection: [self.shown(environment, each) for each in found]}

    def _create(self, environment: LocalEnvironment, call: Call, places: dict[str, str]) -> Json | Reply:
        wanted = call.json
        if self.created_by == "POST":
            if not (given := self.identify(call)):
                raise RefusedError(400, f"{call.path}: the new resource has no name")
            places = places | {"id": given}
        name = self.item.format_map(places)
        if self.held(environment).find(name) is not None:
            raise RefusedError(409, f"Resource '{name}' already exists")
        return self._answer(environment, places, lambda: self._complete(environment, name, wanted, None))

    def _update(self, environment: LocalEnvironment, call: Call, places: dict[str, str]) -> Json | Reply:
        name = self.item.format_map(places)
        before = self.held(environment).get(name)
        sent = call.json
        sent = sent.get(self.wrapped_in, sent) if self.wrapped_in else sent
        wanted = masked(before, sent, call.query.get("updateMask") or str(call.json.get("updateMask", "")))
        return self._answer(environment, places, lambda: self._complete(environment, name, wanted, before))

    def _delete(self, environment: LocalEnvironment, places: dict[str, str]) -> Json | Reply:
        name = self.item.format_map(places)
        held = self.held(environment).get(name)

        def work() -> Json:
            self.forget(environment, held)
            self.held(environment).delete(name)
            environment.service(Policies).forget(name)
            return {}

        return self._answer(environment, places, work)

    def _complete(self, environment: LocalEnvironment, name: str, wanted: Json, before: Json | None) -> Json:
        completed = self.complete(environment, wanted | {"name": name}, before)
        return self.shown(environment, self.held(environment).put(name, completed | {"name": name}))

    def _answer(
        self, environment: LocalEnvironment, places: dict[str, str], work: Callable[[], Json]
    ) -> Json:
        if not self.operation:
            return work()
        parent = f"projects/{places['project']}/locations/{places['location']}"
        return environment.service(Operations).begin(parent, self.operation, work)


def masked(before: Json, sent: Json, mask: str) -> Json:
    """Return a resource after an update: only what the mask names changes, all of it where there is none."""
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


def etag(value: Any) -> str:
    """A short text that changes with a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
