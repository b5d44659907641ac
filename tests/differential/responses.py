"""Feeds of several shapes, and mutated responses of them."""

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from feed import Feed, combine_pages, load_feed, load_feeds
from tests.differential.comparison import Difference, compare
from tests.differential.mutations import mutate
from tests.feed.examples import EXAMPLES, NAMES, write_example

# How many responses are of feeds that the batch decodes as a whole; each other shape is read by `parse` alone.
_DECODED_AS_A_WHOLE = 0.8
CHARSETS = ("", "", "utf-8", "ISO-8859-1", "shift_jis", "nonsense")
_STATION = {
    "station_id": "11",
    "num_bikes_available": 6,
    "is_renting": True,
    "last_reported": 1698353412,
    "name": [{"text": "Gare", "language": "fr"}],
    "vehicle_types_available": [{"vehicle_type_id": "bike", "count": 6}],
    "rental_uris": {"web": "https://city.example/11", "lines": ["A", "B"]},
    "lat": 50.64,
    "opened": "2023-10-26",
}
_GBFS = """
url = "https://city.example/station_status.json"
records = "data.stations"
key = "station_id"
[types]
last_reported = { unit = "seconds" }
[common]
station_id = "station_id"
num_bikes_available = "num_bikes_available"
is_operational = "is_renting"
last_reported = "last_reported"
[rules]
num_bikes_available = { minimum = 0 }
vehicle_types_available = { on_mismatch = "row" }
opened = { on_mismatch = "response" }
"""


def _gbfs() -> Feed:
    stations = [_STATION | {"station_id": str(number), "num_bikes_available": number} for number in range(4)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "gbfs"
        folder.mkdir()
        (folder / "source.toml").write_text(_GBFS)
        sample: Any = {"last_updated": 1698353460, "ttl": 60, "data": {"stations": stations}}
        (folder / "sample.json").write_text(json.dumps(sample))
        return load_feed(folder)


def _shapes() -> list[Feed]:
    """The examples of docs/feeds.md."""
    feeds = []
    with tempfile.TemporaryDirectory() as temporary:
        for title in EXAMPLES:
            folder = Path(temporary) / NAMES[title]
            write_example(title, folder)
            feeds.append(load_feed(folder))
    return feeds


FEEDS = [*load_feeds(Path(__file__).parents[2] / "sources").values(), _gbfs()]
SHAPES = _shapes()


def differences(count: int, seed: int) -> Iterator[Difference | None]:
    """Return the differences between the two readings of each of `count` mutated responses, None if there are none."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    for _ in range(count):
        feed = rng.choice(FEEDS if rng.random() < _DECODED_AS_A_WHOLE else SHAPES)
        is_json = feed.response_format.syntax == "json"
        body = json.dumps(json.loads(feed.sample)).encode() if is_json and rng.random() < 0.7 else feed.sample
        if feed.paging and rng.random() < 0.8:  # as the collector stores them
            body = combine_pages(
                [body] * rng.randrange(4),
                is_complete=rng.random() < 0.5,
                unreadable=rng.choice((b"", b"\xff<")),
            )
        if rng.random() < 0.95:
            body = mutate(body, rng)
        yield compare(feed, body, rng.choice(CHARSETS))
