"""The command line runs cdktf with the right arguments and variables, or refuses before anything is touched."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cdk.settings import Settings
from operate.__main__ import main
from operate.cloud import Cloud
from operate.state.bucket import ensure_bucket
from tests.operate.conftest import NUMBER, Google
from tests.operate.deployment.deployer.fakes import FakeCdktf

pytestmark = pytest.mark.emulator


@pytest.mark.parametrize(
    ("argv", "ran"),
    [
        (["bootstrap", "--env", "dev"], ["deploy", "vlille-dev-bootstrap"]),
        (
            ["bootstrap", "--env", "dev", "--auto-approve"],
            ["deploy", "vlille-dev-bootstrap", "--auto-approve"],
        ),
        (
            ["bootstrap", "--env", "dev", "--destroy", "--auto-approve"],
            ["destroy", "vlille-dev-bootstrap", "--auto-approve"],
        ),
        (["deploy", "--env", "dev"], ["deploy", "vlille-dev"]),
        (["deploy", "--env", "dev", "--auto-approve"], ["deploy", "vlille-dev", "--auto-approve"]),
        (["diff"], ["diff", "vlille-dev"]),
        (["outputs"], ["output", "vlille-dev"]),
        (["destroy", "--env", "dev", "--auto-approve"], ["destroy", "vlille-dev", "--auto-approve"]),
    ],
)
def test_a_command_runs_cdktf_with_its_words_and_variables(
    google: Google,
    cloud: Cloud,
    settings: Settings,
    cdktf: FakeCdktf,
    program: Callable[..., Path],
    *,
    argv: list[str],
    ran: list[str],
) -> None:
    ensure_bucket(cloud.storage, settings, NUMBER)
    folder = program("tofu")
    cdktf.status = 0 if "--destroy" in argv else 3
    assert main(argv, google.variables | {"PATH": str(folder)}, cdktf.given) == cdktf.status
    assert cdktf.runs == [ran]
    given = {
        name: cdktf.environ[name] for name in ("TERRAFORM_BINARY_NAME", "VLILLE_ENV", "CHECKPOINT_DISABLE")
    }
    assert given == {
        "TERRAFORM_BINARY_NAME": str(folder / "tofu"),
        "VLILLE_ENV": "dev",
        "CHECKPOINT_DISABLE": "1",
    }
    assert cdktf.environ["GOOGLE_OAUTH_ACCESS_TOKEN"] == "fake"  # noqa: S105


def test_missing_prerequisites_end_a_command_before_it_begins(
    google: Google, cdktf: FakeCdktf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    google.enabled.discard("run.googleapis.com")
    assert main(["deploy", "--env", "dev"], google.variables | {"PATH": str(tmp_path)}, cdktf.given) == 1
    out, err = capsys.readouterr()
    assert (out, cdktf.runs) == ("", [])
    assert [line.split(":")[0] for line in err.splitlines()] == [
        "terraform or tofu is not on PATH",
        "the state bucket vlille-dev-tfstate is not found",
        "not enabled in vlille-dev",
    ]


def test_a_protected_environment_is_refused_before_anything_is_touched(
    google: Google, cdktf: FakeCdktf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            ["destroy", "--env", "prod", "--auto-approve"],
            google.variables | {"PATH": str(tmp_path)},
            cdktf.given,
        )
        == 1
    )
    assert capsys.readouterr().err == (
        "prod is protected, and nothing was changed; to destroy it with all its data, set `protected = false` in "
        "environments/prod.toml, take the protection off with `make deploy ENV=prod`, then run `make destroy ENV=prod` "
        "again\n"
    )
    assert (google.calls, cdktf.runs) == ([], [])


def test_an_unknown_environment_is_a_usage_error(
    google: Google, cdktf: FakeCdktf, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["deploy", "--env", "prd"], google.variables, cdktf.given)
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: ENV: found 'prd' (did you mean \"prod\"?); accepted: dev, prod "
        "(the names of the files in environments/)\n"
    )
    assert (google.calls, cdktf.runs) == ([], [])
