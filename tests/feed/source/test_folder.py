import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feed import Box, Condition, Feed, FeedError, load_feed, load_feeds

pytestmark = pytest.mark.unit

MakeFeed = Callable[..., Feed]
STATION = {
    "id": 1,
    "label": "Gare",
    "lat": 50.63,
    "lon": 3.07,
    "bikes": 4,
    "docks": 8,
    "open": True,
    "state": "OPEN",
    "at": "2023-09-08T08:36:00Z",
    "tags": ["a"],
    "o": {"x": None},
}


def test_the_projects_feeds(feeds: dict[str, Feed]) -> None:
    assert list(feeds) == ["vlille_gbfs", "vlille_ods", "vlille_ogc", "vlille_wfs"]


def test_ods_keeps_the_columns_of_the_tutorial(ods: Feed) -> None:
    assert [(column.name, column.type) for column in ods.columns] == [
        ("recordid", "STRING"),
        ("record_timestamp", "TIMESTAMP"),
        ("nbvelosdispo", "INTEGER"),
        ("nbplacesdispo", "INTEGER"),
        ("libelle", "INTEGER"),
        ("adresse", "STRING"),
        ("nom", "STRING"),
        ("etat", "STRING"),
        ("commune", "STRING"),
        ("etatconnexion", "STRING"),
        ("type", "STRING"),
        ("longitude", "FLOAT"),
        ("latitude", "FLOAT"),
        ("datemiseajour", "TIMESTAMP"),
    ]


def test_every_column_of_the_projects_feeds_is_described(feeds: dict[str, Feed]) -> None:
    assert [(f.name, c.name) for f in feeds.values() for c in f.columns if not c.description] == []


def test_the_least_a_folder_needs(make_feed: MakeFeed) -> None:
    feed = make_feed([{"a": 1}])
    assert (feed.name, feed.title, feed.key, feed.box, feed.legacy) == (
        "invented",
        "invented",
        None,
        None,
        None,
    )
    assert [column.name for column in feed.columns] == ["a"]


def test_the_response_may_be_the_array_itself(make_feed: MakeFeed) -> None:
    assert make_feed(None, path="", sample=[{"a": 1}]).records == ()


def test_records_may_lie_deep(make_feed: MakeFeed) -> None:
    feed = make_feed(None, path="data['the stations'][1]", sample={"data": {"the stations": [0, [{"a": 1}]]}})
    assert feed.records == ("data", "the stations", 1)


WHOLE = """
key = "id"
order = ["state", "id"]
[common]
station_id = "id"
name = "label"
latitude = "lat"
longitude = "lon"
num_bikes_available = "bikes"
num_docks_available = "docks"
is_operational = { column = "state", equals = ["OPEN", "BUSY"] }
last_reported = "at"
"""


def test_a_whole_source(make_feed: MakeFeed) -> None:
    feed = make_feed([STATION], WHOLE)
    assert [column.name for column in feed.columns][:3] == ["state", "id", "label"]
    assert feed.common.is_operational == Condition("state", ("OPEN", "BUSY"))
    assert feed.box == Box(50.13, 51.13, 2.57, 3.57, is_declared=False)


def test_declared_bounds(make_feed: MakeFeed) -> None:
    feed = make_feed([STATION], WHOLE + "[bounds]\nlatitude = [50, 51.5]\nlongitude = [2, 4]")
    assert feed.box == Box(50, 51.5, 2, 4)


