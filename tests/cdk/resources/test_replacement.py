"""If a resource is replaced, one apply also creates the resources inside it again."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.cdk.conftest import Synthesis
from tests.cdk.test_stack import resources

pytestmark = pytest.mark.synth

REFERENCE = re.compile(r"\$\{(google_\w+)\.(\w+)\.(\w+)")
# Arguments that name a resource. They keep their value when it is replaced, so a plan shows no difference in them.
NAMES = frozenset({"name", "dataset_id", "table_id", "location", "network", "topic", "subscription"})
# Resources that Google Cloud deletes with their parent, or that prevent the deletion of their parent.
HELD = re.compile(
    r"google_(\w+_iam_member|bigquery_table|storage_bucket_object|compute_(firewall|subnetwork))"
)
# Arguments that name the parent of a grant or a table, as opposed to its principal or content.
HOLDERS = ("table_id", "dataset_id", "bucket", "topic", "subscription", "repository", "name", "network")


def holder(arguments: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the address of the resource's direct parent, and the attribute that names the parent."""
    for argument in HOLDERS:
        if isinstance(value := arguments.get(argument), str) and (match := REFERENCE.match(value)):
            return f"{match[1]}.{match[2]}", match[3]
    return None


def held_by_name(stack: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    for address, arguments in resources(dict(stack)):
        if HELD.match(address) and (found := holder(arguments)) and found[1] in NAMES:
            yield address, found[0], arguments.get("lifecycle", {}).get("replace_triggered_by", [])


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_what_is_held_by_name_is_replaced_with_its_holder(synthesis: Synthesis, environment: str) -> None:
    held = list(held_by_name(synthesis.stacks[environment]))
    artifacts = "google_storage_bucket.storage_artifacts"
    for address, of, triggers in held:
        # An object with create_before_destroy would be deleted under the name of its replacement.
        wanted = [] if "_object." in address and of == artifacts else [f"{of}.id"]
        assert triggers == wanted, (
            f"{address}: add lifecycle=replaced_with(…) of {of} (cdk/resources/replacement.py)"
        )
    kinds = {address.partition(".")[0] for address, *_ in held}
    assert kinds >= {
        "google_storage_bucket_iam_member",
        "google_bigquery_table_iam_member",
        "google_pubsub_subscription_iam_member",
        "google_cloud_run_v2_service_iam_member",
        "google_bigquery_table",
        "google_compute_firewall",
    }


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_resources_with_create_before_destroy_depend_on_no_replaceable_resource(
    synthesis: Synthesis, environment: str
) -> None:
    """create_before_destroy also applies to their dependencies, whose names would be taken already."""
    stack = synthesis.stacks[environment]
    arguments = dict(resources(stack))
    needed: set[str] = set()
    waiting = [
        each for each in arguments if arguments[each].get("lifecycle", {}).get("create_before_destroy")
    ]
    while waiting:
        text = json.dumps(arguments[waiting.pop()])
        found = {f"{kind}.{name}" for kind, name, _ in REFERENCE.findall(text)} - needed
        needed |= found
        waiting += found
    assert needed == {"google_storage_bucket.storage_artifacts"}
    # The other arguments that replace the bucket are project and name, and the name contains the project.
    assert arguments["google_storage_bucket.storage_artifacts"]["lifecycle"]["ignore_changes"] == ["location"]
