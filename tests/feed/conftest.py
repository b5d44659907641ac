"""Feeds to test with: the project's own, and invented ones made from a few lines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from feed import Feed, load_feed, load_feeds

ROOT = Path(__file__).parents[2]

# A busy machine is no failure.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")

MakeFeed = Callable[..., Feed]


@pytest.fixture(scope="session")
def feeds() -> dict[str, Feed]:
    return load_feeds(ROOT / "sources")


@pytest.fixture(scope="session")
def ods(feeds: dict[str, Feed]) -> Feed:
    return feeds["vlille_ods"]


@pytest.fixture
def make_feed(tmp_path: Path) -> MakeFeed:
    """A feed from records (or a whole sample) and the rest of its source.toml."""

    def make(
        records: Any, toml: str = "", *, name: str = "invented", path: str = "records", sample: Any = None
    ) -> Feed:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        document = {"records": records} if sample is None else sample
        (folder / "sample.json").write_text(json.dumps(document, ensure_ascii=False), "utf-8")
        source = f'url = "https://api.example/stations"\nrecords = "{path}"\n{toml}'
        (folder / "source.toml").write_text(source, "utf-8")
        return load_feed(folder)

    return make
