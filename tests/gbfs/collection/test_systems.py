"""The file with the systems that an environment collects."""

import pytest

from gbfs.catalogue.built_in import BUILT_IN_SYSTEMS
from gbfs.collection.systems import (
    CollectedSystem,
    list_secrets,
    make_collected_system,
    read_systems,
    write_systems,
)

pytestmark = pytest.mark.unit

LILLE = make_collected_system(BUILT_IN_SYSTEMS[0])
BODO = CollectedSystem(
    "dott-bodø",
    "Dott",
    "NO",
    "Bodø",
    "https://example.org/gbfs.json",
    {"X-Key": "b", "X-Id": "a"},
    "CC0-1.0",
    5,
)


def test_a_system_of_the_catalogue_is_collected_each_minute_without_a_key() -> None:
    assert LILLE.system_id == "v_lille"
    assert LILLE.discovery_url == "https://media.ilevia.fr/opendata/gbfs.json"
    assert (dict(LILLE.headers), LILLE.license_id, LILLE.interval_minutes) == ({}, None, 1)


def test_systems_are_written_sorted() -> None:
    content = write_systems([LILLE, BODO])
    assert read_systems(content) == (BODO, LILLE)
    assert write_systems([BODO, LILLE]) == content


def test_secrets_are_distinct() -> None:
    assert list_secrets([LILLE, BODO, BODO]) == ("a", "b")


@pytest.mark.parametrize("content", [b"", b"{", b'[{"system_id": "a"}]', b'[{"unknown": 1}]'])
def test_an_invalid_file_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_systems(content)
