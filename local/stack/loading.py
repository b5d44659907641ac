"""Load a synthesized stack: its resources in the order in which they can be created.

The syntax is Terraform's JSON: https://developer.hashicorp.com/terraform/language/syntax/json
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from local.errors import (
    DependencyCycleError,
    StackError,
    UnknownReferenceError,
)
from local.stack.expression_parser import parse_template
from local.stack.expressions import UnsupportedError, references

FILE = "cdk.tf.json"
LIMIT_BYTES = 64 * 2**20
# Arguments that Terraform itself evaluates; the provider, and so a handler, never gets them.
META_ARGUMENTS = frozenset(
    {"depends_on", "lifecycle", "provider", "provisioner", "connection", "count", "for_each"}
)
COMMENT = "//"
# The roots of references that are neither a resource nor a local value.
NO_RESOURCES = frozenset({"var", "path", "each", "count", "self", "terraform"})


@dataclass(frozen=True)
class Resource:
    """A resource, or a data source with the type `data.<type>`; its expressions are not resolved.

    `meta` has the arguments that only Terraform reads: lifecycle, provisioner, provider …
    """

    address: str
    type: str
    name: str
    config: dict[str, Any]
    depends_on: tuple[str, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stack:
    """The content of a `cdk.tf.json`; `folder` is its folder, to which paths of assets are relative.

    `order` has data sources and resources, each after its dependencies.
    """

    name: str
    folder: Path
    order: tuple[Resource, ...]
    outputs: dict[str, Any]
    local_values: dict[str, Any]
    variables: dict[str, Any]
    providers: dict[str, dict[str, Any]]

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The managed resources, in creation order."""
        return tuple(r for r in self.order if not r.type.startswith("data."))

    @property
    def data(self) -> tuple[Resource, ...]:
        """The data sources, in order."""
        return tuple(r for r in self.order if r.type.startswith("data."))

    @property
    def project(self) -> str:
        """The google provider's project. Raises StackError where it is not a literal."""
        return self._provider_setting("project")

    @property
    def region(self) -> str:
        """The google provider's region. Raises StackError where it is not a literal."""
        return self._provider_setting("region")

    def _provider_setting(self, key: str) -> str:
        value = self.providers.get("google", {}).get(key)
        if not isinstance(value, str) or "${" in value:
            raise StackError(
                f"{self.folder / FILE}: provider.google.{key} must be a literal text, found {value!r}"
            )
        return value


def load_stack(folder: Path) -> Stack:
    """Read and check `<folder>/cdk.tf.json`.

    Raises StackError where it is missing, damaged, or uses an unsupported construct of Terraform;
    DependencyCycleError, UnknownReferenceError and UnsupportedExpressionError.
    """
    document = _read_document(folder / FILE)
    resources = dict(_parse_resources(document, folder / FILE))
    return Stack(
        name=_stack_name(document, folder),
        folder=folder,
        order=_sort_by_dependency(resources, document.get("locals", {})),
        outputs={key: value.get("value") for key, value in document.get("output", {}).items()},
        local_values=document.get("locals", {}),
        variables={key: value.get("default") for key, value in document.get("variable", {}).items()},
        providers={key: _first_block(value) for key, value in document.get("provider", {}).items()},
    )


