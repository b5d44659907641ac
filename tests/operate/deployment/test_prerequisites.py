"""Each missing prerequisite of a command is one message with its remedy, and all are reported at once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdk.settings import Ci, Settings
from operate.cloud import Cloud, CredentialsError, connect
from operate.deployment.prerequisites import NEEDS, find_missing_prerequisites
from operate.state.bucket import ensure_bucket
from tests.operate.conftest import NUMBER, Google, Response, refusal

pytestmark = pytest.mark.emulator

COMMANDS = ("bootstrap", "unbootstrap", "deploy", "diff", "destroy", "outputs")
AFTER = ("smoke", "run", "pause", "resume", "logs", "orphans", "backfill", "open", "sql", "export")
PROJECT = "GET /v1/projects/{}"
SERVICES = "GET /v1/projects/{}/services"
BUCKET = "GET /storage/v1/b/{}-tfstate"
INSTALL = "install Terraform 1.5 or newer (https://developer.hashicorp.com/terraform/install) or OpenTofu"
LOGIN = "gcloud auth application-default login"
NO_BUCKET = "the state bucket {0}-tfstate is not found: run `make bootstrap ENV=dev`"
NO_TERRAFORM = f"terraform or tofu is not on PATH: {INSTALL}"
DISABLED = refusal(403, "it is disabled", "SERVICE_DISABLED")
ENABLE = "run `gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com --project={0}`"


@pytest.fixture
def check(google: Google, settings: Settings, program: Callable[..., Path]) -> Callable[..., list[str]]:
    """Check a command, by default with everything that it needs."""

    def run(command: str, *, path: Path | None = None, **variables: str) -> list[str]:
        environ = google.variables | {"PATH": str(path or program())} | variables
        return find_missing_prerequisites(
            command, settings, environ=environ, connect=lambda: connect(settings.project, environ)
        )

    return run


@pytest.fixture
def bucket(cloud: Cloud, settings: Settings) -> str:
    ensure_bucket(cloud.storage, settings, NUMBER)
    return settings.bucket("tfstate")


def test_every_command_is_checked() -> None:
    assert sorted(NEEDS) == sorted((*COMMANDS, *AFTER, "plan", "apply", "unlock"))


@pytest.mark.parametrize("command", AFTER)
def test_commands_on_a_deployment_need_credentials_only(
    google: Google, check: Callable[..., list[str]], command: str
) -> None:
    """The command needs neither Terraform nor a state bucket, and does not list the APIs."""
    assert check(command, PATH="") == []
    assert google.calls == []


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_missing(check: Callable[..., list[str]], command: str) -> None:
    assert check(command) == []


def test_a_new_project_has_all_prerequisites_of_a_bootstrap(
    google: Google, check: Callable[..., list[str]]
) -> None:
    google.enabled = {"cloudresourcemanager.googleapis.com", "serviceusage.googleapis.com"}
    assert check("bootstrap") == []


@pytest.mark.parametrize(
    ("name", "prints", "status", "expected"),
    [
        ("terraform", '{"terraform_version": "1.4.7"}', 0, "{}/terraform is version 1.4.7: " + INSTALL),
        ("terraform", '{"terraform_version": "0.15.5"}', 0, "{}/terraform is version 0.15.5: " + INSTALL),
        ("terraform", '{"terraform_version": "1.5.0"}', 0, None),
        ("terraform", '{"terraform_version": "1.10.0-beta1"}', 0, None),
        ("tofu", '{"terraform_version": "1.6.0"}', 0, None),
        ("terraform", "no JSON", 0, "{}/terraform does not print its version: " + INSTALL),
        (
            "terraform",
            '{"terraform_version": "1.11.4"}',
            1,
            "{}/terraform does not print its version: " + INSTALL,
        ),
        ("terraform", "[]", 0, "{}/terraform does not print its version: " + INSTALL),
        ("packer", '{"terraform_version": "1.11.4"}', 0, NO_TERRAFORM),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_terraform(
    check: Callable[..., list[str]],
    program: Callable[..., Path],
    *,
    name: str,
    prints: str,
    status: int,
    expected: str | None,
) -> None:
    folder = program(name, prints, status)
    assert check("outputs", path=folder) == ([expected.format(folder)] if expected else [])


@pytest.mark.usefixtures("bucket")
def test_an_old_terraform_does_not_hide_a_recent_tofu(
    check: Callable[..., list[str]], program: Callable[..., Path]
) -> None:
    program("terraform", '{"terraform_version": "1.4.7"}')
    folder = program("tofu", '{"terraform_version": "1.9.0"}')
    assert check("deploy", path=folder) == []
    [expected] = check("deploy", path=folder, TERRAFORM_BINARY_NAME="terraform")
    assert expected.startswith(f"{folder}/terraform is version 1.4.7")
    assert check("deploy", path=folder, TERRAFORM_BINARY_NAME="terragrunt") == [
        f"terragrunt is not on PATH: {INSTALL}"
    ]


# (changed responses, command, expected messages; {0} is the project)
Case = tuple[dict[str, Response], str, list[str]]
CASES: list[Case] = [
    ({}, "deploy", [NO_BUCKET]),
    ({}, "outputs", [NO_BUCKET]),
    ({}, "bootstrap", []),
    (
        {BUCKET: refusal(403, "no")},
        "diff",
        ["the bucket {0}-tfstate exists, but these credentials have no access to it"],
    ),
    (
        {PROJECT: refusal(403, "The caller does not have permission")},
        "deploy",
        [
            "the project {0} of environments/dev.toml does not exist, or these credentials have no access to it "
            "(403 The caller does not have permission): run `gcloud projects create {0}`, or log in as a user with "
            "access"
        ],
    ),
    ({PROJECT: refusal(404, "no")}, "bootstrap", ["the project {0} of environments/dev.toml does not exist"]),
    (
        {PROJECT: refusal(503, "later")},
        "destroy",
        ["the project {0} cannot be looked up: 503 later; try again"],
    ),
    (
        {PROJECT: (200, {"projectNumber": "1", "lifecycleState": "DELETE_REQUESTED"})},
        "deploy",
        ["the project {0} is DELETE_REQUESTED: run `gcloud projects undelete {0}`"],
    ),
    (
        {PROJECT: DISABLED},
        "bootstrap",
        ["not enabled in {0}: cloudresourcemanager.googleapis.com; " + ENABLE],
    ),
    (
        {PROJECT: DISABLED, SERVICES: DISABLED},
        "deploy",
        [
            NO_BUCKET,
            "not enabled in {0}: cloudresourcemanager.googleapis.com, serviceusage.googleapis.com; " + ENABLE,
        ],
    ),
    (
        {SERVICES: refusal(403, "no permission")},
        "bootstrap",
        ["the enabled APIs of {0} cannot be listed: 403 no permission; try again, or ask for roles/"],
    ),
    ({PROJECT: (401, {})}, "deploy", ["Google rejected the credentials"]),
    (
        {SERVICES: (502, b"<html>")},
        "bootstrap",
        ["the enabled APIs of {0} cannot be listed: 502 Bad Gat"],
    ),
]


@pytest.mark.parametrize(("responses", "command", "expected"), CASES)
def test_missing_prerequisites_in_the_cloud_are_reported(
    google: Google,
    check: Callable[..., list[str]],
    settings: Settings,
    *,
    responses: dict[str, Response],
    command: str,
    expected: list[str],
) -> None:
    google.responses = {call.format(settings.project): response for call, response in responses.items()}
    found = check(command)
    assert len(found) == len(expected)
    for sentence, begin in zip(found, expected, strict=True):
        assert sentence.startswith(begin.format(settings.project))
        assert "\n" not in sentence


def test_all_missing_prerequisites_are_reported_at_once(
    google: Google, check: Callable[..., list[str]], settings: Settings, tmp_path: Path
) -> None:
    google.enabled -= {"run.googleapis.com", "dataproc.googleapis.com"}
    assert check("deploy", path=tmp_path) == [
        NO_TERRAFORM,
        NO_BUCKET.format(settings.project),
        f"not enabled in {settings.project}: dataproc.googleapis.com, run.googleapis.com; run `make bootstrap "
        "ENV=dev`",
    ]


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(("repository", "lacking"), [(None, []), ("a/b", ["sts.googleapis.com"])])
def test_apis_of_ci_are_required_with_ci_only(
    google: Google,
    settings: Settings,
    program: Callable[..., Path],
    repository: str | None,
    lacking: list[str],
) -> None:
    google.enabled.discard("sts.googleapis.com")
    environ = google.variables | {"PATH": str(program())}
    expected = find_missing_prerequisites(
        "deploy",
        replace(
            settings,
            ci=Ci(repository=repository, repository_id=1, repository_owner_id=2) if repository else None,
        ),
        environ=environ,
        connect=lambda: connect(settings.project, environ),
    )
    assert [sentence.split(": ")[1].split(";")[0] for sentence in expected] == lacking


def test_without_credentials_no_api_is_called(
    google: Google, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    environ = google.variables | {"PATH": str(tmp_path), "GOOGLE_OAUTH_ACCESS_TOKEN": ""}
    expected = find_missing_prerequisites(
        "deploy", settings, environ=environ, connect=lambda: connect(settings.project, environ)
    )
    assert expected == [
        NO_TERRAFORM,
        f"there are no credentials: run `{LOGIN}`, or set GOOGLE_OAUTH_ACCESS_TOKEN",
    ]
    assert google.calls == []


def test_an_unreachable_server_is_reported_in_one_message(
    google: Google, check: Callable[..., list[str]], settings: Settings
) -> None:
    url = "http://127.0.0.1:9/v1/"
    [expected] = check("bootstrap", GOOGLE_RESOURCE_MANAGER_CUSTOM_ENDPOINT=url)
    assert expected.startswith("127.0.0.1:9 cannot be reached: the connection is refused; check")


def test_the_token_is_sent_and_its_rejection_reported(
    google: Google, cloud: Cloud, settings: Settings
) -> None:
    google.responses[f"GET /v1/projects/{settings.project}"] = (401, {})
    with pytest.raises(CredentialsError, match=LOGIN):
        cloud.call("GET", f"{cloud.endpoints.resource_manager}projects/{settings.project}")
    credentials: Any = cloud.session.credentials  # type: ignore[attr-defined]
    assert credentials.token == "fake"  # noqa: S105 - what the fixture gives


@pytest.mark.usefixtures("bucket")
def test_a_secret_needs_the_api_of_secret_manager(
    google: Google, settings: Settings, program: Callable[..., Path]
) -> None:
    environ = google.variables | {"PATH": str(program())}
    expected = find_missing_prerequisites(
        "deploy",
        settings,
        environ=environ,
        connect=lambda: connect(settings.project, environ),
        secrets=True,
    )
    assert expected == [
        f"not enabled in {settings.project}: secretmanager.googleapis.com; run `make bootstrap ENV=dev`"
    ]
