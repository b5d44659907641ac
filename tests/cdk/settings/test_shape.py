"""Keys, types and names of an environment's file."""

from pathlib import Path

import pytest

from cdk.settings import SettingsError, load_environment
from tests.cdk.settings.toml_edits import DEV, FEEDS, edited, refusal

pytestmark = pytest.mark.unit

WHOLE = "a whole number"
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
