"""The stack applied from its JSON and as created by Terraform's provider: both must create the same resources.

`make demo` applies the JSON; `make deploy TO=local` responds to the provider, whose requests were recorded. Both start
from the stack that was recorded, so that a change of the stack, such as a new column, needs no new recording.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.control_plane.server import ControlPlane
from local.data_plane.emulators import Emulators
from local.environment.clock import RealClock
from local.environment.environment import LocalEnvironment
from local.processes.supervisor import Supervisor
from local.services import HANDLERS
from local.services.bigquery import BigQuery
from local.services.iam import Policies
from local.stack.applying import Applied, apply
from local.stack.loading import load_stack
from local.workloads.workloads import Workloads
from tests.conftest import start_empty_emulators
from tests.local.control_plane.recording import STACK
from tests.local.control_plane.test_provider import (
    ENTRIES,
    FUNCTION,
    SERVICE,
    SERVICES,
    put_artifacts,
    replace_digests,
    send_and_wait,
    zipped,
)

pytestmark = pytest.mark.emulator

PROJECT = "vlille-dev"
DIGEST = re.compile(r"[0-9a-f]{16}(?=\.(zip|py)|$)")
LOOPBACK = re.compile(r"http://127\.0\.0\.1:\d+|http://here")
# What one way writes and the other does not: the server's own words, Terraform's labels, what people read.
BESIDE = frozenset(
    {
        *("labels", "userLabels", "description", "displayName", "etag", "kind", "id", "selfLink", "state"),
        *("creationTimestamp", "gatewayAddress", "oauth2ClientId", "accountId", "mode", "locationType"),
        *("networkFirewallPolicyEnforcementOrder", "routingConfig", "logConfig", "purpose", "stackType"),
        *("repositoryId", "location", "enabled", "disabled", "priority", "version", "stage"),
    }
)
SERVER_NAMED = re.compile(r"(?<=notificationChannels/)\w+")


@pytest.fixture(scope="module")
def other_emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulators]:
    """Emulators for the second of two projects with the same name."""
    with start_empty_emulators(tmp_path_factory) as one:
        yield one


@pytest.fixture
def environment(
    new_environment: Callable[..., LocalEnvironment], emulators: Emulators, clock: RealClock, tmp_path: Path
) -> LocalEnvironment:
    """The environment that the provider deploys into."""
    return replace(new_environment(emulators), project=PROJECT, clock=clock, folder=tmp_path / "terraform")


@pytest.fixture
def recorded_stack(tmp_path: Path) -> Path:
    """The folder of the recorded stack, with a small archive for each artifact."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    [stack] = replace_digests([json.loads(STACK.read_text("utf-8"))], zipped(SERVICE))
    (folder / "cdk.tf.json").write_text(json.dumps(stack), "utf-8")
    for artifact in stack["resource"]["google_storage_bucket_object"].values():
        file = folder / artifact["source"]
        file.parent.mkdir(parents=True)
        file.write_bytes(zipped(SERVICE if artifact["name"].partition("/")[0] in SERVICES else FUNCTION))
    return folder


@pytest.fixture
def direct(
    new_environment: Callable[..., LocalEnvironment],
    other_emulators: Emulators,
    clock: RealClock,
    tmp_path: Path,
    recorded_stack: Path,
) -> Iterator[tuple[LocalEnvironment, Applied]]:
    """An environment with the JSON applied, and the result."""
    with Supervisor(tmp_path / "direct.json") as supervisor:
        one = replace(
            new_environment(other_emulators),
            project=PROJECT,
            clock=clock,
            folder=tmp_path / "direct",
            stack_folder=recorded_stack,
            supervisor=supervisor,
        )
        applied = apply(load_stack(recorded_stack), one, HANDLERS, lambda _resource, _what: None)
        one.service(Workloads).wait_until_ready()
        yield one, applied


def replay_provider(plane: ControlPlane, environment: LocalEnvironment) -> None:
    """Replay the recording up to its destroy."""
    service = zipped(SERVICE)
    for entry in replace_digests(ENTRIES, service):
        if entry["method"] == "DELETE":
            return
        send_and_wait(plane, entry["method"], entry["target"], entry["body"])
        if entry["method"] == "POST" and (entry["body"] or {}).get("name") == f"{PROJECT}-artifacts":
            put_artifacts(environment, service)