REFUSED: list[tuple[str, str]] = [
    ("titel = 'x'", "key titel: found an unknown key; expected one of title, .*; did you mean 'title'?"),
    ("title = 3", "key title: found the number 3; expected a string"),
    ("lift = 'o'", "key lift: found the text 'o'; expected a list of strings"),
    ("lift = ['oo']", "key lift: found 'oo'; expected a field of sample.json's records; did you mean 'o'?"),
    ("lift = ['o.']", "key lift: found 'o.'; expected a path such as data.stations"),
    (
        "order = ['labl']",
        "key order: found 'labl'; expected one of the columns id, .*; did you mean 'label'?",
    ),
    ("order = ['id', 'id']", "key order: found a column named twice"),
    ("key = 'idd'", "key key: found 'idd'; expected a column: id, .*; did you mean 'id'?"),
    ("key = 'tags'", "key key: found column 'tags', REPEATED STRING; expected a column with one STRING or"),
    ("key = 'lat'", "key key: found column 'lat', NULLABLE FLOAT"),
    ("timezone = 'Europe/Lille'", "key timezone: found 'Europe/Lille'; expected an IANA time zone"),
    ("rename = 3", r"key rename: found the number 3; expected a table \[rename\]"),
    ("[rename]\nlabell = 'name'", "key rename: found 'labell'; expected a field .*; did you mean 'label'?"),
    (
        "[rename]\nlabel = 'le nom'",
        "key rename.label: found 'le nom'; expected a BigQuery column .*such as 'le_nom'",
    ),
    ("[types]\nid = 'INT'", "key types.id: found 'INT'; expected one of STRING, INTEGER, .*; did you mean"),
    ("[types]\nidd = 'STRING'", "key types.idd: found no such column; .*; did you mean 'id'?"),
    ("[types]\nid = 3", "key types.id: found the number 3; expected a string"),
    ("[types]\nid = { unit = 'second' }", "key types.id.unit: found 'second'; .*; did you mean 'seconds'?"),
    ("[types]\nid = { units = 's' }", "key types.id.units: found an unknown key; .*; did you mean 'unit'?"),
    (
        "[types]\nid = { type = 'DATE', unit = 'seconds' }",
        "key types.id.type: found DATE; expected TIMESTAMP",
    ),
    ("[types]\nat = { zone = 'Paris' }", "key types.at.zone: found 'Paris'; expected an IANA time zone"),
    (
        "[types]\nid = { unit = 'seconds', zone = 'UTC' }",
        "key types.id.zone: found 'UTC'; expected a unit or a zone",
    ),
    (
        "[types]\nlabel = 'INTEGER'",
        "sample.json, record 0, label: found the text 'Gare'; expected an INTEGER",
    ),
    ("[columns]\nx = ''", "key columns.x: found ''; expected a path in a record"),
    ("[columns]\nx = 'o.y'", "columns.x: found 'o.y', which no record"),
    ("[columns]\n'x y' = 'o.x'", "key columns.x y: found 'x y'; expected a BigQuery column name"),
    ("[common]\nname = 'label'", "key common.station_id: found no such key"),
    ("[common]\nstation = 'id'", "key common.station: found an unknown key; .*; did you mean 'station_id'?"),
    ("[common]\nstation_id = 'idd'", "key common.station_id: found 'idd'; .*; did you mean 'id'?"),
    (
        "[common]\nstation_id = 'id'\nlatitude = 'lat'",
        "key common.latitude: found only one of latitude and longitude",
    ),
    (
        "[common]\nstation_id = 'id'\nlast_reported = 'label'",
        "key common.last_reported: found column 'label', NULL",
    ),
    (
        "[common]\nstation_id = 'id'\nis_operational = 'state'",
        "key common.is_operational: found column 'state'",
    ),
    (
        "[common]\nstation_id = 'id'\nis_operational = { column = 'state', equals = 1 }",
        "key common.is_operational.equals: found 1; expected STRING like column 'state'",
    ),
    (
        "[common]\nstation_id = 'id'\nis_operational = { column = 'state', equals = [] }",
        r"key common.is_operational.equals: found \[\]; expected STRING",
    ),
    (
        "[common]\nstation_id = 'id'\nis_operational = { column = 'bikes', equals = true }",
        "key common.is_operational.equals: found True; expected INTEGER",
    ),
    ("[bounds]\nlatitude = [1, 2]\nlongitude = [1, 2]", "key bounds: found bounds without coordinates"),
    (WHOLE + "[bounds]\nlatitude = [50, 51]", "key bounds.longitude: found no such key"),
    (
        WHOLE + "[bounds]\nlatitude = [51, 50]\nlongitude = [2, 4]",
        r"key bounds.latitude: found \[51, 50\]; expected",
    ),
    (
        WHOLE + "[bounds]\nlatitude = [50, 91]\nlongitude = [2, 4]",
        r"key bounds.latitude: found \[50, 91\]; expected",
    ),
    (WHOLE + "[bounds]\nlatitude = [50, true]\nlongitude = [2, 4]", "key bounds.latitude: found"),
    (
        WHOLE + "[bounds]\nlatitude = [40, 41]\nlongitude = [2, 4]",
        "sample.json, record 0, lat: found lat 50.63",
    ),
    (
        "[legacy]\npattern = '%Y'\ntimezone = 'UTC'",
        "key legacy.pattern: found '%Y'; expected a strftime pattern",
    ),
    ("[legacy]\npattern = '%Y%m%d%H%M%S'", "key legacy.timezone: found no such key"),
    (
        "[legacy]\npattern = '%Y%m%d%H%M%S'\ntimezone = 'UTC'\ntimes = ['id']",
        "key legacy.times: found column 'id'",
    ),
    (
        "[descriptions]\nlabell = 'x'",
        "key descriptions.labell: found no such column; .*; did you mean 'label'?",
    ),
    (f"[descriptions]\nlabel = '{'x' * 1025}'", "key descriptions.label: found 1025 characters"),
    ("key = ", "source.toml: found Invalid value .*; expected TOML in UTF-8"),
]


