"""Folders of environments: which files are loaded, and the message for a file that cannot be loaded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdk.settings import SettingsError, load_environments
from tests.cdk.settings.toml_edits import DEV, FEEDS, ROOT, edited, load
from tests.conftest import ENVIRONMENTS

pytestmark = pytest.mark.unit

SHARED = f"shared_project = true\n{DEV}"


def test_the_projects_environments() -> None:
    environments = load_environments(ENVIRONMENTS, FEEDS)
    assert list(environments) == ["dev", "prod"]
    dev, prod = environments["dev"], environments["prod"]
    assert (dev.protected, prod.protected) == (False, True)
    assert (dev.ci, dev.stack, dev.bootstrap_stack) == (None, "vlille-dev", "vlille-dev-bootstrap")
    assert (prod.dataset, prod.bucket("archive")) == ("vlille-prod.vlille", "vlille-prod-archive")
    assert dev.service_account("copier") == "vlille-copier@vlille-dev.iam.gserviceaccount.com"


def test_an_environment_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "dev.toml").write_text(DEV, "utf-8")
    (tmp_path / "test2.toml").write_text(edited("project", '"vlille-test2"'), "utf-8")
    assert list(load_environments(tmp_path, FEEDS)) == ["dev", "test2"]
    assert list(load_environments(tmp_path, FEEDS, only="test2")) == ["test2"]
    assert {s.feed for s in load_environments(tmp_path, FEEDS, feed="vlille_wfs").values()} == {"vlille_wfs"}


def test_two_environments_with_one_project(tmp_path: Path) -> None:
    (tmp_path / "dev.toml").write_text(DEV, "utf-8")
    (tmp_path / "next.toml").write_text(DEV, "utf-8")
    for only in (None, "dev"):
        with pytest.raises(SettingsError) as caught:
            load_environments(tmp_path, FEEDS, only=only)
        assert str(caught.value) == (
            f"{tmp_path / 'next.toml'}: project: found 'vlille-dev', accepted: a project of its own, because dev has "
            "this one; or shared_project = true, which puts 'next' into the names of all resources"
        )
    for name in ("next", "other"):
        (tmp_path / f"{name}.toml").write_text(SHARED, "utf-8")
    assert list(load_environments(tmp_path, FEEDS)) == ["dev", "next", "other"]


@pytest.mark.parametrize("name", ["twelvelettrs", "views", "dead"])
def test_an_environment_whose_name_cannot_be_in_names(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.toml").write_text(DEV, "utf-8")
    assert list(load_environments(tmp_path, FEEDS)) == [name]
    (tmp_path / f"{name}.toml").write_text(SHARED, "utf-8")
    with pytest.raises(
        SettingsError, match=r"shared_project: found True, accepted: a file name of at most 11"
    ):
        load_environments(tmp_path, FEEDS)


def test_no_environment(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no \*\.toml file.*one file per environment"):
        load_environments(tmp_path, FEEDS)
    with pytest.raises(
        SettingsError, match=r"environment: found 'prd', accepted: dev, prod; did you mean prod"
    ):
        load_environments(ENVIRONMENTS, FEEDS, only="prd")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "VLILLE_FEED",
            "nope",
            "error: VLILLE_FEED: found 'nope'; accepted: vlille_gbfs, vlille_ods, vlille_ogc, vlille_wfs",
        ),
        ("VLILLE_ENV", "nope", "error: VLILLE_ENV: found 'nope'; accepted: dev, prod"),
        ("VLILLE_CDK", "pulumi", "error: VLILLE_CDK: found 'pulumi'; accepted: cdktf, cdktn"),
        (
            "VLILLE_SOURCES",
            "nowhere",
            "error: VLILLE_SOURCES: found 'nowhere'; accepted: a folder that exists",
        ),
    ],
)
def test_an_invalid_variable_is_one_message(tmp_path: Path, variable: str, value: str, message: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "stacks.py")],
        cwd=tmp_path,
        env=os.environ | {"CDKTF_OUTDIR": str(tmp_path / "out"), variable: value},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_named_as_seen_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "environments"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        SettingsError, match=r"^environments/dev\.toml: schedule\.colect: found an unknown key, "
    ):
        load(folder, DEV.replace("\ncollect =", "\ncolect ="))
    monkeypatch.chdir(folder)
    with pytest.raises(SettingsError, match=r"^dev\.toml: "):
        load(folder, "project = 1")


LINES = DEV.splitlines()
ASSIGNMENTS = [i for i, line in enumerate(LINES) if " = " in line]
VALUE_TEXT = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.booleans().map(lambda value: str(value).lower()),
    st.text(max_size=40).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.text("0123456789*/,-LW#?monfri ", max_size=20).map(lambda text: f'"{text}"'),
    st.lists(st.sampled_from(["*", "0", "*/7", "3", "5-1", "31", "29", "2", "*/90", "mon"]), min_size=5, max_size=5)
    .map(lambda fields: f'"{" ".join(fields)}"'),
    st.from_regex(r"(e2|n1|c4)-standard-\d{1,3}|\d{1,3}(\.\d{1,3}){3}/\d{1,2}|[1-9]\d*(Mi|Gi)", fullmatch=True)
    .map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(["[]", "{}", "{a = {b = 1}}", "[[1], 'x']", "1979-05-27T07:32:00Z", "07:32:00", "nan", "'''", "="]),
    st.text(max_size=10),
)  # fmt: skip


@st.composite
def mutations(draw: st.DrawFn) -> str:
    lines = list(LINES)
    at = draw(st.sampled_from(ASSIGNMENTS))
    name, _, value = lines[at].partition(" = ")
    match draw(st.sampled_from(["value", "value", "value", "key", "drop", "twice", "move", "text"])):
        case "value":
            lines[at] = f"{name} = {draw(VALUE_TEXT)}"
        case "key":
            lines[at] = f"{draw(st.text(max_size=12))} = {value}"
        case "drop":
            del lines[at]
        case "twice":
            lines.insert(at, lines[at])
        case "move":
            lines.insert(draw(st.integers(0, len(lines))), lines.pop(at))
        case "text":
            lines.insert(draw(st.integers(0, len(lines))), draw(st.text(max_size=20)))
    return "\n".join(lines)


@pytest.mark.long
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=mutations())
def test_whatever_a_file_says_it_is_settings_or_one_sentence(tmp_path: Path, text: str) -> None:
    try:
        loaded = load(tmp_path, text)
    except SettingsError as error:
        loaded, message = None, str(error)
    if loaded is None:
        assert "\n" not in message
    else:
        assert (loaded.environment, loaded.feed in FEEDS) == ("dev", True)
