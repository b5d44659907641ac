"""The section [gbfs] of an environment, and the systems that it selects."""

from datetime import timedelta
from pathlib import Path

import pytest

from cdk.settings import Settings, SettingsError, load_environment
from cdk.settings.gbfs import CATALOGUE, CLOSED_WITHIN_MINUTES
from gbfs_collector.tick import CLOSED_WITHIN, CLOSING_AGES
from tests.conftest import ENVIRONMENTS

pytestmark = pytest.mark.unit

DEV = (ENVIRONMENTS / "dev.toml").read_text("utf-8")
HEADER = (
    "Country Code,Name,Location,System ID,URL,Auto-Discovery URL,Supported Versions,Authentication Info URL,"
    "Authentication Type,Authentication Parameter Name\n"
)
ROWS = (
    "NO,Dott,Bodø,dott-bodø,,https://a.example.org/gbfs.json,2.3,,,\n"
    "FR,Keyed,Lyon,keyed,,https://b.example.org/gbfs.json,2.3,https://b.example.org/keys,2,X-Key | X-Id\n"
    "FR,Query,Nice,query,,https://c.example.org/gbfs.json,2.3,https://c.example.org/keys,1,key\n"
)


def load(folder: Path, gbfs: str, catalogue: str | None = None, dev: str = DEV) -> Settings:
    file = folder / "dev.toml"
    file.write_text(f"{dev}\n[gbfs]\n{gbfs}\n", "utf-8")
    if catalogue is not None:
        (folder / CATALOGUE).write_text(catalogue, "utf-8")
    return load_environment(file, ("vlille_gbfs",))


def refusal(folder: Path, gbfs: str, catalogue: str | None = None) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        load(folder, gbfs, catalogue)
    return refused.value


def test_without_the_table_nothing_is_collected(tmp_path: Path) -> None:
    (tmp_path / "dev.toml").write_text(DEV, "utf-8")
    settings = load_environment(tmp_path / "dev.toml", ("vlille_gbfs",))
    assert (settings.gbfs, settings.gbfs_systems) == (None, ())


def test_systems_are_meant_by_id_and_by_country(tmp_path: Path) -> None:
    settings = load(tmp_path, 'systems = ["Bixi_MTL"]\ncountries = ["FR"]')
    assert [system.system_id for system in settings.gbfs_systems] == ["Bixi_MTL", "Paris", "v_lille"]
    assert settings.gbfs is not None
    assert (settings.gbfs.shards, settings.gbfs.minutes_days, settings.gbfs.discover) == (1, 7, "23 2 * * *")


def test_overrides_are_of_one_system(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        'systems = ["keyed", "dott-bodø"]\n[gbfs.overrides.keyed]\nheaders = { X-Key = "a-secret", X-Id = "b" }\n'
        'licence = "CC0-1.0"\ninterval_minutes = 5\n[gbfs.overrides."dott-bodø"]\ninterval_minutes = 2',
        HEADER + ROWS,
    )
    bodo, keyed = settings.gbfs_systems
    assert (bodo.interval_minutes, dict(bodo.headers)) == (2, {})
    assert (keyed.interval_minutes, dict(keyed.headers)) == (5, {"X-Key": "a-secret", "X-Id": "b"})
    assert keyed.license_id == "CC0-1.0"


