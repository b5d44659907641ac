"""The calls of cdktf-cli: arguments and variables, exit status, and Ctrl-C."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from operate.deployment import terraform
from operate.errors import OperateError

pytestmark = pytest.mark.synth


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a shell script in cdktf's place, installed already."""

    def make(text: str) -> Path:
        file = tmp_path / "cdktf"
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
        monkeypatch.setattr(terraform, "CDKTF", file)
        monkeypatch.setattr(terraform, "INSTALL_CDKTF", ("true",))
        return tmp_path

    return make


def test_words_variables_and_exit_status_are_passed_on(script: Callable[[str], Path]) -> None:
    folder = script('echo "$* $VLILLE_ENV" > "$NOTE"; exit 3')
    note = folder / "note"
    environ = {"PATH": os.environ["PATH"], "VLILLE_ENV": "dev", "NOTE": str(note)}
    assert terraform.Cdktf(environ).run(["deploy", "vlille-dev"]) == 3
    assert note.read_text() == "deploy vlille-dev --output cdktf.out/environments/dev --skip-synth dev\n"


def test_two_environments_have_a_folder_each(script: Callable[[str], Path]) -> None:
    """Two environments can be deployed at once: one must not overwrite the manifest of the other."""
    note = script('echo "$*" >> "$NOTE"') / "note"
    for name in ("dev", "prod"):
        environ = {"PATH": os.environ["PATH"], "VLILLE_ENV": name, "NOTE": str(note)}
        assert terraform.Cdktf(environ).run(["deploy", f"vlille-{name}"]) == 0
    folders = re.findall(r"--output (\S+)", note.read_text())
    assert folders == ["cdktf.out/environments/dev", "cdktf.out/environments/prod"]


def test_the_program_is_waited_for_after_ctrl_c(script: Callable[[str], Path]) -> None:
    """Terraform saves its state after Ctrl-C: whoever called it must not be gone before."""
    script("kill -INT $PPID; sleep 0.3; exit 7")
    # Python's own, which a program that a shell began in the background has not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert terraform.Cdktf(os.environ).run(["destroy"]) == 7
        with pytest.raises(KeyboardInterrupt):  # ours again
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_failed_installation_is_reported_in_one_message(
    script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = script('touch "$NOTE"')
    monkeypatch.setattr(terraform, "INSTALL_CDKTF", ("false",))
    with pytest.raises(OperateError, match="cdktf-cli cannot be installed: run `false` to see why"):
        terraform.Cdktf({"PATH": os.environ["PATH"], "NOTE": str(folder / "note")}).run(["deploy"])
    assert not (folder / "note").exists()


def test_a_mirror_of_providers_replaces_the_registry(script: Callable[[str], Path]) -> None:
    """cdktf's own look-up of checksums would go there all the same, and its cache would keep the folder's."""
    folder = script(
        'echo "$* $CDKTF_DISABLE_PLUGIN_CACHE_ENV" > "$NOTE"; cat "$TF_CLI_CONFIG_FILE" >> "$NOTE"'
    )
    mirror, note = folder / "providers", folder / "note"
    mirror.mkdir()
    environ = {"PATH": os.environ["PATH"], "NOTE": str(note), "VLILLE_PROVIDER_MIRROR": str(mirror)}
    assert terraform.Cdktf(environ).run(["diff", "vlille-dev"]) == 0
    assert note.read_text().splitlines() == [
        "diff vlille-dev --output cdktf.out --skip-synth --skip-provider-lock 1",
        "provider_installation {",
        "  filesystem_mirror {",
        f'    path = "{mirror}"',
        "  }",
        "}",
    ]


def test_a_missing_mirror_is_reported_in_one_message(script: Callable[[str], Path]) -> None:
    folder = script("exit 0")
    environ = {"PATH": os.environ["PATH"], "VLILLE_PROVIDER_MIRROR": str(folder / "nowhere")}
    with pytest.raises(OperateError, match=r"VLILLE_PROVIDER_MIRROR: found .*nowhere"):
        terraform.Cdktf(environ).run(["diff"])


def test_errors_of_the_synthesis_are_reported_before_cdktf_begins(tmp_path: Path) -> None:
    environ = {**os.environ, "VLILLE_ENV": "dev", "VLILLE_SOURCES": str(tmp_path / "none")}
    with pytest.raises(OperateError, match=r"VLILLE_SOURCES: found .*; accepted: a folder that exists"):
        terraform.Cdktf(environ).synthesize("vlille-dev", {})


def test_terraform_runs_in_the_folder_of_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output is appended to a file, standard error is shown to the user."""
    monkeypatch.setattr(terraform, "ROOT", tmp_path)
    folder = tmp_path / "cdktf.out" / "environments" / "dev" / "stacks" / "vlille-dev"
    folder.mkdir(parents=True)
    file = tmp_path / "terraform"
    file.write_text(
        '#!/bin/sh\n[ "$1" = version ] && echo \'{"terraform_version": "1.11.4"}\' && exit\n'
        'echo "$* in $(pwd) as $VLILLE_ENV"; echo "Error: no" >&2; exit 3\n'
    )
    file.chmod(0o755)
    log = tmp_path / "log"
    log.write_text("before\n")
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VLILLE_ENV": "dev"}
    cdktf = terraform.Cdktf(environ)
    assert cdktf.terraform("vlille-dev", ["plan"], log) == 3
    assert log.read_text() == f"before\nplan in {folder} as dev\n"
    assert capfd.readouterr() == ("", "Error: no\n")
    assert cdktf.terraform("vlille-dev", ["apply", "plan"]) == 3
    assert capfd.readouterr().out == f"apply plan in {folder} as dev\n"


@pytest.mark.parametrize(
    ("message", "fetched", "expected"),
    [
        (
            "Error: Failed to query available provider packages",
            False,
            True,
        ),  # Terraform, without a connection
        ("Error: Failed to resolve provider packages", False, True),  # OpenTofu
        (
            "Error: Failed to query available provider packages",
            True,
            False,
        ),  # it is there: something else failed
        ("Error: Failed to get existing workspaces", False, False),
    ],
)
@pytest.mark.parametrize("command", ["cdktf", "terraform"])
def test_a_provider_that_cannot_be_fetched_is_reported_with_the_mirror(
    script: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    message: str,
    *,
    fetched: bool,
    expected: bool,
) -> None:
    folder = script("exit 1")
    monkeypatch.setattr(terraform, "ROOT", folder)
    stack = folder / "cdktf.out" / "environments" / "dev" / "stacks" / "vlille-dev"
    (stack / (".terraform/providers" if fetched else ".")).mkdir(parents=True)
    program = folder / "terraform"
    program.write_text(
        '#!/bin/sh\n[ "$1" = version ] && echo \'{"terraform_version": "1.11.4"}\' && exit\n'
        f'echo "{message}" >&2; exit 1\n'
    )
    program.chmod(0o755)
    cdktf = terraform.Cdktf({"PATH": f"{folder}:{os.environ['PATH']}", "VLILLE_ENV": "dev"})

    def run() -> int:
        if command == "cdktf":
            return cdktf.run(["deploy", "vlille-dev"])
        return cdktf.terraform("vlille-dev", ["init"], folder / "log")

    if not expected:
        assert run() == 1
        return
    with pytest.raises(
        OperateError, match=r"^the google provider cannot be fetched .* VLILLE_PROVIDER_MIRROR"
    ):
        run()