def steady(value: Any) -> Any:
    """Return a document without values that differ from run to run or that only one of the two ways writes."""
    if isinstance(value, dict):
        items = {key: steady(item) for key, item in value.items() if key not in BESIDE}
        return {key: item for key, item in items.items() if item not in (None, {}, [], "", "0", False)}
    if isinstance(value, list):
        return [steady(item) for item in value]
    if isinstance(value, str):
        return DIGEST.sub("digest", LOOPBACK.sub("workload", value))
    # Google's JSON leaves zeros out, and writes long numbers as text.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def by_name(environment: LocalEnvironment, service: str, collection: str) -> dict[str, Any]:
    return {each["name"]: steady(each) for each in environment.collection(service, collection).list()}


def collection_reader(service: str, collection: str) -> Callable[[LocalEnvironment], dict[str, Any]]:
    return lambda environment: by_name(environment, service, collection)


def alerts(environment: LocalEnvironment) -> list[Any]:
    """Return policies and channels without their generated names."""
    held = [
        *environment.collection("monitoring", "alertPolicies").list(),
        *environment.collection("monitoring", "notificationChannels").list(),
    ]
    text = SERVER_NAMED.sub("", json.dumps([steady(each) for each in held]))
    return sorted((_nameless(each) for each in json.loads(text)), key=json.dumps)


def _nameless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nameless(item) for key, item in sorted(value.items()) if key != "name"}
    return [_nameless(item) for item in value] if isinstance(value, list) else value


def networks(environment: LocalEnvironment) -> dict[str, Any]:
    """Return networks, subnetworks and firewalls; one way refers to them by path, the other by name."""
    found: dict[str, Any] = {}
    for kind in ("networks", "subnetworks", "firewalls"):
        for name, each in by_name(environment, "compute", kind).items():
            last = {key: each[key].rpartition("/")[2] for key in ("network", "region") if key in each}
            opened = each.pop("allow", None) or each.pop("allowed", None) or []
            protocols = sorted(rule.get("protocol") or rule.get("IPProtocol") for rule in opened)
            found[name] = each | last | {"protocols": protocols}
    return found


def repositories(environment: LocalEnvironment) -> dict[str, Any]:
    """Return repositories; their clean-up policies are a mapping in one way and a list in the other."""
    found = by_name(environment, "artifactregistry", "repositories")
    for each in found.values():
        rules = each["cleanupPolicies"]
        each["cleanupPolicies"] = sorted(rules.values() if isinstance(rules, dict) else rules, key=json.dumps)
    return found


def grants(environment: LocalEnvironment) -> set[tuple[str, str, str, str]]:
    return {
        (resource, binding["role"], member, json.dumps(steady(binding.get("condition")), sort_keys=True))
        for resource in environment.collection("iam", "policies").names()
        for binding in environment.service(Policies).get(resource)["bindings"]
        for member in binding["members"]
    }


def tables(environment: LocalEnvironment) -> dict[str, Any]:
    root = f"/bigquery/v2/projects/{PROJECT}/datasets/vlille/tables"
    names = [
        each["tableReference"]["tableId"]
        for each in environment.service(BigQuery).call("GET", root, {})["tables"]
    ]
    held = {name: environment.service(BigQuery).call("GET", f"{root}/{name}", {}) for name in names}
    compared_fields = ("schema", "view", "timePartitioning", "clustering", "type")
    return {name: steady({key: each.get(key) for key in compared_fields}) for name, each in held.items()}


def test_terraform_and_the_direct_way_create_the_same_resources(
    plane: ControlPlane, environment: LocalEnvironment, direct: tuple[LocalEnvironment, Applied]
) -> None:
    replay_provider(plane, environment)
    other, applied = direct
    for what, of in PARTS.items():
        assert of(environment) == of(other), what
    function = environment.collection("rest", "cloudfunctions2.functions").list()[0]
    attributes = applied.attributes["google_cloudfunctions2_function.collection_function"]
    variables = attributes["service_config"][0]["environment_variables"]
    assert function["serviceConfig"]["environmentVariables"] == variables
    assert set(environment.service(Workloads).urls) == set(other.service(Workloads).urls)


PARTS: dict[str, Callable[[LocalEnvironment], Any]] = {
    "grants": grants,
    "tables": tables,
    "service accounts": collection_reader("iam", "serviceAccounts"),
    "custom roles": collection_reader("iam", "roles"),
    "buckets": collection_reader("storage", "buckets"),
    "topics": collection_reader("pubsub", "topics"),
    "subscriptions": collection_reader("pubsub", "subscriptions"),
    "scheduler jobs": collection_reader("cloudscheduler", "jobs"),
    "workflow templates": collection_reader("dataproc", "workflowTemplates"),
    "alerts": alerts,
    "networks": networks,
    "repositories": repositories,
}
