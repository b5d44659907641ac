"""Environments that share a project: no two of them have a resource with the same name."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from cdk.settings import Settings, load_environments
from cdk.settings.shape import LAST_WORDS
from feed import Feed
from tests.cdk.conftest import GBFS, Synthesis, synthesize
from tests.conftest import ENVIRONMENTS

# What tells resources of a type apart within a project.
NAMES = frozenset(
    {
        *(
            "name",
            "account_id",
            "bucket",
            "condition",
            "dataset",
            "dataset_id",
            "display_name",
            "input",
            "member",
        ),
        *(
            "repository_id",
            "role",
            "role_id",
            "secret_id",
            "service",
            "service_account_id",
            "service_id",
            "slo_id",
        ),
        *(
            "subscription",
            "table_id",
            "topic",
            "workload_identity_pool_id",
            "workload_identity_pool_provider_id",
        ),
    }
)
OF_THE_PROJECT = "google_project_service"  # an API is enabled once, and stays enabled
REFERENCE = re.compile(r"\$\{([a-z0-9_]+)\.([A-Za-z0-9_-]+)\.([a-z0-9_.\[\]]+)\}")
CI = '\n[ci]\nrepository = "ada/bikes"\nrepository_id = 1\nrepository_owner_id = 2\n'
BUDGET = '\n[budget]\nbilling_account = "01AB23-4CD567-89EF01"\nmonthly_amount = 5\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three environments of one project: one with plain names, and two with `shared_project = true`."""
    folder = tmp_path_factory.mktemp("environments")
    text = (ENVIRONMENTS / "dev.toml").read_text("utf-8") + GBFS + CI + BUDGET
    (folder / "dev.toml").write_text(text, "utf-8")
    for name in ("lyon", "brussels123"):
        (folder / f"{name}.toml").write_text(f"shared_project = true\n{text}", "utf-8")
    return folder


@pytest.fixture(scope="module")
def shared(checkouts: tuple[Path, Path], folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """Return the synthesis of these environments."""
    return synthesize(checkouts[0], tmp_path_factory.mktemp("shared"), VLILLE_ENVIRONMENTS=str(folder))


def resolve(stack: Mapping[str, Any], value: Any) -> Any:
    """Return the value with the names of the resources that it refers to."""

    def find(match: re.Match[str]) -> str:
        type_, id_, attribute = match.groups()
        arguments = stack["resource"].get(type_, {}).get(id_)
        if arguments is None:
            return match[0]  # of a data source: the project's number
        if isinstance(found := arguments.get(attribute), str):
            return str(resolve(stack, found))
        return json.dumps(name_of(stack, type_, arguments))

    return json.loads(REFERENCE.sub(lambda match: json.dumps(find(match))[1:-1], json.dumps(value)))


def name_of(stack: Mapping[str, Any], type_: str, arguments: Mapping[str, Any]) -> list[Any]:
    """Return the type and what tells the resource apart."""
    found = {key: resolve(stack, value) for key, value in arguments.items() if key in NAMES}
    assert found, f"{type_}: none of its arguments is in NAMES"
    return [type_, found]


def names_of(stack: Mapping[str, Any]) -> Iterator[str]:
    for type_, named in stack["resource"].items():
        for arguments in named.values():
            if type_ != OF_THE_PROJECT:
                yield json.dumps(name_of(stack, type_, arguments), sort_keys=True)


@pytest.mark.synth
def test_no_two_environments_of_a_project_have_a_resource_with_the_same_name(shared: Synthesis) -> None:
    names = {stack: set(names_of(document)) for stack, document in shared.stacks.items()}
    assert {len(each) > 100 for stack, each in names.items() if not stack.endswith("-bootstrap")} == {True}
    assert len(names) == 6
    for one, other in combinations(sorted(names), 2):
        assert names[one] & names[other] == set(), f"{one} and {other}"
    prefixes = [document["terraform"]["backend"]["gcs"] for document in shared.stacks.values()]
    assert len({(each["bucket"], each["prefix"]) for each in prefixes}) == len(names)


@pytest.mark.synth
def test_names_of_two_environments_differ_only_by_the_environment(shared: Synthesis) -> None:
    lyon, brussels = (set(names_of(shared.stacks[name])) for name in ("lyon", "brussels123"))
    assert {each.replace("lyon", "brussels123") for each in lyon} == brussels


@pytest.mark.synth
def test_no_name_is_longer_than_google_cloud_accepts(shared: Synthesis) -> None:
    for name in ("brussels123", "brussels123-bootstrap"):
        resources = shared.stacks[name]["resource"]
        for type_, key, most in (
            ("google_service_account", "account_id", 30),
            ("google_iam_workload_identity_pool", "workload_identity_pool_id", 32),
            ("google_storage_bucket", "name", 63),
            ("google_cloudfunctions2_function", "name", 63),
            ("google_dataproc_workflow_template", "name", 64),
        ):
            for arguments in resources.get(type_, {}).values():
                assert len(arguments[key]) <= most
    cluster = shared.stacks["brussels123"]["resource"]["google_dataproc_workflow_template"]["batch_template"]
    # Dataproc puts a hyphen and 13 characters behind it, and allows 51 in all.
    assert len(cluster["placement"]["managed_cluster"]["cluster_name"]) <= 37


@pytest.mark.synth
def test_no_environment_can_have_the_last_word_of_another_name(shared: Synthesis) -> None:
    texts: dict[str, set[str]] = {}
    for name in ("dev", "dev-bootstrap"):
        for type_, named in shared.stacks[name]["resource"].items():
            for arguments in named.values():
                # The tables of an environment are in a dataset of its own.
                literal = {str(value) for key, value in arguments.items() if key in NAMES - {"table_id"}}
                texts.setdefault(type_, set()).update(each for each in literal if "${" not in each)
    words = {
        more[len(text) + 1 :]
        for found in texts.values()
        for text in found
        for more in found
        if more.startswith((f"{text}-", f"{text}_", f"{text} "))
    }
    assert {word for word in words if re.fullmatch(r"[a-z][a-z0-9]{0,10}", word)} <= LAST_WORDS


@pytest.mark.synth
def test_alerts_name_the_resources_of_their_environment(shared: Synthesis) -> None:
    texts = json.dumps(shared.stacks["lyon"]["resource"]["google_monitoring_alert_policy"])
    named = set(re.findall(r"`((?:gbfs-)?collect[a-zN-]*|rebuild-days[a-zN-]*)`", texts))
    assert named == {
        *("collect-lyon", "collect-push-lyon", "collect-dead-lyon", "rebuild-days-lyon"),
        *("gbfs-collector-lyon", "gbfs-collect-lyon", "gbfs-collect-lyon-N", "gbfs-collect-dead-lyon"),
    }
    assert 'job_id=\\"batch-lyon\\"' in texts


@pytest.mark.unit
def test_datasets_and_accounts_have_the_environment_at_their_end(
    folder: Path, feeds: dict[str, Feed]
) -> None:
    environments = load_environments(folder, feeds)
    lyon: Settings = environments["lyon"]
    assert (lyon.dataset, lyon.views_dataset_id) == ("vlille-dev.vlille_lyon", "vlille_views_lyon")
    assert lyon.bucket("tfstate") == "vlille-dev-tfstate-lyon"
    assert lyon.service_account("copier") == "vlille-copier-lyon@vlille-dev.iam.gserviceaccount.com"
    assert replace(lyon, shared_project=False).dataset == environments["dev"].dataset == "vlille-dev.vlille"
