"""An API key reaches the API, and nothing else: no message, no stack trace."""

import gzip
import logging
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.api import KEPT_LENGTH, ApiError, make_session
from collector.envelope import Delivery
from collector.landing import LandedObject
from collector.reporting import report_outcome
from collector.settings import SettingsError, read_secrets
from collector.tick import Services, collect_tick, make_fetch_url
from feed import Feed, load_feed, parse_response
from tests.collector.fakes import TICK, FakeApi, MakeEnvironment, Reply

pytestmark = pytest.mark.emulator

KEY = "k3y/with +signs"
NOTHING: Any = None
LANDED = LandedObject("keyed/20231026T205000Z.json.gz", b"", is_new=True)


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    folder = tmp_path / "keyed"
    folder.mkdir()
    (folder / "sample.json").write_text('[{"id": 1}]')
    (folder / "source.toml").write_text(
        'url = "https://api.example/"\nrecords = ""\n'
        'query = { apiKey = { secret = "bikes" } }\n'
        'headers = { X-Key = { secret = "bikes" }, X-Plain = "plain" }\n'
    )
    return load_feed(folder)


def services(secrets: dict[str, str]) -> Services:
    return Services(make_session(), NOTHING, NOTHING, secrets)


def test_the_api_gets_the_key(feed: Feed, api: FakeApi) -> None:
    api.set_replies(Reply(b"[]"))
    fetch_url = make_fetch_url(feed, services({"bikes": KEY}))
    assert fetch_url(api.url, 10, 1_000).body == b"[]"
    assert api.paths == ["/?apiKey=k3y%2Fwith+%2Bsigns"]
    assert [(each["X-Key"], each["X-Plain"]) for each in api.requests] == [(KEY, "plain")]


def test_redirect_targets_do_not_get_the_header(feed: Feed, api: FakeApi) -> None:
    api.set_replies(Reply(b"", 302, {"Location": "/elsewhere"}), Reply(b"[]"))
    make_fetch_url(feed, services({"bikes": KEY}))(api.url, 10, 1_000)
    assert api.paths[1] == "/elsewhere"
    assert "X-Key" not in api.requests[1]


def test_no_message_or_trace_has_the_key(feed: Feed, api: FakeApi) -> None:
    api.set_replies(Reply(b"no", 403))
    fetch_url = make_fetch_url(feed, services({"bikes": KEY}))
    with pytest.raises(ApiError, match=r"apiKey=\[secret\]") as failed:
        fetch_url(api.url, 10, 1_000)
    trace = "".join(traceback.format_exception(failed.value))
    assert KEY not in trace
    assert "k3y%2F" not in trace
    assert "k3y" not in repr(services({"bikes": KEY}))


def test_a_secret_that_is_missing_is_named() -> None:
    assert read_secrets(["a-b"], {"SECRET_A_B": "x\n"}) == {"a-b": "x"}
    with pytest.raises(SettingsError, match="missing values of the secrets a-b: expected in SECRET_A_B"):
        read_secrets(["a-b", "c"], {"SECRET_C": "x"})


def test_no_metadata_of_the_object_has_the_key(feed: Feed, api: FakeApi) -> None:
    api.set_replies(Reply(b"[]", headers={"ETag": '"k3y%2fwith+%2bsigns"'}))
    response = make_fetch_url(feed, services({"bikes": KEY}))(api.url, 10, 1_000)
    assert response.headers["etag"] == '"[secret]"'


def test_other_errors_contain_no_key_either(feed: Feed, api: FakeApi) -> None:
    fetch_url = make_fetch_url(feed, services({"bikes": f" {KEY}"}))  # no header's value begins with a blank
    with pytest.raises(ApiError, match=r"InvalidHeader: .*\[secret\]") as failed:
        fetch_url(api.url, 10, 1_000)
    assert "k3y" not in "".join(traceback.format_exception(failed.value))


def test_the_log_of_a_response_that_repeats_the_key_has_none(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    body = rb"<html>not allowed: /?apiKey=k3y%2fwith+%2bsigns, k3y\/with +signs"
    logging.getLogger("vlille").propagate = True
    with caplog.at_level(logging.INFO, "vlille"):
        outcome = parse_response(feed, body, datetime(2023, 10, 26, tzinfo=UTC))
        report_outcome(feed, outcome, LANDED, 0.1, services({"bikes": KEY}).redact)
    assert "k3y" in outcome.rejections[0].message
    logged = "".join(f"{record.getMessage()} {vars(record)['fields']}" for record in caplog.records)
    assert "not allowed: /?apiKey=[secret], [secret]" in logged
    assert "k3y" not in logged


def test_no_part_of_a_key_is_left_where_metadata_are_cut(feed: Feed, api: FakeApi) -> None:
    etag = '"' + "x" * (KEPT_LENGTH - 5) + KEY.replace("/", "%2f") + '"'
    api.set_replies(Reply(b"[]", headers={"ETag": etag}))
    response = make_fetch_url(feed, services({"bikes": KEY}))(api.url, 10, 1_000)
    assert response.headers["etag"] == '"' + "x" * (KEPT_LENGTH - 5) + "[sec"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>" + b"x" * 146 + b"k3y%2fwith+%2bsigns",  # over the end of what a message quotes
        b'{"records": [{"fields": {"libelle": "k3y%2fwith+%2bsigns"}}]}',  # a rejected record, and its value
        b'{"records": [{"fields": {"libelle": 7, "adresse": "/?apiKey=k3y\\/with +signs"}}]}',  # a row
    ],
)
def test_nothing_that_is_stored_has_the_key(
    make_environment: MakeEnvironment, api: FakeApi, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr("collector.tick.TRIES", 1)
    environment = make_environment()
    api.set_replies(Reply(body))
    collect_tick(
        environment.settings,
        environment.feed,
        replace(environment.services, secrets={"bikes": KEY}),
        Delivery(TICK, is_first=True),
    )
    settings = environment.settings
    landing = environment.gcs.bucket(settings.landing_bucket)
    raw = [
        gzip.decompress(landing.blob(name).download_as_bytes()) for name in environment.names(landing.name)
    ]
    stored = [*environment.rows(settings.station_table), *environment.rows(settings.quarantine_table)]
    assert stored
    assert "[secret" in f"{raw}"
    assert "k3y" not in f"{raw}{stored}"
