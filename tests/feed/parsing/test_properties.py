"""Properties that hold for any response."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feed import (
    Feed,
    parse_response,
)
from tests.feed.parsing.records import (
    DECODERS,
    TICK,
    assert_reconciled,
    copy_sample_records,
    make_body,
)

pytestmark = pytest.mark.unit

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
decoders = st.sampled_from(DECODERS)


@given(st.binary(), decoders)
def test_no_bytes_raise(ods: Feed, body: bytes, decode: Callable[[bytes], Any]) -> None:
    assert_reconciled(ods, parse_response(ods, body, TICK, decode=decode))


@given(json_values, decoders)
@pytest.mark.long
def test_no_json_raises(ods: Feed, value: Any, decode: Callable[[bytes], Any]) -> None:
    assert_reconciled(ods, parse_response(ods, json.dumps(value).encode(), TICK, decode=decode))
    assert_reconciled(ods, parse_response(ods, make_body(value), TICK, decode=decode))


@st.composite
def mangled(draw: st.DrawFn, records: list[Any]) -> list[Any]:
    """The sample's records, some of them with a value replaced, dropped or doubled."""
    records = copy.deepcopy(records)
    for _ in range(draw(st.integers(0, 4))):
        index = draw(st.integers(0, len(records) - 1))
        holder = records[index]
        while isinstance(holder, dict | list) and holder:
            key = draw(
                st.sampled_from(list(holder) if isinstance(holder, dict) else list(range(len(holder))))
            )
            if not isinstance(holder[key], dict | list) or draw(st.booleans()):
                if isinstance(holder, dict) and draw(st.booleans()):
                    del holder[key]
                else:
                    holder[key] = draw(json_values)
                break
            holder = holder[key]
        if draw(st.booleans()):
            records.insert(draw(st.integers(0, len(records))), copy.deepcopy(records[index]))
    return records


@pytest.mark.long
@settings(max_examples=200)
@given(st.data(), st.sampled_from(["vlille_ods", "vlille_ogc", "vlille_wfs"]))
def test_mangled_responses_are_reconciled_and_decoders_agree(
    feeds: dict[str, Feed], data: st.DataObject, name: str
) -> None:
    feed = feeds[name]
    records = data.draw(mangled(copy_sample_records(feed)))
    key = "features" if name == "vlille_wfs" else "records"
    body = json.dumps({key: records}).encode()
    outcome = parse_response(feed, body, TICK)
    assert outcome.records == len(records)
    assert_reconciled(feed, outcome)
    assert parse_response(feed, body, TICK, decode=DECODERS[1]) == outcome


@pytest.mark.long
@given(st.data())
def test_records_have_the_same_outcome_alone_and_together(
    feeds: dict[str, Feed], data: st.DataObject
) -> None:
    feed = feeds["vlille_ogc"]
    records = data.draw(mangled(copy_sample_records(feed)))
    together = parse_response(feed, make_body(records), TICK)
    alone = [parse_response(feed, make_body([record]), TICK) for record in records]
    duplicates = {r.index for r in together.rejections if r.reason == "duplicate_key"}
    assert together.rows == [row for i, each in enumerate(alone) if i not in duplicates for row in each.rows]
