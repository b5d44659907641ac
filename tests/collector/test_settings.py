"""The function's environment."""

import pytest

from collector.settings import Settings, SettingsError

pytestmark = pytest.mark.unit

ENVIRONMENT = {
    "PROJECT": "p",
    "LOCATION": "europe-west1",
    "SOURCE_FOLDER": "sources/vlille_ogc",
    "API_URL": "https://example.org/",
    "API_TIMEOUT_S": "30",
    "API_MAX_BYTES": "1048576",
    "LANDING_BUCKET": "p-landing",
    "ARCHIVE_BUCKET": "p-archive",
    "STATION_TABLE": "p.vlille.vlille_ogc",
    "QUARANTINE_TABLE": "p.vlille.quarantine",
    "EMPTY_RESPONSES_TABLE": "p.vlille.empty_responses",
}


def test_all_is_read_once() -> None:
    settings = Settings.of(ENVIRONMENT)
    assert (settings.api_timeout_s, settings.api_max_bytes) == (30.0, 2**20)
    assert settings.station_table == "p.vlille.vlille_ogc"


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^missing environment variables: {name};"):
        Settings.of({key: value for key, value in ENVIRONMENT.items() if key != name})


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf"])
def test_a_limit_is_a_positive_number(value: str) -> None:
    with pytest.raises(SettingsError, match=f"API_TIMEOUT_S: found '{value}'"):
        Settings.of(ENVIRONMENT | {"API_TIMEOUT_S": value})