def _read_document(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > LIMIT_BYTES:
            raise StackError(f"{file} has more than {LIMIT_BYTES} bytes: that is not a stack")
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise StackError(f"{file} cannot be read ({error.strerror}): run `make synth` first") from error
    except ValueError as error:
        raise StackError(f"{file} is not JSON ({error}): run `make synth` again") from error
    if not isinstance(document, dict):
        raise StackError(f"{file} must hold a JSON object, found {type(document).__name__}")
    for section in ("module", "import", "moved", "check"):
        if document.get(section):
            raise StackError(f"{file}: the local run does not support sections {section!r}")
    return document


def _stack_name(document: dict[str, Any], folder: Path) -> str:
    metadata = document.get(COMMENT, {})
    name = metadata.get("metadata", {}).get("stackName") if isinstance(metadata, dict) else None
    return str(name or folder.name)


def _first_block(value: Any) -> dict[str, Any]:
    """Return a provider's block, which is an object, or a list of objects where there are aliases."""
    return dict(value[0] if isinstance(value, list) else value)


def _parse_resources(document: dict[str, Any], file: Path) -> Iterator[tuple[str, Resource]]:
    for section, prefix in (("data", "data."), ("resource", "")):
        for kind, named in document.get(section, {}).items():
            for name, block in named.items():
                address = f"{prefix}{kind}.{name}"
                if not isinstance(block, dict):
                    raise StackError(f"{file}: {address} must be an object, found {type(block).__name__}")
                for repeated in ("count", "for_each"):
                    if repeated in block:
                        raise StackError(
                            f"{file}: {address} uses {repeated}, which the local run does not support"
                        )
                config = {k: v for k, v in block.items() if k not in META_ARGUMENTS and k != COMMENT}
                meta = {k: v for k, v in block.items() if k in META_ARGUMENTS and k != "depends_on"}
                yield (
                    address,
                    Resource(address, prefix + kind, name, config, tuple(block.get("depends_on", ())), meta),
                )


def _sort_by_dependency(resources: dict[str, Resource], local_values: dict[str, Any]) -> tuple[Resource, ...]:
    """Sort resources so that each follows its dependencies; otherwise keep the JSON's order."""
    for name, value in local_values.items():
        list(_list_references("locals", name, value, local_values, (name,)))  # raises for a cycle
    graph: dict[str, list[str]] = {}
    for address, resource in resources.items():
        needed = {each: argument for argument, each in _list_dependencies(resource, local_values)}
        for each, argument in needed.items():
            if each not in resources:
                raise UnknownReferenceError(address, argument, each, "it is not in the stack", resources)
        graph[address] = list(needed)
    try:
        return tuple(resources[address] for address in TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise DependencyCycleError(error.args[1]) from None


def _list_dependencies(resource: Resource, local_values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a resource's dependencies: the argument that causes it, and the address."""
    for address in resource.depends_on:
        yield "depends_on", ".".join(address.split(".")[: 3 if address.startswith("data.") else 2])
    lifecycle = _first_block(resource.meta.get("lifecycle") or {})
    triggers = {
        "replace_triggered_by": [f"${{{text}}}" for text in lifecycle.get("replace_triggered_by", ())]
    }
    unseen = triggers | {"provisioner": resource.meta.get("provisioner")}
    yield from _list_references(resource.address, "", unseen, local_values)
    yield from _list_references(resource.address, "", resource.config, local_values)


def _list_references(
    address: str, argument: str, value: Any, local_values: dict[str, Any], inside: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    """Yield the references of a value, including those of local values; `inside` are the local values already
    followed.
    """
    for location, text in _list_expressions(argument, value):
        try:
            found = list(references(parse_template(text)))
        except UnsupportedError:
            continue  # reported when it is evaluated; in a type without a handler it does no harm
        for reference in found:
            steps = tuple(step for step in reference.steps if isinstance(step, str | int))
            if reference.root == "local":
                name = reference_name(steps, 1)
                if name in inside:
                    raise DependencyCycleError([f"local.{each}" for each in (*inside, name)])
                yield from _list_references(
                    address, location, local_values.get(name), local_values, (*inside, name)
                )
            elif reference.root not in NO_RESOURCES:
                yield location, reference_address(reference.root, steps)


def _list_expressions(argument: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every text with an expression in a JSON value, with the argument it belongs to."""
    if isinstance(value, dict):
        pairs: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    else:
        if isinstance(value, str) and "${" in value:
            yield argument, value
        return
    for key, item in pairs:
        yield from _list_expressions(f"{argument}.{key}".lstrip("."), item)


def reference_address(root: str, steps: tuple[str | int, ...]) -> str:
    return ".".join([root, *(str(step) for step in steps[: 2 if root == "data" else 1])])


def reference_name(steps: tuple[str | int, ...], count: int) -> str:
    return ".".join(str(step) for step in steps[:count])
