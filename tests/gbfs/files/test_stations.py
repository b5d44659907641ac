"""station_status joined with station_information."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbfs import join_stations, select_text

pytestmark = pytest.mark.unit


def make_rows(*ids: str) -> list[dict[str, str]]:
    return [{"station_id": each} for each in ids]


def test_stations_of_both_files_are_joined() -> None:
    joined = join_stations(make_rows("1", "2", "3"), make_rows("3", "1", "4"))
    assert [(pair["station_id"], found is not None) for pair, found in joined.pairs] == [
        ("1", True),
        ("2", False),
        ("3", True),
    ]
    assert (joined.without_information, joined.without_status) == (("2",), ("4",))


IDS = st.sets(st.sampled_from("abcdef"))


@given(IDS, IDS)
def test_every_station_is_in_the_result(statuses: set[str], information: set[str]) -> None:
    joined = join_stations(make_rows(*statuses), make_rows(*information))
    assert {pair["station_id"] for pair, _ in joined.pairs} == statuses
    assert set(joined.without_information) == statuses - information
    assert set(joined.without_status) == information - statuses


@pytest.mark.parametrize(
    ("language", "text"),
    [("fr", "Bruxelles"), ("nl-BE", "Brussel"), ("de", "Bruxelles"), ("en", "Bruxelles")],
)
def test_a_text_is_selected_by_language(language: str, text: str) -> None:
    names = [{"text": "Bruxelles", "language": "fr"}, {"text": "Brussel", "language": "nl"}]
    assert select_text(names, language) == text


def test_without_texts_the_result_is_none() -> None:
    assert select_text([]) is None
