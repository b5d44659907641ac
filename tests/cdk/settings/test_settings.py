"""What an environment's file may say, and the sentence for what it may not."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdk.settings import Settings, SettingsError, load_environment, load_environments
from tests.conftest import ENVIRONMENTS

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
DEV = (ENVIRONMENTS / "dev.toml").read_text("utf-8")
CI = '\n[ci]\nrepository = "bikes-lille/vlille"\nrepository_id = 1296269\nrepository_owner_id = 583231\n'
FEEDS = ("vlille_gbfs", "vlille_ods", "vlille_ogc", "vlille_wfs")
WHOLE = "a whole number"
LABEL = "lower-case letters, digits, _ and -, at most 63, a letter first in the key"
MACHINE = "a machine type of the series e2, n1, n2, n2d, t2d, such as n1-standard-4"
SUBNET = "a private IPv4 range of at least 8 addresses, such as 10.20.0.0/24"
CRON = 'five fields of Unix cron, such as "*/10 * * * *"'
PROJECT = "a project ID: 6 to 30 of a-z, 0-9 and -, a letter first, no - last"
REGION = "a Google Cloud region, such as europe-west1"
REPOSITORY = "a GitHub repository as owner/name, at most 90 characters"
MEMORY = "256Mi to 8192Mi, written as 512Mi or 1Gi"


def with_line(text: str, key: str, line: str | None) -> str:
    """Return TOML with the line of the dotted `key` replaced, added to its section, or (None) taken out."""
    section, _, name = key.rpartition(".")
    lines = text.splitlines()
    header = lines.index(f"[{section}]") if section and f"[{section}]" in lines else -1
    if section and header < 0:
        return f"{text}\n[{section}]\n{line}\n"
    end = next((i for i in range(header + 1, len(lines)) if lines[i].startswith("[")), len(lines))
    at = next((i for i in range(header + 1, end) if re.match(rf"{re.escape(name)} *=", lines[i])), None)
    new = [] if line is None else [line]
    lines[header + 1 if at is None else at : header + 1 if at is None else at + 1] = new
    return "\n".join(lines) + "\n"


def edited(key: str, value: str | None, text: str = DEV) -> str:
    """Return dev.toml with a TOML literal as a key's value, or without the key; [ci] is whole but for that key."""
    if key.startswith("ci.") and "[ci]" not in text:
        text += CI
    return with_line(text, key, None if value is None else f"{key.rpartition('.')[2]} = {value}")


def load(folder: Path, text: str, name: str = "dev.toml") -> Settings:
    file = folder / name
    file.write_text(text, "utf-8")
    return load_environment(file, FEEDS)


def refusal(folder: Path, text: str, name: str = "dev.toml") -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(folder, text, name)
    error = caught.value
    assert (error.file, str(error).count("\n")) == (str(folder / name), 0)
    assert str(error).startswith(f"{folder / name}: {error.key}: found ")
    assert str(error).endswith(f", accepted: {error.accepted}")
    return error


# --- shape: ((key, TOML value or None to take the line out), key told, found, accepted) --------------

SHAPES = [
    # an unknown key, with the one that was probably meant
    (("projct", '"a"'), "projct", "an unknown key", "did you mean project?"),
    (("schedule.colect", '"a"'), "schedule.colect", "an unknown key", "batch, collect, copy, time_zone; did you mean collect?"),  # noqa: E501
    (("batch.workers.disk_gigabyte", "5"), "batch.workers.disk_gigabyte", "an unknown key", "did you mean disk_gigabytes?"),  # noqa: E501
    (("alerts.zzz", "1"), "alerts.zzz", "an unknown key", "email, silent_minutes"),
    (("retentoin.days", "1"), "retentoin", "an unknown key", "did you mean retention?"),
    # a missing one
    (("project", None), "project", "nothing", "a text; the key is needed"),
    (("protected", None), "protected", "nothing", "true or false; the key is needed"),
    (("copier.threads", None), "copier.threads", "nothing", "a whole number; the key is needed"),
    (("batch.master.machine_type", None), "batch.master.machine_type", "nothing", "a text; the key is needed"),
    # a wrong type
    (("project", "7"), "project", 7, "a text"),
    (("protected", '"yes"'), "protected", "yes", "true or false"),
    (("protected", "1"), "protected", 1, "true or false"),
    (("copier.threads", '"16"'), "copier.threads", "16", WHOLE),
    (("copier.threads", "16.0"), "copier.threads", 16.0, WHOLE),
    (("copier.threads", "true"), "copier.threads", True, WHOLE),
    (("copier.cpu", "1"), "copier.cpu", 1, "a text"),
    (("batch.workers.count", '"7"'), "batch.workers.count", "7", WHOLE),
    (("batch.subnet", "[]"), "batch.subnet", [], "a text"),
    (("ci.repo", '"a/b"'), "ci.repo", "an unknown key", "repository_owner_id"),
    (("ci.repository", "7"), "ci.repository", 7, "a text"),
    (("ci.repository_id", '"7"'), "ci.repository_id", "7", "a whole number"),
    (("ci", '"a/b"'), "ci", "a/b", "a table: [ci]"),
    (("labels.team", "7"), "labels", {"team": 7}, "a text for each of its keys"),
    (("labels", '"team"'), "labels", "team", "a table"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "key", "found", "accepted"), SHAPES)
