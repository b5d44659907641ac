"""The collector and the batch agree on every byte string; `python -m tests.differential` tries 50,000."""

import json
import random
from pathlib import Path

import pytest

from feed import load_feeds
from tests.differential.comparison import compare
from tests.differential.mutations import mutate
from tests.differential.responses import FEEDS, differences

pytestmark = pytest.mark.unit

OGC = load_feeds(Path(__file__).parents[2] / "sources")["vlille_ogc"]


def ogc(field: str, value: str) -> bytes:
    """The sample with a field of its second record written as `value`."""
    document = json.loads(OGC.sample)
    document["records"][1][field] = "<here>"
    return json.dumps(document).replace('"<here>"', value).encode()


CASES = {
    "a long number in a column": ogc("nb_velos_dispo", "1" * 5_000),
    "a long number in a text column": ogc("nom", "-" + "1" * 5_000),
    "a long number that nobody reads": json.dumps(json.loads(OGC.sample)).encode()[:-1]
    + b', "n": '
    + b"7" * 9_999
    + b"}",
    "the longest number that Python reads": ogc("nb_velos_dispo", "1" * 4_300),
    "the same below zero": ogc("nb_velos_dispo", "-" + "1" * 4_300),
    "a long fraction": ogc("x", "3." + "1" * 9_999),
    "an exponent beyond all": ogc("x", "1e" + "9" * 9_999),
    "a key twice": ogc("nom", '"A", "nom": 7, "nom": "B"'),
    "a high surrogate before a letter": ogc("nom", r'"\ud83d\u0041"'),
    "a low surrogate": ogc("nom", r'"\udc00"'),
    "surrogates as bytes": ogc("nom", '"<>"').replace(b"<>", b"\xed\xa0\x80"),
    "500 levels": ogc("commune", "[" * 497 + "]" * 497),
    "501 levels": ogc("commune", "[" * 499 + "]" * 499),
    "brackets in texts": ogc("nom", json.dumps("[" * 2_000 + '"\\' + "{" * 2_000)),
    "two byte order marks": ("\ufeff" + OGC.sample.decode()).encode("utf-8-sig"),
    "a byte order mark in UTF-8 and in UTF-16": ("\ufeff" + OGC.sample.decode()).encode("utf-16"),
    "UTF-8 that looks like UTF-16": OGC.sample[:1] + b"\x00" + OGC.sample[1:],
    "UTF-16 of what looks like UTF-16": (OGC.sample[:1] + b"\x00" + OGC.sample[1:])
    .decode()
    .encode("utf-16-le"),
    "UTF-16": OGC.sample.decode().encode("utf-16"),
    "Latin-1": OGC.sample.decode().encode("latin-1", "replace"),
    "one damaged letter": OGC.sample.replace("É".encode(), b"\xc3", 1),
    "minus zero": ogc("x", "-0"),
}


@pytest.mark.parametrize("charset", ["", "ISO-8859-1"])
@pytest.mark.parametrize("case", CASES)
def test_both_read_alike(case: str, charset: str) -> None:
    assert compare(OGC, CASES[case], charset) is None


@pytest.mark.long
def test_both_read_mutated_responses_alike() -> None:
    assert [each for each in differences(400, seed=20231026) if each is not None] == []


def test_mutations_change_what_is_read() -> None:
    """A comparison of responses that nothing happened to would hold by itself."""
    rng = random.Random(7)  # noqa: S311 - not for secrets
    feed = FEEDS[0]
    assert len({mutate(feed.sample, rng) for _ in range(100)}) > 90
