"""Since when nothing moves is known to every instance, by what is kept beside the raw objects."""

import json
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from collector.envelope import Delivery
from collector.station_state import read_unchanged_since
from collector.tick import TickMemory, collect_tick
from feed import Feed, landing_name
from tests.collector.fakes import TICK, FakeApi, MakeEnvironment, Reply

pytestmark = pytest.mark.emulator


def response(feed: Feed, moved: int = 0) -> bytes:
    """The sample, renewed: each station reports again, of which `moved` bikes came to the first environment."""
    document: dict[str, Any] = json.loads(feed.sample)
    for each in document["records"]:
        each["fields"]["datemiseajour"] = f"2023-10-26T20:49:{moved:02d}+00:00"
    document["records"][0]["fields"]["nbvelosdispo"] += moved
    document["records"].reverse()
    return json.dumps(document).encode()


def test_minutes_without_a_change_are_counted_across_instances(
    make_environment: MakeEnvironment, api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    environment = make_environment()
    feed = replace(environment.feed, frozen_minutes=3, stale_minutes=0)
    logging.getLogger("vlille").propagate = True
    moves = [0, 0, 1, 1, 1, 1, 2]  # bikes at the first station, minute by minute
    since, frozen = [], []
    for minute, moved in enumerate(moves):
        tick = TICK + timedelta(minutes=minute)
        services = (
            replace(environment.services, memory=TickMemory()) if minute in {3, 5} else environment.services
        )
        api.set_replies(Reply(response(feed, moved)))
        caplog.clear()
        with caplog.at_level(logging.INFO, "vlille"):
            collect_tick(environment.settings, feed, services, Delivery(tick, is_first=True))
        blob = environment.gcs.bucket(environment.settings.landing_bucket).get_blob(
            landing_name(feed.name, tick)
        )
        found = read_unchanged_since(blob.metadata)
        assert found is not None
        since.append(int((found - TICK).total_seconds() // 60))
        events = {record.__dict__["fields"].get("event"): record.message for record in caplog.records}
        frozen.append("frozen_feed" in events)
        if frozen[-1]:
            assert "no station of vlille_ods has changed for 3 minutes" in events["frozen_feed"]
    assert since == [0, 0, 2, 2, 2, 2, 6]
    assert frozen == [False, False, False, False, False, True, False]


def test_a_response_without_rows_moves_nothing(make_environment: MakeEnvironment, api: FakeApi) -> None:
    environment = make_environment()
    found = []
    for minute, body in enumerate((response(environment.feed), b"{", response(environment.feed))):
        api.set_replies(Reply(body))
        tick = TICK + timedelta(minutes=minute)
        services = replace(
            environment.services, memory=replace(environment.services.memory, was_unusable=True)
        )
        collect_tick(environment.settings, environment.feed, services, Delivery(tick, is_first=True))
        blob = environment.gcs.bucket(environment.settings.landing_bucket).get_blob(
            landing_name(environment.feed.name, tick)
        )
        found.append(read_unchanged_since(blob.metadata))
    assert found == [TICK, None, TICK]


def test_a_redelivery_of_an_older_tick_has_the_same_state(
    make_environment: MakeEnvironment, api: FakeApi
) -> None:
    environment = make_environment()
    api.set_replies(Reply(response(environment.feed)))
    later, earlier = TICK + timedelta(minutes=5), TICK
    for tick in (later, earlier):
        collect_tick(
            environment.settings, environment.feed, environment.services, Delivery(tick, is_first=True)
        )
    bucket = environment.gcs.bucket(environment.settings.landing_bucket)
    names = [landing_name(environment.feed.name, tick) for tick in (later, earlier)]
    assert [read_unchanged_since(bucket.get_blob(name).metadata) for name in names] == [later, earlier]