def test_a_shape_that_does_not_fit(
    tmp_path: Path, edit: tuple[str, str | None], key: str, found: object, accepted: str
) -> None:
    error = refusal(tmp_path, edited(*edit))
    assert (error.key, error.found) == (key, found)
    assert error.accepted.endswith(accepted)


@pytest.mark.parametrize(
    ("text", "key", "found", "accepted"),
    [
        (DEV.replace("[alerts]", "[[alerts]]"), "alerts", "[{'email'", "a table: [alerts]"),
        (edited("batch.workers", "7", DEV.replace("[batch.workers]", "[labels]").replace("count", "a")),
         "batch.workers", "7", "a table: [batch.workers]"),
        (DEV.replace("[retention]", "[alerts.x]"), "retention", "nothing", "a table; the key is needed"),
        (DEV + "[alerts]\n", "syntax", "\"Cannot declare", "TOML 1.0"),
        (DEV.replace('"Europe/Paris"', "Europe/Paris"), "syntax", "'Invalid", "TOML 1.0"),
        (DEV.replace("= 16\n", f"= {'9' * 5000}\n", 1), "syntax", "'Exceeds", "TOML 1.0"),
        (f"labels = {'[' * 5000}", "syntax", "'maximum recursion", "TOML 1.0"),
        (DEV + "[ci]\n", "ci.repository", "nothing", "a text; the key is needed"),
        (DEV + "[budget]\n", "budget.billing_account", "nothing", "a text; the key is needed"),
        ("", "project", "nothing", "a text; the key is needed"),
    ],
    ids=[
        *("list of tables", "no table", "missing table", "twice", "no quotes", "long number", "deep", "no ci"),
        *("no budget", "empty"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit(tmp_path: Path, text: str, key: str, found: str, accepted: str) -> None:
    error = refusal(tmp_path, text)
    assert (error.key, error.accepted) == (key, accepted)
    assert f": found {found}" in str(error)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "dev.toml").mkdir()
    with pytest.raises(SettingsError, match=r"dev\.toml: file: found 'Is a directory', accepted: a file"):
        load_environment(tmp_path / "dev.toml", FEEDS)
    (tmp_path / "bytes.toml").write_bytes(b"project = '\xff'")
    with pytest.raises(SettingsError, match=r"bytes\.toml: syntax: found .*can't decode.* accepted: TOML"):
        load_environment(tmp_path / "bytes.toml", FEEDS)


# --- values: (key, TOML value, accepted); the key told is the key changed ---------------------------

VALUES = [
    ("project", '"vlille"', None),
    ("project", '"vlil"', PROJECT),
    ("project", '"Vlille-dev"', PROJECT),
    ("project", '"vlille_dev"', PROJECT),
    ("project", '"vlille-"', PROJECT),
    ("project", '"1vlille"', PROJECT),
    ("project", f'"{"v" * 31}"', PROJECT),
    ("project", '"my-google-bikes"', "a name without 'google', which no bucket may hold"),
    ("region", '"europe-west9"', None),
    ("region", '"EU"', REGION),
    ("region", '"europe-west1-b"', REGION),
    ("region", '"Europe-West1"', REGION),
    ("feed", '"vlille_ods"', None),
    ("feed", '"velib"', "vlille_gbfs, vlille_ods, vlille_ogc, vlille_wfs"),
    ("feed", '"vlille_og"', "vlille_gbfs, vlille_ods, vlille_ogc, vlille_wfs; did you mean vlille_ogc?"),
    ("schedule.time_zone", '"UTC"', None),
    ("schedule.time_zone", '"Europe/Lille"', "did you mean "),
    ("schedule.time_zone", '"europe/paris"', "did you mean Europe/Paris?"),
    ("schedule.time_zone", '"localtime"', " names, such as "),
    ("schedule.time_zone", '"../../etc/passwd"', " names, such as "),
    ("schedule.collect", '"*/2 6-23 * * mon-fri"', None),
    ("schedule.collect", '"* * * *"', CRON),
    ("schedule.collect", '"* * * * * *"', CRON),
    ("schedule.collect", '"60 * * * *"', f"{CRON} (Bad minute)"),
    ("schedule.collect", '"every minute"', CRON),
    ("schedule.collect", '"@daily"', CRON),
    ("schedule.copy", '"*/0 * * * *"', f"{CRON} (Bad minute)"),
    ("schedule.copy", '"0 4 L * *"', CRON),
    ("schedule.copy", '"0 4 l * *"', CRON),
    ("schedule.copy", '"0 4 * * 5#2"', CRON),
    ("schedule.copy", '"0 0 30 2 *"', f"{CRON} (Bad day-of-month)"),
    ("schedule.copy", '""', CRON),
    ("schedule.batch", '"7 3 * * *"', None),
    ("schedule.batch", '"6 3 * * *"', "it fires at 01:06 UTC on 2024-03-31"),  # in summer only
    ("schedule.batch", '"0 3 * * *"', "at least 67 minutes after midnight UTC"),  # the last delivery is at work
    ("schedule.batch", '"0 1 * * *"', "it fires at 00:00 UTC on 2024-01-01"),
    ("schedule.batch", '"*/5 2-23 * * *"', "it fires at 01:00 UTC on 2024-01-01"),
    ("schedule.batch", '"* * * * *"', "it fires at 00:00 UTC on 2024-01-01"),
    ("schedule.batch", '"30 2 1 8 *"', "it fires at 00:30 UTC on 2024-08-01"),
    ("schedule.batch", '"30 2 1 12 *"', None),
    ("collector.runtime", '"python314"', None),
    ("collector.runtime", '"python311"', "did you mean python314?"),
    ("collector.runtime", '"nodejs22"', "python312, python313, python314"),
    ("collector.memory", '"1Gi"', None),
    ("collector.memory", '"128Mi"', MEMORY),
    ("collector.memory", '"16Gi"', MEMORY),
    ("collector.memory", '"512M"', MEMORY),
    ("collector.memory", '"0512Mi"', MEMORY),
    ("collector.memory", f'"{"9" * 5000}Mi"', MEMORY),
    ("collector.timeout_seconds", "120", None),
    ("collector.timeout_seconds", "121", "at most messages.ack_deadline_seconds (120)"),
    ("collector.timeout_seconds", "9", "a whole number from 10 to 540"),
    ("collector.max_instances", "0", "a whole number from 1 to 100"),
    ("collector.api_timeout_seconds", "95", None),
    ("collector.api_timeout_seconds", "96", "a whole number from 1 to 95"),
    ("collector.api_timeout_seconds", "0", "a whole number from 1 to 95"),
    ("collector.api_max_mebibytes", "65", "a whole number from 1 to 64"),
    ("copier.cpu", '"3"', "1, 2, 4"),
    ("copier.cpu", '"1000m"', "1, 2, 4"),
    ("copier.memory", '"4Gi"', None),
    ("copier.memory", '"4097Mi"', "512Mi to 4096Mi, written as 512Mi or 1Gi"),
    ("copier.memory", '"256Mi"', "512Mi to 4096Mi, written as 512Mi or 1Gi"),
    ("copier.timeout_seconds", "60", None),
    ("copier.timeout_seconds", "59", "a whole number from 60 to 1800"),
    ("copier.timeout_seconds", "1801", "a whole number from 60 to 1800"),
    ("copier.max_instances", "101", "a whole number from 1 to 100"),
    ("copier.threads", "0", "a whole number from 1 to 128"),
    ("messages.ack_deadline_seconds", "601", "a whole number from 10 to 600"),
    ("messages.retention_minutes", "9", "a whole number from 10 to 44640"),
    ("messages.retention_minutes", "-1063994401", "a whole number from 10 to 44640"),
    ("messages.minimum_backoff_seconds", "-1", "a whole number from 0 to 600"),
    ("messages.maximum_backoff_seconds", "9", "a whole number from 10 to 600"),
    ("messages.maximum_backoff_seconds", "601", "a whole number from 10 to 600"),
    ("messages.max_delivery_attempts", "5", None),
    ("messages.max_delivery_attempts", "4", "a whole number from 5 to 100"),
    ("messages.dead_letter_days", "32", "a whole number from 1 to 31"),
    ("batch.image", '"2.3-ubuntu22"', None),
    ("batch.image", '"2.3"', "2.3-debian12, 2.3-ubuntu22, 3.0-debian12, 3.0-ubuntu24"),
    ("batch.image", '"2.2-debian12"', "did you mean 2.3-debian12?"),
    ("batch.timeout_minutes", "9", "a whole number from 10 to 1440"),
    ("batch.subnet", '"192.168.7.0/29"', None),
    ("batch.subnet", '"10.20.0.1/24"', SUBNET),
    ("batch.subnet", '"10.20.0.0/30"', SUBNET),
    ("batch.subnet", '"8.8.8.0/24"', SUBNET),
    ("batch.subnet", '"127.0.0.0/8"', SUBNET),
    ("batch.subnet", '"169.254.0.0/16"', SUBNET),
    ("batch.subnet", '"fd00::/64"', SUBNET),
    ("batch.subnet", '"default"', SUBNET),
    ("batch.master.machine_type", '"n2-highmem-8"', None),
    ("batch.master.machine_type", '"n1-standard-3"', MACHINE),
    ("batch.master.machine_type", '"n1-standard4"', MACHINE),
    ("batch.master.machine_type", '"c4-standard-4"', MACHINE),  # boots from Hyperdisk only
    ("batch.workers.machine_type", '"n1-standard-²"', MACHINE),
    ("batch.workers.machine_type", '"large"', MACHINE),
    ("batch.master.disk_gigabytes", "29", "a whole number from 30 to 64000"),
    ("batch.workers.disk_gigabytes", "64001", "a whole number from 30 to 64000"),
    ("batch.workers.count", "2", None),
    ("batch.workers.count", "1", "0 (a single node) or a whole number from 2 to 100"),
    ("batch.workers.count", "-1", "0 (a single node) or a whole number from 2 to 100"),
    ("retention.landing_days", "0", "a whole number from 1 to 3650"),
    ("retention.archive_days", "365", None),
    ("retention.archive_days", "-1", "a whole number from 0 to 36500"),
    ("retention.staging_days", "31", "a whole number from 1 to 30"),
    ("retention.soft_delete_days", "7", None),
    ("retention.soft_delete_days", "3", "0 (none) or a whole number from 7 to 90"),
    ("retention.soft_delete_days", "91", "0 (none) or a whole number from 7 to 90"),
    ("alerts.email", '"bikes+prod@team.example.org"', None),
    ("alerts.email", '"vlille"', "an e-mail address"),
    ("alerts.email", '"a@b"', "an e-mail address"),
    ("alerts.email", '"a b@example.org"', "an e-mail address"),
    ("alerts.silent_minutes", "4", "a whole number from 5 to 1380"),
    ("alerts.silent_minutes", str(10**30), "a whole number from 5 to 1380"),
    ("ci.repository", '"bikes-lille/vlille"', None),
    ("ci.repository", '"B/.github"', None),
    ("ci.repository_id", "0", "a whole number from 1 to 1000000000000000"),
    ("ci.repository_id", "1000000000000000", None),
    ("ci.repository_owner_id", "-7", "a whole number from 1 to 1000000000000000"),
    ("ci.repository", f'"{"o" * 39}/{"n" * 50}"', None),
    ("ci.repository", f'"{"o" * 39}/{"n" * 51}"', REPOSITORY),
    ("ci.repository", f'"{"o" * 40}/n"', REPOSITORY),
    ("ci.repository", '"vlille"', REPOSITORY),
    ("ci.repository", '"https://github.com/bikes-lille/vlille"', REPOSITORY),
    ("ci.repository", '"bikes-/vlille"', REPOSITORY),
    ("ci.repository", '"bikes--lille/vlille"', REPOSITORY),
    ("ci.repository", '"bikes_lille/vlille"', REPOSITORY),
    ("ci.repository", '"bikes/.."', REPOSITORY),
    ("ci.repository", '"bikes/vlille\\n"', REPOSITORY),
    ("ci.repository", """"bikes/' || true || '\"""", REPOSITORY),
    ("labels.team", '"bikes"', None),
    ("labels.team", '""', None),
    ("labels.Team", '"bikes"', LABEL),
    ("labels.team", '"Bikes"', LABEL),
    ("labels.team", f'"{"b" * 64}"', LABEL),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "accepted"), [case for case in VALUES if case[2] is not None])
def test_a_value_that_is_impossible(tmp_path: Path, key: str, value: str, accepted: str) -> None:
    error = refusal(tmp_path, edited(key, value))
    assert (error.key, error.found) == (key, json.loads(value))
    assert accepted in error.accepted


@pytest.mark.parametrize(("key", "value"), [case[:2] for case in VALUES if case[2] is None])
def test_a_value_that_is_possible(tmp_path: Path, key: str, value: str) -> None:
    loaded: object = load(tmp_path, edited(key, value))
    for name in key.split("."):
        loaded = loaded[name] if isinstance(loaded, dict) else getattr(loaded, name)
    assert loaded == json.loads(value)


@pytest.mark.parametrize("name", ["Dev.toml", "1dev.toml", "my-dev.toml", f"{'d' * 21}.toml"])
def test_a_file_name_that_is_no_environment(tmp_path: Path, name: str) -> None:
    error = refusal(tmp_path, DEV, name)
    assert (error.key, error.found) == ("file name", name)


def test_the_midnight_that_counts_moves_with_what_may_be_delivered_late(tmp_path: Path) -> None:
    text = edited("schedule.time_zone", '"UTC"', edited("schedule.batch", '"30 1 * * *"'))
    load(tmp_path, edited("messages.retention_minutes", "83", text))
    error = refusal(tmp_path, edited("messages.retention_minutes", "84", text))
    assert error.key == "schedule.batch"


# --- environments ---------------------------------------------------------------------------------


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
            f"{tmp_path / 'next.toml'}: project: found 'vlille-dev', accepted: a project of its own: "
            "dev has this one"
        )


