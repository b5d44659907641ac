"""A stack's JSON: checked, sorted, resolved and applied."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.environment.environment import LocalEnvironment
from local.errors import (
    DependencyCycleError,
    LocalError,
    ResourceError,
    StackError,
    UnknownReferenceError,
    UnsupportedExpressionError,
)
from local.stack.applying import Applied, Attributes, Handler, apply
from local.stack.loading import Resource, Stack, load_stack

pytestmark = pytest.mark.unit

PROVIDER = {"google": [{"project": "demo-project", "region": "europe-west1"}]}


@pytest.fixture
def stack_of(tmp_path: Path) -> Callable[..., Stack]:
    def write(resource: dict[str, Any], **sections: Any) -> Stack:
        document = {
            "//": {"metadata": {"stackName": "vlille-test"}},
            "provider": PROVIDER,
            "resource": resource,
        }
        (tmp_path / "cdk.tf.json").write_text(json.dumps(document | sections))
        return load_stack(tmp_path)

    return write


def echo(_resource: Resource, arguments: dict[str, Any], _environment: LocalEnvironment) -> Attributes:
    return arguments | {"id": f"id of {arguments['name']}", "service_config": {"uri": "http://here"}}


def number(_resource: Resource, _arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    return {"number": environment.project_number}


HANDLERS: dict[str, Handler] = {"a_thing": echo, "b_thing": echo, "data.google_project": number}


def applied_to(stack: Stack, environment: LocalEnvironment) -> Applied:
    return apply(stack, environment, HANDLERS, lambda _resource, _what: None)


def test_names_and_provider(stack_of: Callable[..., Stack]) -> None:
    stack = stack_of({})
    assert (stack.name, stack.project, stack.region) == ("vlille-test", "demo-project", "europe-west1")


def test_meta_arguments_are_separate(stack_of: Callable[..., Stack]) -> None:
    block = {
        "//": {"metadata": {}},
        "name": "n",
        "depends_on": ["b_thing.b"],
        "lifecycle": {"prevent_destroy": True},
        "provisioner": [{"local-exec": {"command": "true"}}],
    }
    stack = stack_of({"a_thing": {"a": block}, "b_thing": {"b": {"name": "b"}}})
    resource = stack.order[1]
    assert resource.address == "a_thing.a"
    assert resource.config == {"name": "n"}
    assert resource.depends_on == ("b_thing.b",)
    assert sorted(resource.meta) == ["lifecycle", "provisioner"]


@pytest.mark.parametrize(
    ("needs", "order"),
    [
        ({"name": "${b_thing.b.id}"}, ["b_thing.b", "a_thing.a"]),
        ({"name": "x", "depends_on": ["b_thing.b"]}, ["b_thing.b", "a_thing.a"]),
        ({"name": "x", "deep": [{"er": {"k": "a ${b_thing.b.id}"}}]}, ["b_thing.b", "a_thing.a"]),
        ({"name": "${local.through}"}, ["b_thing.b", "a_thing.a"]),
        ({"name": "x", "lifecycle": {"replace_triggered_by": ["b_thing.b.id"]}}, ["b_thing.b", "a_thing.a"]),
        (
            {"name": "x", "provisioner": [{"local-exec": {"command": "${b_thing.b.id}"}}]},
            ["b_thing.b", "a_thing.a"],
        ),
        ({"name": "$${b_thing.b.id}"}, ["a_thing.a", "b_thing.b"]),
    ],
)
def test_order(stack_of: Callable[..., Stack], needs: dict[str, Any], order: list[str]) -> None:
    stack = stack_of(
        {"a_thing": {"a": needs}, "b_thing": {"b": {"name": "b"}}}, locals={"through": "${b_thing.b.id}"}
    )
    assert [resource.address for resource in stack.order] == order


def test_data_sources_come_before_what_reads_them(stack_of: Callable[..., Stack]) -> None:
    stack = stack_of(
        {"a_thing": {"a": {"name": "${data.google_project.p.number}"}}}, data={"google_project": {"p": {}}}
    )
    assert [resource.address for resource in stack.order] == ["data.google_project.p", "a_thing.a"]
    assert [resource.address for resource in stack.data] == ["data.google_project.p"]
    assert [resource.address for resource in stack.resources] == ["a_thing.a"]


def test_cycle_names_its_members(stack_of: Callable[..., Stack]) -> None:
    with pytest.raises(DependencyCycleError) as error:
        stack_of(
            {
                "a_thing": {"a": {"name": "${b_thing.b.id}"}, "c": {"name": "c"}},
                "b_thing": {"b": {"name": "x", "depends_on": ["a_thing.a"]}},
            }
        )
    assert set(error.value.addresses) == {"a_thing.a", "b_thing.b"}


def test_dependency_on_nothing(stack_of: Callable[..., Stack]) -> None:
    with pytest.raises(UnknownReferenceError, match=r"^a_thing\.a: depends_on refers to b_thing\.nope"):
        stack_of({"a_thing": {"a": {"name": "x", "depends_on": ["b_thing.nope"]}}})


def test_cycle_of_local_values(stack_of: Callable[..., Stack]) -> None:
    circle = {"one": "${local.two}", "two": "a ${local.one}"}
    with pytest.raises(DependencyCycleError, match=r"local\.one → local\.two → local\.one"):
        stack_of({}, locals=circle)


def test_reference_to_nothing(stack_of: Callable[..., Stack]) -> None:
    with pytest.raises(
        UnknownReferenceError, match=r"^a_thing\.a: name refers to b_thing\.nope, but it is not in"
    ):
        stack_of({"a_thing": {"a": {"name": "${b_thing.nope.id}"}}, "b_thing": {"b": {"name": "b"}}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "must hold a JSON object, found list"),
        ('{"module": {"m": {}}}', "sections 'module'"),
        ('{"resource": {"a_thing": {"a": {"count": 2}}}}', r"a_thing\.a uses count"),
        ('{"resource": {"a_thing": {"a": {"for_each": {}}}}}', r"a_thing\.a uses for_each"),
        ('{"resource": {"a_thing": {"a": []}}}', r"a_thing\.a must be an object, found list"),
    ],
)
def test_unusable_file(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "cdk.tf.json").write_text(text)
    with pytest.raises(StackError, match=message):
        load_stack(tmp_path)


def test_provider_without_project(stack_of: Callable[..., Stack]) -> None:
    stack = stack_of({}, provider={"google": [{"region": "r"}]})
    with pytest.raises(StackError, match=r"provider\.google\.project must be a literal text, found None"):
        _ = stack.project


def test_apply_resolves_in_order_and_keeps_types(
    stack_of: Callable[..., Stack], environment: LocalEnvironment
) -> None:
    stack = stack_of(
        {
            "b_thing": {"b": {"name": "b", "count_of": "${a_thing.a.size}", "none": None}},
            "a_thing": {"a": {"name": "first", "size": 3, "//": "a comment"}},
        },
        locals={"greeting": "hello ${a_thing.a.name}"},
        variable={"who": {"default": "you"}},
        output={
            "uri": {"value": "${a_thing.a.service_config[0].uri}"},
            "text": {"value": {"t": "${local.greeting}, ${var.who}: ${b_thing.b.count_of}"}},
        },
    )
    applied = applied_to(stack, environment)
    assert applied.attributes["b_thing.b"]["count_of"] == 3
    assert "none" not in applied.attributes["b_thing.b"]
    assert applied.outputs == {"uri": "http://here", "text": {"t": "hello first, you: 3"}}
    assert applied.unsupported == []


def test_a_type_without_handler_is_reported_and_its_arguments_resolve(
    stack_of: Callable[..., Stack], environment: LocalEnvironment
) -> None:
    stack = stack_of(
        {
            "c_thing": {"c": {"name": "plain", "odd": "${1 + 1}"}},
            "a_thing": {"a": {"name": "${c_thing.c.name}"}},
        }
    )
    progress: list[tuple[str, str]] = []
    applied = apply(
        stack, environment, HANDLERS, lambda resource, what: progress.append((resource.address, what))
    )
    assert applied.attributes["a_thing.a"]["name"] == "plain"
    assert progress == [("c_thing.c", "unsupported"), ("a_thing.a", "made")]
    assert applied.unsupported == [
        "c_thing.c: c_thing is not supported by the local run",
        "c_thing.c: odd = '${1 + 1}' is not supported by the local run: '+' is not evaluated",
    ]


def test_attribute_that_no_handler_returns(
    stack_of: Callable[..., Stack], environment: LocalEnvironment
) -> None:
    stack = stack_of(
        {
            "a_thing": {"a": {"name": "a"}},
            "b_thing": {"b": {"name": "x", "deep": [{"to": "${a_thing.a.nane}"}]}},
        }
    )
    with pytest.raises(UnknownReferenceError) as error:
        applied_to(stack, environment)
    assert error.value.address == "b_thing.b"
    assert error.value.argument == "deep[0].to"
    assert error.value.reference == "a_thing.a.nane"
    assert "did you mean 'name'?" in str(error.value)


def test_unsupported_expression(stack_of: Callable[..., Stack], environment: LocalEnvironment) -> None:
    stack = stack_of({"a_thing": {"a": {"name": "a", "image": {"tag": '${file("x")}'}}}})
    with pytest.raises(UnsupportedExpressionError) as error:
        applied_to(stack, environment)
    assert (error.value.address, error.value.argument) == ("a_thing.a", "image.tag")
    assert error.value.expression == '${file("x")}'
    assert "file()" in str(error.value)


def test_an_output_without_value_is_reported(
    stack_of: Callable[..., Stack], environment: LocalEnvironment
) -> None:
    stack = stack_of(
        {"a_thing": {"a": {"name": "a"}}},
        output={"good": {"value": "${a_thing.a.id}"}, "bad": {"value": "${a_thing.a.uri}"}},
    )
    applied = applied_to(stack, environment)
    assert applied.outputs == {"good": "id of a"}
    assert applied.unsupported == [
        "output.bad: value refers to a_thing.a.uri, but a_thing.a has no such value in the local run; "
        "known: id, name, service_config"
    ]


def test_failing_handler_names_the_resource(
    stack_of: Callable[..., Stack], environment: LocalEnvironment
) -> None:
    def fail(_resource: Resource, _arguments: dict[str, Any], _environment: LocalEnvironment) -> Attributes:
        raise LocalError("the disk is full")

    stack = stack_of({"a_thing": {"a": {"name": "a"}}})
    with pytest.raises(ResourceError, match=r"^a_thing\.a: the disk is full$"):
        apply(stack, environment, {"a_thing": fail}, lambda _resource, _what: None)


@given(st.lists(st.sets(st.integers(min_value=0, max_value=11)), min_size=12, max_size=12))
@pytest.mark.long
def test_every_resource_follows_its_dependencies(
    tmp_path_factory: pytest.TempPathFactory, needs: list[set[int]]
) -> None:
    """Any graph without cycles: node i may depend on earlier nodes."""
    resources = {
        f"n{i}": {"name": f"n{i}", "on": [f"${{a_thing.n{j}.id}}" for j in needed if j < i]}
        for i, needed in enumerate(needs)
    }
    backwards = dict(reversed(resources.items()))
    folder = tmp_path_factory.mktemp("stack")
    (folder / "cdk.tf.json").write_text(json.dumps({"resource": {"a_thing": backwards}}))
    order = [resource.name for resource in load_stack(folder).order]
    assert sorted(order) == sorted(resources)
    for i, needed in enumerate(needs):
        assert all(order.index(f"n{j}") < order.index(f"n{i}") for j in needed if j < i)