@pytest.mark.parametrize(
    ("toml", "message"), REFUSED, ids=[toml.replace("\n", " ")[-60:] for toml, _ in REFUSED]
)
def test_refused(make_feed: MakeFeed, toml: str, message: str) -> None:
    with pytest.raises(FeedError, match=message) as error:
        make_feed([STATION], toml)
    assert error.value.feed == "invented"
    assert str(error.value).startswith(f"invented/{error.value.file}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("sample", "path", "message"),
    [
        (
            {"records": []},
            "records",
            "sample.json, records: found an empty array; expected at least one record",
        ),
        ({"records": {}}, "records", "'records', where sample.json has an empty object"),
        ({"records": [1]}, "records", r"sample.json, records\[0\]: found the number 1; expected an object"),
        ({"records": [{}]}, "recors", "'recors', where sample.json has nothing; .*; did you mean 'records'?"),
        ([{}], "records", "'records', where sample.json has nothing"),
        ({"records": [{"a": "\ud800"}]}, "records", "record 0, a: found the text .* lone surrogate"),
        ({"records": [{"a": float("nan")}]}, "records", "record 0, a: found the number nan"),
    ],
)
def test_samples_refused(make_feed: MakeFeed, tmp_path: Path, sample: Any, path: str, message: str) -> None:
    if "surrogate" in message:  # as its JSON escape
        make_feed([{"a": "x"}])
        (tmp_path / "invented/sample.json").write_text('{"records": [{"a": "\\ud800"}]}')
        with pytest.raises(FeedError, match=message):
            load_feed(tmp_path / "invented")
        return
    with pytest.raises(FeedError, match=message):
        make_feed(None, path=path, sample=sample)


def test_a_sample_without_its_key_is_refused(make_feed: MakeFeed) -> None:
    with pytest.raises(FeedError, match="record 1, a: found null; expected a value, because it is the key"):
        make_feed([{"a": 1}, {"b": 2}], "key = 'a'")


@pytest.mark.parametrize("missing", ["source.toml", "sample.json"])
def test_a_missing_file(make_feed: MakeFeed, tmp_path: Path, missing: str) -> None:
    make_feed([{"a": 1}])
    (tmp_path / "invented" / missing).unlink()
    with pytest.raises(FeedError, match=f"invented/{missing}: found no such file"):
        load_feed(tmp_path / "invented")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("records = ''", "key url: found no such key"),
        ("url = 'https://api.example'", "key records: found no such key"),
        (
            "url = 'https://api.example'\nrecord = ''",
            "key record: found an unknown key; .*; did you mean 'records'?",
        ),
        ("url = 'api.example'\nrecords = ''", "key url: found 'api.example'; expected an https URL"),
        (
            "url = 'http://api.example/stations'\nrecords = ''",
            r"key url: found 'http://api.example/stations'; expected an https URL \(http only to 127\.0\.0\.1, ",
        ),
        ("url = 'http://127.0.0.1.example/'\nrecords = ''", "key url: found"),
        ("url = 'file:///etc/passwd'\nrecords = ''", "key url: found 'file:///etc/passwd'"),
        ("url = 'https://api.example/a b'\nrecords = ''", "key url: found"),
        ("url = 'https://[api'\nrecords = ''", "key url: found"),
    ],
)
def test_url_and_records_are_needed(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "invented").mkdir()
    (tmp_path / "invented/source.toml").write_text(source)
    (tmp_path / "invented/sample.json").write_text('[{"a": 1}]')
    with pytest.raises(FeedError, match=message):
        load_feed(tmp_path / "invented")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/a", "http://localhost/", "http://[::1]/", "https://a.b/"]
)
def test_urls_of_the_collectors_requests(tmp_path: Path, url: str) -> None:
    (tmp_path / "invented").mkdir()
    (tmp_path / "invented/source.toml").write_text(f"url = '{url}'\nrecords = ''")
    (tmp_path / "invented/sample.json").write_text('[{"a": 1}]')
    assert load_feed(tmp_path / "invented").url == url


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"\xff\xfe\xfd"])
def test_a_sample_that_is_no_json(make_feed: MakeFeed, tmp_path: Path, content: bytes) -> None:
    make_feed([{"a": 1}])
    (tmp_path / "invented/sample.json").write_bytes(content)
    with pytest.raises(FeedError, match=r"invented/sample\.json: found .*; expected JSON"):
        load_feed(tmp_path / "invented")