def test_no_environment(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no \*\.toml file.*one file per environment"):
        load_environments(tmp_path, FEEDS)
    with pytest.raises(
        SettingsError, match=r"environment: found 'prd', accepted: dev, prod; did you mean prod"
    ):
        load_environments(ENVIRONMENTS, FEEDS, only="prd")


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "said"),
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
def test_synthesizing_nothing_says_one_sentence(tmp_path: Path, variable: str, value: str, said: str) -> None:
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
    assert said in done.stderr
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


# --- property -------------------------------------------------------------------------------------

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


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=mutations())
def test_whatever_a_file_says_it_is_settings_or_one_sentence(tmp_path: Path, text: str) -> None:
    try:
        loaded = load(tmp_path, text)
    except SettingsError as error:
        loaded, said = None, str(error)
    if loaded is None:
        assert "\n" not in said
    else:
        assert (loaded.environment, loaded.feed in FEEDS) == ("dev", True)


# --- budget ---------------------------------------------------------------------------------------


def with_budget(account: str, amount: str) -> str:
    return f'{DEV}\n[budget]\nbilling_account = "{account}"\nmonthly_amount = {amount}\n'


def test_a_budget_is_read(tmp_path: Path) -> None:
    budget = load(tmp_path, with_budget("01AB23-4CD567-89EF01", "5")).budget
    assert budget is not None
    assert (budget.billing_account, budget.monthly_amount) == ("01AB23-4CD567-89EF01", 5)
    assert load(tmp_path, DEV).budget is None


@pytest.mark.parametrize(
    ("account", "amount", "key"),
    [
        ("billingAccounts/01AB23-4CD567-89EF01", "5", "budget.billing_account"),
        ("01ab23-4cd567-89ef01", "5", "budget.billing_account"),
        ("", "5", "budget.billing_account"),
        ("01AB23-4CD567-89EF01", "0", "budget.monthly_amount"),
        ("01AB23-4CD567-89EF01", "1000001", "budget.monthly_amount"),
    ],
)
def test_a_budget_that_cannot_be(tmp_path: Path, account: str, amount: str, key: str) -> None:
    assert refusal(tmp_path, with_budget(account, amount)).key == key
