"""Create a stack's resources in order, each by the handler of its type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from local.environment.environment import LocalEnvironment
from local.errors import (
    ExpressionError,
    LocalError,
    ResourceError,
    UnknownReferenceError,
    UnsupportedExpressionError,
)
from local.stack.expression_parser import parse_template
from local.stack.expressions import Reference, UnsupportedError, evaluate
from local.stack.loading import COMMENT, Resource, Stack, reference_address, reference_name

Attributes = dict[str, Any]


class Handler(Protocol):
    """Creates resources of one type; an existing resource is updated."""

    def __call__(
        self, resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment, /
    ) -> Attributes:
        """Return the arguments, and the attributes that Terraform computes (id, name, uri …)."""
        ...


@dataclass
class Applied:
    """The result of applying a stack; `unsupported` has the differences from Google Cloud, a sentence each."""

    attributes: dict[str, Attributes] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    unsupported: list[str] = field(default_factory=list)


def apply(
    stack: Stack,
    environment: LocalEnvironment,
    handlers: Mapping[str, Handler],
    progress: Callable[[Resource, str], None],
) -> Applied:
    """Create every resource of the stack, in order, and resolve the outputs.

    `progress` is called for each resource with "made" or "unsupported". A resource whose type has no handler is
    listed in `unsupported`; its literal arguments can still be referred to. Raises ResourceError, which names the
    resource, and ExpressionError.
    """
    applied = Applied(unsupported=environment.unsupported)
    environment.collection(
        "iam", "policies"
    ).clear()  # grants accumulate, so those that the stack no longer has must be removed
    scope = Scope(stack, applied.attributes)
    for resource in stack.order:
        handler = handlers.get(resource.type)
        if handler is None:
            applied.attributes[resource.address] = _literal_arguments(resource, scope, environment)
            progress(resource, "unsupported")
            continue
        arguments = scope.resolve(resource.address, "", resource.config)
        try:
            attributes = handler(resource, arguments, environment)
        except (ExpressionError, ResourceError):
            raise
        except (LocalError, OSError) as error:
            raise ResourceError(resource.address, str(error)) from error
        applied.attributes[resource.address] = attributes
        progress(resource, "made")
    for key, value in stack.outputs.items():
        try:
            applied.outputs[key] = scope.resolve(f"output.{key}", "value", value)
        except ExpressionError as error:
            environment.report_unsupported(str(error))
    return applied


class Scope:
    """The values that a stack's expressions can refer to: resource attributes, local values and variables."""

    def __init__(self, stack: Stack, attributes: Mapping[str, Attributes]) -> None:
        self._stack, self._attributes = stack, attributes

    def resolve(self, address: str, argument: str, value: Any) -> Any:
        """Return a JSON value with all expressions evaluated and null arguments left out.

        `address` and `argument` locate the value for messages. Raises UnsupportedExpressionError and
        UnknownReferenceError, which have both.
        """
        if isinstance(value, dict):
            return {
                key: self.resolve(address, f"{argument}.{key}".lstrip("."), item)
                for key, item in value.items()
                if item is not None and key != COMMENT
            }
        if isinstance(value, list):
            return [self.resolve(address, f"{argument}[{i}]", item) for i, item in enumerate(value)]
        if not isinstance(value, str) or not ("${" in value or "%{" in value):
            return value
        try:
            return evaluate(
                parse_template(value),
                lambda ref, steps: self._resolve_reference(address, argument, ref, steps),
            )
        except UnsupportedError as error:
            raise UnsupportedExpressionError(address, argument, value, str(error)) from None

    def _resolve_reference(
        self, address: str, argument: str, reference: Reference, steps: tuple[str | int, ...]
    ) -> Any:
        kind = reference.root
        known: Mapping[str, Any]
        if kind == "local":
            name, found = reference_name(steps, 1), self._stack.local_values
            value = self.resolve("locals", name, found[name]) if name in found else None
            rest, known = steps[1:], found
        elif kind == "var":
            name, known = reference_name(steps, 1), self._stack.variables
            value, rest = known.get(name), steps[1:]
        else:
            name, rest = reference_address(kind, steps), steps[2 if kind == "data" else 1 :]
            value, known = self._attributes.get(name), self._attributes
        if value is None:
            what = "has no value in the local run" if name in known else "is not in the stack"
            raise UnknownReferenceError(address, argument, name, f"it {what}", known)
        return self._follow_steps(address, argument, name, value, rest)

    @staticmethod
    def _follow_steps(
        address: str, argument: str, name: str, value: Any, steps: tuple[str | int, ...]
    ) -> Any:
        """Follow a reference's steps after the resource's address.

        Index 0 of a mapping is the mapping itself: the JSON may write a single block without the list in which
        Terraform has it.
        """
        path = name
        for step in steps:
            known: list[str] = []
            if isinstance(value, dict):
                if step == 0 and "0" not in value:
                    path = f"{path}[0]"
                    continue
                known = [str(key) for key in value]
                found = value.get(str(step))
            elif isinstance(value, list):
                number = int(step) if str(step).isdigit() else -1
                known = [f"[{i}]" for i in range(len(value))]
                found = value[number] if 0 <= number < len(value) else None
            else:
                found = None
            location = f"{path}.{step}" if isinstance(step, str) else f"{path}[{step}]"
            if found is None:
                raise UnknownReferenceError(
                    address, argument, location, f"{path} has no such value in the local run", known
                )
            path, value = location, found
        return value


def _literal_arguments(resource: Resource, scope: Scope, environment: LocalEnvironment) -> Attributes:
    environment.report_unsupported(f"{resource.address}: {resource.type} is not supported by the local run")
    attributes = {}
    for key, value in resource.config.items():
        try:
            attributes[key] = scope.resolve(resource.address, key, value)
        except ExpressionError as error:
            environment.report_unsupported(str(error))
    return attributes