def test_a_folder_names_a_table(make_feed: MakeFeed) -> None:
    with pytest.raises(FeedError, match="found 'Tram-Stops'; expected lower-case letters"):
        make_feed([{"a": 1}], name="Tram-Stops")


def test_feeds_load_from_a_zip_as_from_a_folder(feeds: dict[str, Feed], tmp_path: Path) -> None:
    sources = Path(__file__).parents[3] / "sources"
    archive = shutil.make_archive(str(tmp_path / "code"), "zip", sources.parent, "sources")
    assert load_feeds(zipfile.Path(archive, "sources/")) == feeds
    assert load_feed(zipfile.Path(archive) / "sources" / "vlille_ods") == feeds["vlille_ods"]
    with pytest.raises(FeedError, match=r"nowhere/source\.toml: found no such file"):
        load_feed(zipfile.Path(archive) / "sources" / "nowhere")


def test_what_is_no_feed_is_left_alone(make_feed: MakeFeed, tmp_path: Path) -> None:
    make_feed([{"a": 1}])
    (tmp_path / "README.md").touch()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / ".git").mkdir()
    assert list(load_feeds(tmp_path)) == ["invented"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FeedError, match=r"empty/source\.toml: found no such file"):
        load_feeds(tmp_path)


def test_feeds_and_errors_travel_between_processes(ods: Feed) -> None:
    assert pickle.loads(pickle.dumps(ods)) == ods  # noqa: S301 - our own bytes
    assert hash(pickle.loads(pickle.dumps(ods))) == hash(ods)  # noqa: S301
    error = FeedError("f", "source.toml", "key", "this", "that", "a hint")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301


def test_an_unknown_column_is_a_clear_error(ods: Feed) -> None:
    with pytest.raises(KeyError, match="vlille_ods has no column 'x', only recordid, "):
        ods.column("x")


# Where a key stands, and the parameter that is named in its place.
KEYS: list[tuple[str, str, str]] = [
    ("https://api.example/?contract=x&apiKey=SECRET123", "", "a value of apiKey"),
    ("https://api.example/?app_key=SECRET123", "", "a value of app_key"),
    ("https://api.example/?token=SECRET123", "", "a value of token"),
    ("https://ada:SECRET123@api.example/", "", "a user name or a password"),
    ("https://SECRET123@api.example/", "", "a user name or a password"),
    ("https://api.example/", 'query = { apikey = "SECRET123" }', "a value of apikey"),
    ("https://api.example/", 'headers = { Authorization = "Bearer SECRET123" }', "a value of Authorization"),
    ("https://api.example/", 'headers = { X-API-Key = "SECRET123" }', "a value of X-API-Key"),
    (
        "https://api.example/",
        'join = { url = "https://api.example/b?key=SECRET123", on = "id" }',
        "a value of key",
    ),
]


@pytest.mark.parametrize(("url", "toml", "found"), KEYS)
def test_a_secret_in_source_toml_is_refused_and_not_repeated(
    tmp_path: Path, url: str, toml: str, found: str
) -> None:
    folder = tmp_path / "keyed"
    folder.mkdir()
    (folder / "sample.json").write_text(
        '{"response": [{"id": 1}], "joined": [{"id": 1}]}' if "join" in toml else '[{"id": 1}]'
    )
    (folder / "source.toml").write_text(f'url = "{url}"\nrecords = ""\n{toml}\n')
    with pytest.raises(FeedError, match=found) as refused:
        load_feed(folder)
    assert "SECRET123" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["https://api.example/?key=&monkey=1&keyword=2", "https://api.example/a@b?q=c@d"]
)
def test_other_parameters_are_no_secrets(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "sample.json").write_text('[{"id": 1}]')
    (folder / "source.toml").write_text(f'url = "{url}"\nrecords = ""\n')
    assert load_feed(folder).url == url