@pytest.mark.parametrize(
    ("gbfs", "key", "words"),
    [
        ("", "gbfs.systems", 'systems = ["v_lille"]'),
        ('systems = ["v_lile"]', "gbfs.systems", "built-in systems; `python -m gbfs systems --update --save"),
        ('systems = ["v_lile"]', "gbfs.systems", "did you mean v_lille?"),
        ('countries = ["France"]', "gbfs.countries", "two letters"),
        ('countries = ["ZZ"]', "gbfs.countries", "a country of the 8 built-in systems"),
        ('systems = ["v_lille"]\nshards = 0', "gbfs.shards", "a whole number from 1 to 16"),
        ('systems = ["v_lille"]\ntimeout_seconds = 121', "gbfs.timeout_seconds", "from 30 to 120"),
        ('systems = ["v_lille"]\ndeadline_seconds = 100', "gbfs.deadline_seconds", "from 10 to 90"),
        ('systems = ["v_lille"]\nrequest_seconds = 46', "gbfs.request_seconds", "from 1 to 45"),
        ('systems = ["v_lille"]\nminutes_days = 1', "gbfs.minutes_days", "from 2 to 3650"),
        ('systems = ["v_lille"]\nmemory = "256Mi"', "gbfs.memory", "512Mi to 8192Mi"),
        ('systems = ["v_lille"]\ndiscover = "daily"', "gbfs.discover", "five fields of Unix cron"),
        ('systems = ["v_lille"]\nshard = 2', "gbfs.shard", "did you mean shards?"),
        ('systems = "v_lille"', "gbfs.systems", "array"),
        (
            'systems = ["v_lille"]\n[gbfs.overrides.Paris]',
            "gbfs.overrides.Paris",
            "gbfs.systems or gbfs.countries",
        ),
        ('systems = ["v_lille"]\n[gbfs.overrides.lille]', "gbfs.overrides", "did you mean v_lille?"),
        (
            'systems = ["v_lille"]\n[gbfs.overrides.v_lille]\ninterval_minutes = 0',
            "gbfs.overrides.v_lille.interval_minutes",
            "from 1 to 1440",
        ),
        (
            'systems = ["v_lille"]\n[gbfs.overrides.v_lille]\nheaders = { "X Key" = "a" }',
            "gbfs.overrides.v_lille.headers",
            "HTTP header fields",
        ),
        (
            'systems = ["v_lille"]\n[gbfs.overrides.v_lille]\nheaders = { X-Key = "Bearer eyJhb.GciOi" }',
            "gbfs.overrides.v_lille.headers.X-Key",
            "never its value",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, gbfs: str, key: str, words: str) -> None:
    refused = refusal(tmp_path, gbfs)
    assert (refused.key, words in refused.accepted) == (key, True), str(refused)


@pytest.mark.parametrize(
    ("gbfs", "key", "words"),
    [
        ('systems = ["keyed"]', "gbfs.overrides.keyed.headers", '"X-Key" = "name-of-a-secret", "X-Id" ='),
        (
            'systems = ["keyed"]\n[gbfs.overrides.keyed]\nheaders = { x-key = "a" }',
            "gbfs.overrides.keyed.headers",
            '{ "X-Id" = "name-of-a-secret" }: the system needs a key, see https://b.example.org/keys',
        ),
        ('countries = ["FR"]', "gbfs.overrides.keyed.headers", "needs a key"),
        ('systems = ["query"]', "gbfs.overrides.query.headers", "whose key is a header field"),
        ('systems = ["v_lille"]', "gbfs.systems", "the 3 systems of"),
    ],
)
def test_a_saved_catalogue_counts_and_keys_are_asked_for(
    tmp_path: Path, gbfs: str, key: str, words: str
) -> None:
    refused = refusal(tmp_path, gbfs, HEADER + ROWS)
    assert (refused.key, words in refused.accepted) == (key, True), str(refused)


def test_no_day_is_settled_before_its_last_minute_is_closed(tmp_path: Path) -> None:
    """The batch takes a day as settled once the redelivery window has passed; a closing check loads rows until then."""
    assert CLOSING_AGES[-1] < CLOSED_WITHIN == timedelta(minutes=CLOSED_WITHIN_MINUTES)
    lowest = DEV.replace("retention_minutes = 60", f"retention_minutes = {CLOSED_WITHIN_MINUTES}")
    messages = load(tmp_path, 'systems = ["v_lille"]', dev=lowest).messages
    assert timedelta(seconds=messages.redelivery_window_seconds) > CLOSED_WITHIN

    low = DEV.replace("retention_minutes = 60", "retention_minutes = 59")
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, 'systems = ["v_lille"]', dev=low)
    assert (refused.value.key, refused.value.found) == ("messages.retention_minutes", 59)
    assert refused.value.accepted == (
        "at least 60 in an environment with [gbfs]: rows of a minute may be loaded until 60 minutes after it, and "
        "would be there twice if its day was rebuilt before"
    )
    (tmp_path / "dev.toml").write_text(low, "utf-8")
    assert load_environment(tmp_path / "dev.toml", ("vlille_gbfs",)).messages.retention_minutes == 59


def test_a_catalogue_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    refused = refusal(tmp_path, 'systems = ["v_lille"]', "no catalogue")
    assert refused.file.endswith(CATALOGUE)
    assert "--save environments/systems.csv" in refused.accepted
